"""Seeded files of prices: the same bytes for the same seed, written by polars.

Every cell has a price (whole cents) and a volume; tickers are `S00001` and so on. A ticker's prices stay within 1 % of
its level, between 20 and 480, as no real one's do for long: what a load costs must not depend on how many of them the
job finds suspect.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import polars as pl

if TYPE_CHECKING:
    from pathlib import Path

HEADER = "date,id,price,trade_volume\n"
FIRST_DAY = date(1830, 1, 1)  # 50,000 dates and some thousand drips fit before the contract's last year
FILES = 10  # of every load
EPOCH = date(1970, 1, 1)
_BYTES_OF_A_BAR = 55
FIRST_MODIFIED = 1_700_000_000  # a fixed time, one second later for each file: the order of arrival

Codes = npt.NDArray[np.int64]


def tickers(count: int) -> list[str]:
    """The names of so many tickers, in sorted order."""
    return [f"S{number:05}" for number in range(1, count + 1)]


def day(number: int) -> date:
    """The date so many days after the first one."""
    return date.fromordinal(FIRST_DAY.toordinal() + number)


def frame(rng: np.random.Generator, names: list[str], days: Codes, codes: Codes) -> pl.DataFrame:
    """Rows with random prices and volumes; `days` count from `FIRST_DAY`, `codes` are positions in `names`."""
    shift = (FIRST_DAY - EPOCH).days
    level = 2_000 + codes * 7_919 % 46_000  # cents
    return pl.DataFrame(
        {
            "date": pl.Series(days + shift).cast(pl.Int32).cast(pl.Date),
            "id": pl.Series(codes).cast(pl.UInt32).cat.to(pl.Enum(names)),
            "price": np.round(level * rng.uniform(0.99, 1.01, len(days))) / 100,
            "trade_volume": rng.integers(0, 10_000_000, len(days)),
        }
    )


def one_day(path: Path, seed: int, count: int, number: int) -> Path:
    """One file with one row for each ticker on one date."""
    rng = np.random.default_rng([seed, count, number])
    frame(rng, tickers(count), np.full(count, number), rng.permutation(count)).write_csv(path)
    return path


def shuffled(folder: Path, seed: int, count: int, first: int, dates: int, *, times: int = 1) -> list[Path]:
    """Ten files that hold every cell of `dates` dates so many times, rows in random order."""
    rng = np.random.default_rng([seed, count, dates, times])
    order = rng.permutation(count * dates * times)
    pieces = np.array_split(order, FILES)
    return _write(folder, [_rows(rng, piece % (count * dates), count, first) for piece in pieces])


def in_order_of_date(seed: int, count: int, dates: int) -> pl.DataFrame:
    """Every cell of so many dates once, in order of date."""
    return _rows(np.random.default_rng([seed, count, dates]), np.arange(dates * count), count, 0)


def in_order(folder: Path, seed: int, count: int, first: int, dates: int) -> list[Path]:
    """Ten files with every cell of `dates` dates once, in order of date."""
    rng = np.random.default_rng([seed, count, first, dates])
    pieces = np.array_split(np.arange(dates), FILES)
    cells = [np.arange(p[0] * count, (p[-1] + 1) * count) for p in pieces if len(p)]
    return _write(folder, [_rows(rng, piece, count, first) for piece in cells])


def corrections(path: Path, seed: int, count: int, dates: int, rows: int) -> tuple[date, str, float]:
    """Writes a file that corrects `rows` random cells; the date, ticker and new price of the last one.

    The new prices have four decimals: none of them was there before.
    """
    rng = np.random.default_rng([seed, count, dates])
    return _corrected(path, seed, _rows(rng, rng.choice(count * dates, rows, replace=False), count, 0))


def correction(path: Path, seed: int, count: int, dates: int, ticker: str) -> tuple[date, float]:
    """Writes a file that corrects one random cell of a ticker; its date and its new price, as in `corrections`."""
    rng = np.random.default_rng([seed, count, dates])
    cell = rng.integers(dates, size=1) * count + tickers(count).index(ticker)
    day, _, price = _corrected(path, seed, _rows(rng, cell, count, 0))
    return day, price


def swarm(folder: Path, seed: int, count: int, files: int) -> list[Path]:
    """Files of one row each, every (date, id) once."""
    rng = np.random.default_rng([seed, files])
    lines = _rows(rng, rng.permutation(files), count, 1).write_csv(include_header=False).splitlines()
    folder.mkdir(parents=True)
    paths = [folder / f"{number:05}.csv" for number in range(files)]
    for path, line in zip(paths, lines, strict=True):
        path.write_text(f"{HEADER}{line}\n")
    return paths


def dump(path: Path, seed: int, count: int, size: int, first: int = 0) -> Path:
    """One file of at least `size` bytes: a vendor's daily bars in order of date, all tickers on each of them.

    first: the number of the first date.
    """
    rng = np.random.default_rng(seed)
    step = max(1, min(1_000_000, size // _BYTES_OF_A_BAR) // count)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as sink:
        for number in range(first, 1 << 30, step):
            rows = _rows(rng, np.arange(step * count), count, number)
            spread = pl.Series(rng.integers(1, 100, len(rows))) / 100
            bars = rows.select(
                "date",
                ticker="id",
                open=(pl.col("price") + spread / 2).round(3),
                high=(pl.col("price") + spread).round(2),
                low=(pl.col("price") - spread).round(2),
                close="price",
                volume="trade_volume",
            )
            bars.write_csv(sink, include_header=number == first)
            if sink.tell() >= size:
                return path
    msg = f"{size} bytes are too many"
    raise ValueError(msg)


def _corrected(path: Path, seed: int, rows: pl.DataFrame) -> tuple[date, str, float]:
    rows = rows.with_columns(price=(pl.col("price") + 0.0001 * (1 + seed % 90)).round(4))
    path.parent.mkdir(parents=True, exist_ok=True)
    rows.write_csv(path)
    last = rows.row(-1)
    return last[0], str(last[1]), last[2]


def _rows(rng: np.random.Generator, cells: Codes, count: int, first: int) -> pl.DataFrame:
    return frame(rng, tickers(count), first + cells // count, cells % count)


def _write(folder: Path, frames: list[pl.DataFrame]) -> list[Path]:
    folder.mkdir(parents=True)
    paths = [folder / f"{number:02}.csv" for number in range(len(frames))]
    for path, rows in zip(paths, frames, strict=True):
        rows.write_csv(path)
    return paths
