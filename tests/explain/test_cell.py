"""`stocketl explain` against an oracle that reads every file by itself, with a lake and without, and files gone."""

from __future__ import annotations

import datetime as dt
import random
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from extent import extent
from loaded_home import LoadedHome
from random_drops import TICKERS, random_drops
from typer.testing import CliRunner

from streaming.cli import app
from streaming.explain.cell import explain
from streaming.packets import UNKNOWN_VOLUME
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.explain.cell import ExplainedCell
    from streaming.settings import Settings

Value = tuple[int, int, float, int | None]  # drop, line, price, volume


@dataclass
class Loads:
    """A home and the content of each of its drops, by seq."""

    home: LoadedHome
    drops: dict[int, str]

    @property
    def settings(self) -> Settings:
        return self.home.settings


@pytest.fixture
def empty(database: str, tmp_path: Path) -> Iterator[Loads]:
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database), lake=True)
    yield Loads(made, {})
    made.close()


@pytest.fixture
def loads(empty: Loads) -> Loads:
    for key, content in random_drops(seed=3, count=40):
        empty.drops[empty.home.load(key, content)] = content
    return empty


def given(drops: dict[int, str], day: dt.date, ticker: str) -> list[Value]:
    """Every valid row of every file for a cell, by splitting lines at commas."""
    found = []
    for seq, content in drops.items():
        for line, text in enumerate(content.splitlines(), start=1):
            fields = text.split(",")
            if len(fields) < 4 or fields[0] != day.isoformat() or fields[1].zfill(3) != ticker or fields[2] == "-1":
                continue
            found.append((seq, line, float(fields[2]), int(fields[3]) if fields[3].isdigit() else None))
    return found


def rejected(drops: dict[int, str], day: dt.date, ticker: str) -> list[tuple[int, int, str]]:
    """The rows with a negative price for a cell, and those of its ticker whose date is none."""
    return [
        (seq, line, text)
        for seq, content in drops.items()
        for line, text in enumerate(content.splitlines(), start=1)
        if (fields := text.split(","))[1:] and fields[1].zfill(3) == ticker
        if (fields[0] == day.isoformat() and fields[2] == "-1") or "/" in fields[0]
    ]


def plain(found: ExplainedCell) -> tuple[list[Value], list[Value]]:
    both = []
    for values in (found.given, found.given_before):
        volumes = [None if value.volume == UNKNOWN_VOLUME else value.volume for value in values]
        both.append([(one.seq, one.line, one.price, volume) for one, volume in zip(values, volumes, strict=True)])
    return both[0], both[1]


def check(loads: Loads, settings: Settings, day: dt.date, ticker: str, *, rejects: bool = True) -> None:
    """One cell in both."""
    found = explain(settings, (day - dt.date(1970, 1, 1)).days, ticker)
    own = given(loads.drops, day, ticker)
    dates = [day - dt.timedelta(days=back) for back in range(1, 40)]
    before = next((date for date in dates if given(loads.drops, date, ticker)), None)
    earlier = given(loads.drops, before, ticker) if before else []
    assert plain(found) == (own, earlier)
    now, known = found.now, [volume for *_, volume in own if volume is not None]
    assert (now.price, now.volume, now.before_date) == (
        own[-1][2] if own else None,
        known[-1] if known else None,
        before,
    )
    assert now.change == (own[-1][2] / earlier[-1][2] - 1 if own and earlier else None)
    assert (found.notes, found.gone) == ([], {})
    if rejects:
        assert [(one.seq, one.line, one.text) for one in found.rejects] == rejected(loads.drops, day, ticker)


@pytest.mark.thorough
def test_random_cells_are_explained_as_the_files_say(loads: Loads) -> None:
    """Each value with its drop and line, those that were replaced, the return's other price, rejects near it."""
    without = loads.settings.model_copy(update={"lake": None})
    chance = random.Random(4)  # noqa: S311 (a seed, not a secret)
    cells = [(dt.date(2024, 1, day), ticker.zfill(3)) for day in range(1, 27) for ticker in TICKERS]
    for day, ticker in chance.choices(cells, k=extent(20, 500)):
        check(loads, loads.settings, day, ticker)
        check(loads, without, day, ticker, rejects=False)


