"""`stocketl status`: one screen of facts, the same as JSON, plain words where there is nothing yet."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from loaded_home import LoadedHome

from streaming.settings import load
from streaming.status import age, show, status

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = "date,id,price,trade_volume\n"


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedHome]:
    monkeypatch.setenv("COLUMNS", "100")
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    yield made
    made.close()


def test_the_facts_of_a_home_in_use(home: LoadedHome) -> None:
    """Loaded, failed and waiting drops, rows, tickers, dates, tables and the last drops."""
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n2024-01-02,7,101,\n2024-01-03,8,5,1\n2024-01-03,8,-5,1\n")
    home.load("two.csv", "no header\n")
    (home.settings.home / "input" / "three.csv").write_text(HEADER)
    facts = json.loads(json.dumps(status(home.settings), default=str))
    batch = facts.pop("last_batch")
    assert (batch["batch_id"], batch["drops"], batch["cells"]) == (2, 1, 0)
    assert 0 <= batch["age_seconds"] < 60
    tables = facts.pop("tables")
    assert [table["name"] for table in tables] == ["prices", "returns", "volume"]
    assert all(table["bytes"] > 0 for table in tables)
    drops = [
        (d["seq"], d["key"], d["status"], d["rows_read"], d["rows_rejected"], d["moved_to"])
        for d in facts.pop("last_drops")
    ]
    assert drops == [(2, "two.csv", "failed", 0, 0, "two.csv"), (1, "one.csv", "loaded", 4, 1, "one.csv")]
    assert facts == {
        "home": str(home.settings.home),
        "database": home.settings.database,
        "input": home.settings.input,
        "input_trouble": None,
        "state": "ready",
        "drops": {"waiting": 1, "loading": 0, "loaded": 1, "failed": 1},
        "rows": {"read": 4, "loaded": 2, "duplicate": 1, "rejected": 1},
        "tickers": 2,
        "dates": {"count": 2, "first": "2024-01-02", "last": "2024-01-03"},
    }


def test_the_screen_fits_a_narrow_terminal(
    home: LoadedHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """60 columns show everything, long keys wrapped, control characters of a key harmless."""
    monkeypatch.setenv("COLUMNS", "60")
    home.load("a/rather/long/folder/and/a/name/with/escape\x1b[2J.csv", "no header\n")
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n")
    show(status(home.settings))
    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= 60
    assert "\x1b" not in out
    assert "1 loaded, 1 failed, 0 waiting" in " ".join(out.split())
    assert re.search(r"last batch +2, \d+ s ago", out)
    assert "1 ticker, 1 date, 2024-01-02 to 2024-01-02" in " ".join(out.split())
    assert "escape\\x1b[" in "".join(out.split())


def test_a_drop_that_still_lies_in_the_input_is_not_waiting(home: LoadedHome) -> None:
    """Loaded and not moved yet: known. Put there again after its move: waiting."""
    home.load("one.csv", HEADER + "2024-01-02,7,100,10\n", move=False)
    assert status(home.settings)["drops"]["waiting"] == 0
    home.load("two.csv", HEADER)
    assert status(home.settings)["drops"]["waiting"] == 0
    (home.settings.home / "success" / "one.csv").rename(home.settings.home / "input" / "one.csv")
    assert status(home.settings)["drops"]["waiting"] == 1


def test_an_empty_database_says_so(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """The ledger is there, no batch is."""
    facts = status(home.settings)
    assert (facts["state"], facts["last_batch"], facts["last_drops"]) == ("no-batch", None, [])
    show(facts)
    assert re.search(r"last batch +none yet", capsys.readouterr().out)


def test_no_database_is_said_and_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A look at a new home changes nothing, and still counts what waits."""
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "one.csv").write_text(HEADER)
    facts = status(load(environment=False, home=str(tmp_path)))
    assert (facts["state"], facts["drops"]) == ("no-database", {"waiting": 1})
    assert [path.name for path in tmp_path.iterdir()] == ["input"]
    show(facts)
    said = " ".join(capsys.readouterr().out.split())
    assert "there is no database in" in said
    assert "stocketl run --home" in said
    assert "1 waiting in" in said


def test_a_database_without_a_ledger_is_said(database: str, tmp_path: Path) -> None:
    """A database of one's own that no job has used yet."""
    facts = status(load(environment=False, home=str(tmp_path), database=database))
    assert facts["state"] == "no-database"
    assert facts["said"] == f"no job has used this database yet ({database}); `stocketl run` begins"


@pytest.mark.parametrize(
    ("seconds", "text"), [(-0.1, "0 s"), (3.4, "3 s"), (300, "5 min"), (10_800, "3 h"), (864_000, "10 days")]
)
def test_ages_read_as_a_person_says_them(seconds: float, text: str) -> None:
    """The unit fits the size."""
    assert age(seconds) == text
