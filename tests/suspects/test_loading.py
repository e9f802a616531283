"""The surroundings of changed cells are read by few questions, whether they are few dates far apart or many."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING

import psycopg2
import pytest
from loaded_home import LoadedHome
from psycopg2.extensions import cursor

from streaming.settings import load
from streaming.suspects.loading import Stretch, around

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.ledger.tickers import Place

TICKERS, DAYS, REACH, FIRST = 8, 2_500, 5, 18_262  # 2020-01-01
PLACES: dict[str, Place] = {f"T{number:02}": (f"stk_T{number:02}", 1) for number in range(TICKERS)}


class Counting(cursor):
    """Counts what it is asked."""

    asked = 0

    def execute(self, *arguments: object) -> None:
        self.asked += 1
        super().execute(*arguments)  # type: ignore[arg-type]

    def copy_expert(self, *arguments: object) -> None:
        self.asked += 1
        super().copy_expert(*arguments)  # type: ignore[arg-type]


@pytest.fixture
def cur(database: str, tmp_path: Path) -> Iterator[Counting]:
    """Of a database with a price for each ticker on each day."""
    home = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    days = [dt.date(2020, 1, 1) + dt.timedelta(day) for day in range(DAYS)]
    lines = [f"{day},{ticker},{100 + number},{number}" for day in days for number, ticker in enumerate(PLACES)]
    home.load("a.csv", "\n".join(["date,id,price,trade_volume", *lines, ""]))
    home.close()
    with contextlib.closing(psycopg2.connect(database)) as connection:
        yield connection.cursor(cursor_factory=Counting)


def test_long_stretches_of_many_tickers_are_read_as_one_range(cur: Counting) -> None:
    """As a bulk load in random order leaves them: a question for each would read each wide row once for each ticker."""
    stretches = [Stretch(ticker, FIRST + 100, FIRST + 2_400) for ticker in PLACES]
    series = around(cur, stretches, PLACES, REACH)
    assert cur.asked < 10, cur.asked
    assert len(series) == TICKERS * (2_301 + 2 * REACH)
    assert series.date.min() == FIRST + 100 - REACH


def test_a_few_cells_far_apart_are_asked_for_one_by_one(cur: Counting) -> None:
    """Two corrections years apart read no row between them."""
    stretches = [Stretch("T01", FIRST + 20, FIRST + 20), Stretch("T07", FIRST + 2_480, FIRST + 2_480)]
    wide = {ticker: place for ticker, place in PLACES.items() if ticker in {"T01", "T07"}}
    series = around(cur, stretches, wide, REACH)
    assert series.date.tolist() == [
        *range(FIRST + 20 - REACH, FIRST + 21 + REACH),
        *range(FIRST + 2_480 - REACH, FIRST + 2_481 + REACH),
    ]
    assert series.code.tolist() == [0] * (2 * REACH + 1) + [1] * (2 * REACH + 1)
