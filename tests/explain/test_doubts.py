"""Suspects before a drop are those that the drop then opens and closes."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from loaded_home import LoadedHome

from streaming.explain.plan import plan
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.explain.plan import Plan

HEADER = "date,id,price,trade_volume\n"
SUSPECTS = "SELECT date::text, id, kind, price, level_date::text, level, cells FROM stocketl.suspects"


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    yield made
    made.close()


def planned(home: LoadedHome, folder: Path, content: str) -> Plan:
    file = folder / "file.csv"
    file.write_text(content)
    return plan(home.settings, str(file), "file.csv")


def told(found: Any) -> set[tuple[object, ...]]:
    return {(one.date, one.ticker, one.kind, one.price, one.beside_date, one.beside, one.cells) for one in found}


def days(chance: random.Random, first: int, count: int) -> list[str]:
    """Rows of some tickers with slips, day after day."""
    slips = [10, 0.01, 6, 1.4]
    rows = []
    for day in range(first, first + count):
        for ticker, level in (("A", 50.0), ("B", 7.0), ("C", 300.0)):
            price = level * chance.uniform(0.99, 1.01) * (chance.choice(slips) if chance.random() < 0.1 else 1)
            rows.append(f"2024-{day // 28 + 1:02d}-{day % 28 + 1:02d},{ticker},{price:.4f},{chance.choice(['', 9])}")
    return rows


def test_a_drop_opens_and_closes_what_was_foreseen(home: LoadedHome, tmp_path: Path) -> None:
    """New days, a correction of old ones, and a ticker that is new, on tables that the drops before have made."""
    chance = random.Random(4)  # noqa: S311 (a seed, not a secret)
    opened = 0
    for number in range(12):
        rows = days(chance, 6 * number, 6)
        rows += days(chance, chance.randrange(6 * number + 1), 1)[: number % 4]
        rows.append(f"2024-01-{number + 1:02d},N{number},{number + 1},")
        content = HEADER + "\n".join(rows) + "\n"
        found, before = planned(home, tmp_path, content), set(home.ask(SUSPECTS))
        home.load(f"{number}.csv", content)
        after = set(home.ask(SUSPECTS))
        assert told(found.suspects) == after - before
        assert {one[:2] for one in told(found.settled)} == {one[:2] for one in before} - {one[:2] for one in after}
        opened += len(after - before)
    assert opened > 5


def test_swapped_tickers_and_odd_dates_are_foreseen_too(home: LoadedHome, tmp_path: Path) -> None:
    """Two that have each other's price, a date that repeats the one before, one to come; and their corrections."""
    levels = {f"T{number:02d}": 200 + 25 * number for number in range(12)}

    def rows(date: str, prices: dict[str, int]) -> str:
        return "".join(f"{date},{name},{price},5\n" for name, price in prices.items())

    for day in range(1, 11):
        home.load(f"{day}.csv", HEADER + rows(f"2024-07-{day:02d}", {name: one + day for name, one in levels.items()}))
    swap = {**levels, "T00": levels["T11"], "T11": levels["T00"]}
    drops = (
        rows("2024-07-11", swap) + rows("2024-07-12", levels),
        rows("2024-07-13", levels) + "2199-01-01,T03,175,5\n",
        rows("2024-07-13", dict.fromkeys(["T01", "T02", "T03"], 99)) + "2199-01-01,T04,199,5\n",
        rows("2024-07-11", {name: price + 1 for name, price in levels.items()}),
        rows("2024-07-12", {name: price - 1 for name, price in levels.items()}),
    )
    kinds = set()
    for number, content in enumerate(drops):
        found, before = planned(home, tmp_path, HEADER + content), set(home.ask(SUSPECTS))
        home.load(f"more-{number}.csv", HEADER + content)
        after = set(home.ask(SUSPECTS))
        assert told(found.suspects) == after - before
        assert {one[:2] for one in told(found.settled)} == {one[:2] for one in before} - {one[:2] for one in after}
        kinds |= {one.kind for one in found.suspects}
    assert kinds >= {"swapped", "repeated-date", "future-date"}


def test_before_the_first_job_a_file_is_judged_by_itself(tmp_path: Path) -> None:
    """With the line of each suspect."""
    settings = load(environment=False, home=str(tmp_path / "home"))
    file = tmp_path / "a.csv"
    prices = [10, 10.1, 1010, 10.2, 10.1]
    file.write_text(HEADER + "".join(f"2024-01-0{day},A,{price},\n" for day, price in enumerate(prices, 1)))
    (one,) = plan(settings, str(file), None).suspects
    assert (one.date, one.line, one.kind, one.price, one.beside) == ("2024-01-03", 4, "unit-slip", 1010, 10.1)
