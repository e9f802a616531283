"""`stocketl suspects` on homes whose drops were loaded by the job's own parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loaded_home import LoadedHome

from streaming.commands.suspects import show, suspects
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = "date,id,price,trade_volume\n"


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    rows = [f"2024-07-{day:02d},{name},{price + day % 3},5\n" for day in range(1, 11) for name, price in LEVELS.items()]
    made.load("calm.csv", HEADER + "".join(rows))
    yield made
    made.close()


LEVELS = {f"T{number:02d}": 100 + 25 * number for number in range(12)}


def test_suspects_are_told_newest_first_with_the_price_beside_them(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """Slips, swapped tickers, a date that repeats the one before, and a date to come."""
    show(suspects(home.settings, every=False))
    assert capsys.readouterr().out == "nothing is suspect\n"
    swap = {**LEVELS, "T00": LEVELS["T11"], "T11": LEVELS["T00"], "T05": LEVELS["T05"] * 100}
    rows = "".join(f"2024-07-11,{name},{price + 2},5\n" for name, price in swap.items())
    back = "".join(f"2024-07-12,{name},{price},5\n" for name, price in LEVELS.items())
    again = "".join(f"2024-07-13,{name},{price},5\n" for name, price in LEVELS.items())
    home.load("wrong.csv", HEADER + rows + back + again + "2199-01-01,T03,175,5\n")
    found = suspects(home.settings, every=True)
    assert found["kinds"] == {"future-date": 1, "repeated-date": 1, "swapped": 2, "unit-slip": 1}
    show(found)
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[1][:3] == ["2199-01-01", "all", "future-date"]
    assert lines[2][:3] == ["2024-07-13", "all", "repeated-date"]
    assert lines[3] == ["2024-07-11", "T00", "swapped", "377", "101", "3.733", "has", "the", "price", "of", "T11"]
    assert " ".join(lines[-1]) == "5 suspects: 1 future-date, 1 repeated-date, 2 swapped, 1 unit-slip"
    home.load("right.csv", HEADER + "".join(f"2024-07-11,{name},{price + 2},5\n" for name, price in LEVELS.items()))
    assert suspects(home.settings, every=True)["kinds"] == {"future-date": 1, "repeated-date": 1}
