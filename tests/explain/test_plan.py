"""`stocketl plan` equals what the drop then does, and changes nothing."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import psycopg2
import pytest
from extent import extent
from history_oracle import differences, plain
from loaded_home import LoadedHome
from random_drops import random_drops
from test_asof import snapshot
from typer.testing import CliRunner

from streaming.cli import app
from streaming.errors import StockETLError
from streaming.explain import plan as ahead
from streaming.explain.plan import plan
from streaming.packets import PRICE_CHANGED, RETURN_CHANGED, VOLUME_CHANGED
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from history_oracle import Marked

    from streaming.settings import Settings

HEADER = "date,id,price,trade_volume\n"


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    yield made
    made.close()


def planned(home: LoadedHome, folder: Path, content: str, key: str = "file.csv") -> ahead.Plan:
    file = folder / "file.csv"
    file.write_text(content)
    return plan(home.settings, str(file), key)


def receipt(settings: Settings, seq: int) -> dict[str, object]:
    with contextlib.closing(psycopg2.connect(settings.database)) as connection, connection.cursor() as cur:
        cur.execute("SELECT body FROM stocketl.receipts WHERE seq = %s", (seq,))
        ((body,),) = cur.fetchall()
    return body


def written(cells: Marked) -> Marked:
    """Of cells of which only the return changes, without the volume, which stays as it is."""
    return {
        key: (cell[0], cell[1], None, cell[3]) if cell[3] == RETURN_CHANGED else cell for key, cell in cells.items()
    }


@pytest.mark.thorough
def test_each_drop_does_what_was_planned(home: LoadedHome, tmp_path: Path) -> None:
    """Every changed cell, each count and each rejected row, on tables that the drops before have made."""
    before = {}
    value = PRICE_CHANGED | VOLUME_CHANGED
    for key, content in random_drops(seed=5, count=extent(40, 250)):
        found = planned(home, tmp_path, content, key)
        body = receipt(home.settings, home.load(key, content))
        _, after = snapshot(home.settings)
        expected = differences(before, after)
        assert written(plain(found.foreseen.changes)) == written(expected)
        counts, facts = found.counts, ahead.facts_of(found)
        assert counts["cells_new"] == len(after.keys() - before.keys())
        assert counts["cells_changed"] == sum(bool(cell[3] & value) for key, cell in expected.items() if key in before)
        assert counts["tickers_new"] == len({id_ for _, id_ in after} - {id_ for _, id_ in before})
        names = (
            "fate",
            "reason",
            "rows_read",
            "rows_loaded",
            "rows_duplicate",
            "rows_rejected",
            "conflicts",
            "reasons",
            "first_date",
            "last_date",
        )
        assert {name: facts[name] for name in names} == {name: body[name] for name in names}
        shown = [{name: reject[name] for name in ("line", "text", "reason")} for reject in body["rejects"]]
        assert facts["rejects"] == shown
        if body["fate"] == "success":
            assert counts["cells_new"] + counts["cells_changed"] + counts["cells_same"] == body["rows_loaded"]
        texts = content.splitlines()
        for cell in (*found.first, *found.moves):
            assert cell.line is None or texts[cell.line - 1].startswith(cell.date)
            assert (cell.line is None) == (cell.kind == "return")
        before = after


def test_neighbours_are_found_however_far_away_they_are(home: LoadedHome, tmp_path: Path) -> None:
    """A ticker with a price in each hundredth row of the tables, beside one with a price in each."""
    days = [str(np.datetime64("2020-01-01") + day) for day in range(1_000)]
    full = [f"{day},FULL,{row + 1}," for row, day in enumerate(days)]
    rare = [f"{day},RARE,{row + 1},5" for row, day in enumerate(days) if row % 100 == 0]
    home.load("a.csv", HEADER + "\n".join([*full, *rare]) + "\n")
    _, before = snapshot(home.settings)
    content = HEADER + f"{days[950]},RARE,7,\n{days[450]},RARE,9,\n{days[0]},RARE,3,\n{days[500]},FULL,1,\n"
    found = planned(home, tmp_path, content)
    home.load("b.csv", content)
    expected = differences(before, snapshot(home.settings)[1])
    assert written(plain(found.foreseen.changes)) == written(expected)


def test_a_file_below_the_input_has_its_own_key_and_the_profile_for_it(home: LoadedHome, tmp_path: Path) -> None:
    """The profile that is used is the one for the name that the file will have."""
    (tmp_path / "home").mkdir(exist_ok=True)
    (tmp_path / "home" / "profiles.toml").write_text(
        '[[profile]]\nname = "tagesschau"\nfiles = "de/*.csv"\nticker = "Name"\ndate = "Datum"\nprice = "Kurs"\n'
    )
    file = tmp_path / "home" / "input" / "de" / "a.csv"
    file.parent.mkdir(parents=True)
    file.write_text("Datum,Name,Kurs\n2024-01-02,SAP,130\n")
    found = plan(home.settings, str(file), None)
    assert (found.key, found.profile, found.counts["cells_new"]) == ("de/a.csv", "tagesschau", 1)
    assert plan(home.settings, str(file), "a.csv").parsed.failure is not None


@pytest.mark.parametrize(
    ("key", "content", "reason"),
    [
        ("a.txt", HEADER, "the name is none of a price file"),
        (".a.csv", HEADER, "no drop is called like this"),
        ("a.csv", "", "the file is empty"),
        ("a.csv", "date,id\n2024-01-02,A\n", "the header lacks"),
        ("a.csv", HEADER + "x,A,1,\n", "every row was rejected"),
    ],
)
def test_a_file_that_would_fail_is_told_with_its_reason(
    home: LoadedHome, tmp_path: Path, key: str, content: str, reason: str
) -> None:
    """Nothing of it would be loaded."""
    found = planned(home, tmp_path, content, key)
    assert (found.parsed.failure or "").startswith(reason)
    assert found.counts == dict.fromkeys(found.counts, 0)


@pytest.mark.parametrize("key", ["../a.csv", "de/./a.csv", "/a.csv"])
def test_a_name_that_lies_outside_of_the_input_is_refused(home: LoadedHome, tmp_path: Path, key: str) -> None:
    """No drop can have it."""
    with pytest.raises(StockETLError, match="expected a name below the input"):
        planned(home, tmp_path, HEADER, key)


def test_the_commands_that_look_back_and_ahead_load_no_spark() -> None:
    """They answer beside a job, and at once."""
    code = "import sys; from streaming.explain import asof, cell, plan; print('pyspark' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert ran.stdout == "False\n"


@pytest.mark.parametrize(("command", "loads"), [("plan", False), ("verify", True)])
def test_pyarrow_loads_no_pandas_for_them(command: str, loads: bool) -> None:  # noqa: FBT001
    """It would take longer than the command; for others it is there."""
    code = (
        f"import sys; sys.argv = ['stocketl', {command!r}, '--help']\nfrom streaming.__main__ import main\n"
        "try: main()\nexcept SystemExit: pass\nimport pyarrow; pyarrow.array([1])\nprint('pandas' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert ran.stdout.endswith(f"{loads}\n")


def test_before_the_first_job_everything_is_new(tmp_path: Path) -> None:
    """A plan needs no database, and makes none."""
    settings = load(environment=False, home=str(tmp_path / "home"))
    file = tmp_path / "a.csv"
    file.write_text(HEADER + "2024-01-02,A,1,\n")
    found = plan(settings, str(file), None)
    assert (found.counts["cells_new"], found.tables_new) == (1, ["prices", "returns", "volume"])
    assert not (tmp_path / "home").exists()


def test_the_command_changes_nothing_and_prints_what_would_change(
    home: LoadedHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a file of the home nor a row of the database."""
    home.load("a.csv", HEADER + "2024-01-02,A,2,7\n2024-01-03,A,30,\n")
    file = tmp_path / "b.csv"
    file.write_text(HEADER + "2024-01-03,A,3,\n2024-01-03,A,4,\n2024-01-02,B,1,1\nx,A,1,1\n")
    monkeypatch.setenv("STOCKETL_DATABASE", home.settings.database or "")

    def state() -> tuple[object, ...]:
        files = {str(path): path.stat().st_mtime_ns for path in (tmp_path / "home").rglob("*")}
        return snapshot(home.settings)[1], files

    before = state()
    said = CliRunner().invoke(app, ["plan", str(file), "--home", str(tmp_path / "home")])
    assert said.exit_code == 0
    lines = [line.rstrip() for line in said.output.splitlines()]
    assert lines[1:6] == [
        "fate          would be loaded",
        "read by       the built-in rules",
        "rows          4 read = 2 loaded + 1 duplicate + 1 rejected",
        "rejected for  bad-date: 1",
        "cells         1 new, 1 changed, 0 same",
    ]
    told = CliRunner().invoke(app, ["plan", str(file), "--json", "--home", str(tmp_path / "home")])
    facts = json.loads(told.output)
    assert facts["first_cells"][0] == {
        "date": "2024-01-03",
        "ticker": "A",
        "line": 3,
        "kind": "changed",
        "old_price": 30.0,
        "price": 4.0,
        "old_volume": None,
        "volume": None,
        "change": 1.0,
    }
    assert state() == before
