"""How complete dates are: by the job's own table, or counted."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
from typing import TYPE_CHECKING

import psycopg2
import pytest
from extent import extent
from loaded_home import LoadedHome

from streaming.page.panels import completeness
from streaming.page.panels.completeness import CountedDates, missing
from streaming.page.panels.drops import dates_of_batches
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.screen import Facts

HEADER = "date,id,price,trade_volume\n"
DAY = dt.date(2024, 3, 4)
NAMES = ("date", "tickers", "expected", "missing", "state", "late_cells", "restated_cells")


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    with contextlib.closing(
        LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    ) as made:
        yield made


def told_by(home: LoadedHome, dates: CountedDates) -> Facts:
    assert home.settings.database is not None
    with contextlib.closing(psycopg2.connect(home.settings.database)) as connection, connection.cursor() as cur:
        return dates.dates(cur)


@pytest.mark.thorough
@pytest.mark.parametrize("seed", range(extent(2, 20)))
def test_what_the_job_keeps_is_shown_though_only_a_part_is_read_again(
    home: LoadedHome, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """After each drop: days in any order, tickers that end, that come back after months, and corrections of all."""
    chance, read = random.Random(seed), []  # noqa: S311 - a seed, not a secret
    whole = completeness._kept_since  # noqa: SLF001 - what is looked at
    monkeypatch.setattr(completeness, "_kept_since", lambda cur, since: read.append(since) or whole(cur, since))
    dates = CountedDates()
    days = [DAY + dt.timedelta(number) for number in range(60)]
    late = set(chance.sample(days[5:], 6))
    lives = {ticker: sorted(chance.choices(range(60), k=2)) for ticker in "ABCDEFGH"} | {"Z": [0, 59]}
    lives["Y"] = [0, 10]
    drops = [[day] for day in days if day not in late] + [[day] for day in late] + [chance.sample(days, 3)]
    given: list[str] = []
    for drop in drops:
        rows = [
            f"{day},{ticker},1,1\n"
            for day in drop
            for ticker, (first, last) in lives.items()
            if first <= (day - DAY).days <= last and chance.random() < 0.9
        ]
        if len(drop) == 3:
            rows.append(f"{max(drop)},Y,1,1\n")
        given += rows
        home.load(f"{drop[0]}-{len(drop)}.csv", HEADER + "".join(rows))
        follows(home, dates)
    assert {since > dt.date.min for since in read} == {True, False}
    for price in (2, 3):
        read.clear()
        home.load(
            "again.csv", HEADER + "".join(line.replace(",1,1", f",{price},1") for line in chance.sample(given, 20))
        )
        follows(home, dates)
        assert read == []


def follows(home: LoadedHome, dates: CountedDates) -> None:
    """Tells of the last batch as the desk does; then what is shown is what the job keeps."""
    assert home.settings.database is not None
    with contextlib.closing(psycopg2.connect(home.settings.database)) as connection, connection.cursor() as cur:
        touched = dates_of_batches(cur, [home.batch_id])
    if touched["first"] is not None:  # as the page has it; a drop may be empty
        dates.touched(touched["first"], touched["last"], new=touched["new"])
    told = told_by(home, dates)
    assert told["kept"]
    shown = [tuple(one[name] for name in NAMES) for one in told["dates"]]
    assert shown == home.ask(f"SELECT {', '.join(NAMES)} FROM stocketl.dates ORDER BY date")  # noqa: S608


def test_what_is_made_anew_is_read_anew(home: LoadedHome) -> None:
    """No batch tells of a job that made the table again, of another calendar, of a past that was counted."""
    home.load("a.csv", HEADER + "2024-03-04,A,1,1\n2024-03-05,A,1,1\n")
    dates = CountedDates()
    for change in (
        "UPDATE stocketl.writer SET epoch = epoch + 1",
        "INSERT INTO stocketl.sessions VALUES ('2024-03-04', 'XNYS')",
        "UPDATE stocketl.date_facts SET counted = false WHERE date = '2024-03-04'",
    ):
        before = told_by(home, dates)
        home.change("UPDATE stocketl.date_facts SET restated_cells = restated_cells + 1")
        assert told_by(home, dates) == before
        home.change(change)
        assert told_by(home, dates) == told_by(home, CountedDates()) != before


def test_without_it_dates_are_counted_and_after_a_batch_only_those_it_touched(database: str, tmp_path: Path) -> None:
    """A date that was not touched keeps its count, right or wrong; a touched one is counted again."""
    home = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    home.load("a.csv", HEADER + "2024-03-04,A,1,1\n2024-03-04,B,1,1\n2024-03-05,A,1,1\n")
    counted = CountedDates()
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("DELETE FROM stocketl.explained")
        shown = [(one["tickers"], one["missing"]) for one in counted.dates(cur)["dates"]]
        assert shown == [(2, 0), (1, 1)]
        cur.execute('UPDATE prices SET "stk_A" = NULL')
        assert [one["tickers"] for one in counted.dates(cur)["dates"]] == [2, 1]
        counted.touched(DAY, DAY)
        assert [one["tickers"] for one in counted.dates(cur)["dates"]] == [1, 1]
        assert missing(cur, dt.date(2024, 3, 5))["tickers"] == ["B"]
    home.close()
