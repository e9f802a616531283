"""What reading costs: the parser of a worker on the same rows in four formats, in turns.

    python -m bench.formats FOLDER ROUNDS

Prints the CPU seconds of each round by format, as JSON.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import polars as pl

from bench import data
from streaming.profiles.profile import Profile
from streaming.ticks.how import How
from streaming.ticks.parse import parse

_TICKERS = 1_000
_LIMIT = 1 << 40
_COMMON = {
    "files": "*",
    "date": {"column": "Datum", "format": "%d.%m.%Y"},
    "ticker": "Kürzel",
    "price": "Schluss",
    "volume": "Volumen",
}
_GERMAN = Profile.model_validate({"name": "german", **_COMMON, "csv": {"delimiter": ";", "decimal": ","}})
_THOUSANDS = Profile.model_validate(
    {"name": "thousands", **_COMMON, "csv": {"delimiter": ";", "decimal": ",", "thousands": "."}}
)
FORMATS: dict[str, tuple[str, Profile | None]] = {
    "csv": ("a.csv", None),
    "profile": ("german.csv", _GERMAN),
    "thousands": ("thousands.csv", _THOUSANDS),
    "parquet": ("a.parquet", None),
}
"""The file of each format, and the profile that it is read by."""


def write(folder: Path, seed: int, dates: int) -> None:
    """The same rows in the four formats: dates in order, 1,000 tickers on each."""
    frame = data.in_order_of_date(seed, _TICKERS, dates).cast({"id": pl.String})
    frame.write_csv(folder / FORMATS["csv"][0])
    frame.write_parquet(folder / FORMATS["parquet"][0])
    german = frame.select(
        pl.col("date").dt.strftime("%d.%m.%Y").alias("Datum"),
        pl.col("id").alias("Kürzel"),
        pl.col("price").cast(pl.String).str.replace(".", ",", literal=True).alias("Schluss"),
        pl.col("trade_volume").alias("Volumen"),
    )
    german.write_csv(folder / FORMATS["profile"][0], separator=";")
    german.with_columns(
        pl.Series("Schluss", [_grouped(f"{price * 10:,.2f}") for price in frame["price"]]),
        pl.Series("Volumen", [_grouped(f"{volume:,}") for volume in frame["trade_volume"]]),
    ).write_csv(folder / FORMATS["thousands"][0], separator=";")


def _grouped(number: str) -> str:
    return number.translate(str.maketrans(",.", ".,"))


def measured(folder: Path, rounds: int) -> dict[str, list[float]]:
    """CPU seconds of each round by format, after one that warms up. Raises ValueError if a row was not read."""
    found: dict[str, list[float]] = {name: [] for name in FORMATS}
    contents = {name: (folder / file).read_bytes() for name, (file, _) in FORMATS.items()}
    rows = contents["csv"].count(b"\n") - 1
    for number in range(rounds + 1):
        for name, (file, profile) in FORMATS.items():
            started = time.process_time()
            parsed = parse(contents[name], file, How(text_ids=False, unpacked_limit=_LIMIT, profile=profile))
            if number:
                found[name].append(time.process_time() - started)
            if parsed.rows_loaded != rows:
                msg = f"{file}: expected {rows:,} rows, got {parsed.rows_loaded:,}: {parsed.failure or parsed.reasons}"
                raise ValueError(msg)
    return found


def main() -> None:
    """The command above."""
    folder, rounds = sys.argv[1:]
    print(json.dumps(measured(Path(folder), int(rounds))))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