def test_drops_that_the_lake_does_not_have_yet_are_found_in_their_files(loads: Loads) -> None:
    """The lake comes some seconds after the tables."""
    loads.home.lake = None
    content = "date,id,price,trade_volume\n2024-01-03,AAPL,77,\n2024-01-03,AAPL,78,9\n"
    loads.drops[loads.home.load("late.csv", content)] = content
    check(loads, loads.settings, dt.date(2024, 1, 3), "AAPL")


def test_a_file_that_is_gone_or_changed_is_named(empty: Loads, tmp_path: Path) -> None:
    """With a lake the value stays known, without its line; without one the note says what does not fit."""
    for key, price in (("a.csv", 1), ("b.csv", 2), ("c.csv", 3)):
        empty.home.load(key, f"date,id,price,trade_volume\n2024-01-02,A,{price},\n")
    success = tmp_path / "home" / "success"
    (success / "a.csv").unlink()
    (success / "b.csv").write_text("date,id,price,trade_volume\n2024-01-02,A,4,\n")
    (success / "c.csv").write_text("shorter")
    found = explain(empty.settings, 19_724, "A")
    assert plain(found)[0] == [(1, None, 1.0, None), (2, None, 2.0, None), (3, None, 3.0, None)]
    assert found.gone == {
        1: f"its file is gone; looked for {success}/a.csv",
        2: f"its file was changed since: it says something else now ({success}/b.csv)",
        3: f"its file was changed since: expected 43 bytes in {success}/c.csv, got 7",
    }
    assert found.notes == []
    without = explain(empty.settings.model_copy(update={"lake": None}), 19_724, "A")
    assert without.gone.keys() == {1, 2, 3}
    assert (list(without.given), without.now.price) == ([], 3.0)
    assert without.notes[0].startswith("the tables hold 3.0 for 2024-01-02, but what the drops that can still be read")


def test_the_command_prints_it_on_narrow_terminals_too(empty: Loads, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both prices with their files and lines; a cell without a price has exit code 1 and its neighbours."""
    empty.home.load("a.csv", "date,id,price,trade_volume\n2024-01-02,A,2,7\n2024-01-03,A,30,\n")
    empty.home.load("b.csv", "date,id,price,trade_volume\n2024-01-03,A,3,\n2024-01-03,A,x,\n")
    monkeypatch.setenv("STOCKETL_DATABASE", empty.settings.database or "")
    home = str(empty.settings.home)
    said = CliRunner().invoke(app, ["explain", "2024-01-03", "a", "--home", home])
    lines = said.output.splitlines()
    assert (said.exit_code, lines[0]) == (0, "A on 2024-01-03")
    assert lines[1].startswith("price     3.0, from drop 2, b.csv line 2, loaded 20")
    assert [line.split(maxsplit=1)[1].rstrip() for line in lines[2:5]] == [
        f"{home}/success/b.csv",
        "not known",
        "0.5 = 3.0 / 2.0 - 1",
    ]
    assert lines[5].startswith("  before  2.0 on 2024-01-02, from drop 1, a.csv line 2, loaded 20")
    assert [line.split()[:4] for line in lines[8:10]] == [["1", "3", "30.0", "replaced"], ["2", "2", "3.0", "price"]]
    assert lines[-1].split() == ["2", "3", "bad-price", "2024-01-03,A,x,"]
    monkeypatch.setenv("COLUMNS", "40")
    narrow = CliRunner().invoke(app, ["explain", "2024-01-04", "A", "--home", home])
    assert narrow.exit_code == 1
    assert "before it 2024-01-03" in narrow.output
    titles = ("given for", "1 rejected row")  # a terminal wraps them by itself
    assert max(len(line) for line in narrow.output.splitlines() if not line.startswith(titles)) <= 40
    facts = CliRunner().invoke(app, ["explain", "2024-01-03", "A", "--json", "--home", home])
    assert '"line": 2' in facts.output
