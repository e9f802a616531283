"""The yardstick: the same tables by hand with polars and COPY, in one process that keeps nothing for a crash.

    python -m bench.peer load DATABASE FILE...     reads all files, writes all tables, prints the seconds it took
    python -m bench.peer follow DATABASE FOLDER    looks into the folder every 20 ms, writes each new file

The last row of a (date, id) wins, in order of the files, then of the rows. It supposes what the bench's files keep:
every row is good and has a volume, and `follow` gets one date a file, each newer than the last, with the same tickers.
"""

from __future__ import annotations

import io
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from psycopg2.extensions import connection, cursor

TICKERS_PER_TABLE = 800
KINDS = {
    "prices": ("price", "double precision"),
    "returns": ("return", "double precision"),
    "volume": ("volume", "bigint"),
}
_NAMES = {"ticker": "id", "close": "price", "trade_volume": "volume"}
_TYPES = {
    "date": pl.Date, "id": pl.Categorical, "ticker": pl.Categorical, "price": pl.Float64, "close": pl.Float64,
    "trade_volume": pl.Int64, "volume": pl.Int64,
}  # fmt: skip
_POLL_SECONDS = 0.02


def read(files: Sequence[Path]) -> pl.DataFrame:
    """All rows of the files in their order: columns date, id, price, volume."""
    frame = pl.scan_csv(list(files), schema_overrides=_TYPES)
    return frame.rename(_NAMES, strict=False).select("date", "id", "price", "volume").collect()


def with_returns(files: Sequence[Path]) -> pl.DataFrame:
    """The last row of each (date, id), sorted by id and date, with its return."""
    ticks = read(files).unique(subset=["date", "id"], keep="last").sort("id", "date")
    return ticks.with_columns((pl.col("price") / pl.col("price").shift(1).over("id") - 1).alias("return"))


def load(files: Sequence[Path], database: connection) -> None:
    """Fills the tables of an empty database from the files, in one transaction."""
    ticks = with_returns(files)
    ids = ticks["id"].unique().cast(pl.String).sort().to_list()
    with database, database.cursor() as cur:
        for number, group in _groups(ids):
            part = ticks if len(group) == len(ids) else ticks.filter(pl.col("id").cast(pl.String).is_in(group))
            for kind, (value, kind_type) in KINDS.items():
                wide = part.pivot(on="id", index="date", values=value)
                _create(cur, _table(kind, number), wide.columns[1:], kind_type)
                _copy(cur, _table(kind, number), wide)


def follow(folder: Path, database: connection) -> None:
    """Writes each new file of the folder, one row into each table in one transaction, until it is killed."""
    last: dict[str, float] = {}
    seen: set[str] = set()
    while True:
        names = sorted(path.name for path in folder.glob("[!.]*.csv"))
        for name in (name for name in names if name not in seen):
            ticks = read([folder / name]).with_columns(pl.col("id").cast(pl.String)).sort("id")
            ids, prices = ticks["id"].to_list(), ticks["price"].to_list()
            returns = [price / last[key] - 1 if key in last else None for key, price in zip(ids, prices, strict=True)]
            values = {"prices": prices, "returns": returns, "volume": ticks["volume"].to_list()}
            with database, database.cursor() as cur:
                _write_day(cur, str(ticks["date"][0]), ids, values, new=not last)
            last.update(zip(ids, prices, strict=True))
            seen.add(name)
        time.sleep(_POLL_SECONDS)


def _write_day(cur: cursor, day: str, ids: list[str], values: dict[str, list[Any]], *, new: bool) -> None:
    for number, group in _groups(ids):
        start = (number - 1) * TICKERS_PER_TABLE
        for kind, (_, kind_type) in KINDS.items():
            if new:
                _create(cur, _table(kind, number), group, kind_type)
            cells = values[kind][start : start + len(group)]
            row = "\t".join([day, *("\\N" if cell is None else repr(cell) for cell in cells)])
            cur.copy_expert(sql.SQL("COPY {} FROM STDIN").format(_table(kind, number)), io.StringIO(row + "\n"))


def _groups(ids: list[str]) -> Iterator[tuple[int, list[str]]]:
    for start in range(0, len(ids), TICKERS_PER_TABLE):
        yield start // TICKERS_PER_TABLE + 1, ids[start : start + TICKERS_PER_TABLE]


def _table(kind: str, number: int) -> sql.Identifier:
    return sql.Identifier(kind if number == 1 else f"{kind}_{number}")


def _create(cur: cursor, table: sql.Identifier, ids: Sequence[str], kind_type: str) -> None:
    columns: list[sql.Composable] = [
        sql.SQL(f"{{}} {kind_type}").format(sql.Identifier(f"stk_{ticker}")) for ticker in ids
    ]
    columns.insert(0, sql.SQL("date date PRIMARY KEY"))
    cur.execute(sql.SQL("CREATE TABLE {} ({})").format(table, sql.SQL(", ").join(columns)))


def _copy(cur: cursor, table: sql.Identifier, wide: pl.DataFrame) -> None:
    buffer = io.BytesIO()
    wide.write_csv(buffer, include_header=False)
    buffer.seek(0)
    cur.copy_expert(sql.SQL("COPY {} FROM STDIN (FORMAT csv)").format(table), buffer, 1 << 20)


def main() -> None:
    """One of the two commands; `load` prints `{"seconds": …}`, imports and the connection apart."""
    what, uri, *paths = sys.argv[1:]
    database = psycopg2.connect(uri)
    files = [Path(path) for path in paths]
    if what == "follow":
        print("ready", flush=True)  # noqa: T201 - the parent waits for it
        follow(files[0], database)
    files = sorted(files[0].iterdir()) if files[0].is_dir() else files
    started = time.perf_counter()
    load(files, database)
    print(json.dumps({"seconds": time.perf_counter() - started}))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
