"""Inputs too large to write out: the public five-year set (or its like), many tickers, a random mix of drops."""

from __future__ import annotations

import datetime as dt
import gzip
import random
from pathlib import Path

HEADER = "date,id,price,trade_volume"
_REAL = Path(__file__).resolve().parents[3] / "shared" / "data" / "sp500_5yr_projected.csv.gz"
_FIRST_DAY = dt.date(2013, 2, 8)


def five_years() -> list[str]:
    """Rows `date,id,price,trade_volume`, no two of one (date, id): the real set where it lies beside the project.

    Elsewhere a seeded one of the same shape: 505 tickers, 1,259 trading days, 35 tickers that start later.
    """
    if _REAL.exists():
        return gzip.decompress(_REAL.read_bytes()).decode().splitlines()[1:]
    chance = _chance(5)
    days = _trading_days(1_259)
    tickers = ["BRK.B", "BF.B", *(f"T{number}" for number in range(503))]
    starts = [0] * 470 + [chance.randrange(1, len(days)) for _ in range(35)]
    return [
        f"{day},{ticker},{_price(chance)},{chance.randrange(10**8)}"
        for ticker, start in zip(tickers, starts, strict=True)
        for day in days[start:]
    ]


def one_drop_per_month(lines: list[str], seed: int) -> list[bytes]:
    """One file for each month, months and the rows in them in random order."""
    chance = _chance(seed)
    months: dict[str, list[str]] = {}
    for line in lines:
        months.setdefault(line[:7], []).append(line)
    drops = list(months.values())
    chance.shuffle(drops)
    return [_file(chance.sample(month, len(month))) for month in drops]


def many_tickers(tickers: int, days: int, drops: int, seed: int) -> list[bytes]:
    """Whole-number ids from 1, each with a price on each day, every seventh volume unknown, rows in random order."""
    chance = _chance(seed)
    lines = [
        f"{day},{number},{_price(chance)},{'' if (number + day.day) % 7 == 0 else chance.randrange(10**9)}"
        for number in range(1, tickers + 1)
        for day in _trading_days(days)
    ]
    chance.shuffle(lines)
    return [_file(lines[start::drops]) for start in range(drops)]


def random_mix(seed: int) -> list[tuple[str, bytes]]:
    """Fourteen drops (key, content): new and late dates, corrections, gaps, repeated rows, rejects, a key given twice,
    two drops of one date, one drop that is far larger than the others.
    """
    chance = _chance(seed)
    days, tickers = _trading_days(30), ["1", "02", "BRK.B", "NA", "x y"]
    mix: list[tuple[str, bytes]] = []
    dates: list[dt.date] = []
    for number in range(14):
        if number != 7:  # has the dates of the drop before it
            dates = chance.sample(days, 30 if number == 4 else chance.randrange(1, 4))
        lines = [
            f"{day},{ticker},{_price(chance)},{chance.choice(['', '0', '12.000', str(chance.randrange(10**12))])}"
            for day in dates
            for ticker in tickers
            for _ in range(chance.choice([0, 1, 1, 1, 2]) if number != 4 else 3)
        ]
        lines.insert(chance.randrange(len(lines) + 1), f"{dates[0]},{tickers[0]},-1,5")
        chance.shuffle(lines)
        key = {1: "daily.csv", 8: "daily.csv"}.get(number, f"part {number % 3}/drop-{number}.csv")
        mix.append((key, _file(lines)))
    return mix


def _trading_days(count: int) -> list[dt.date]:
    days = (_FIRST_DAY + dt.timedelta(number) for number in range(2 * count + 7))
    return [day for day in days if day.weekday() < 5][:count]


def _chance(seed: int) -> random.Random:
    return random.Random(seed)  # noqa: S311 (test data that must be the same each time)


def _price(chance: random.Random) -> float:
    return round(chance.uniform(1, 500), 4)


def _file(lines: list[str]) -> bytes:
    return "\n".join([HEADER, *lines, ""]).encode()
