"""The three wide tables twice: as plain Python makes them from a list of drops, and as the database holds them."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import psycopg2
import pyarrow as pa
import pyarrow.csv
from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Iterable

UNKNOWN = -1  # a volume that no drop gave: keeps the column int64, so that 63 bits compare exactly
_HEADERS = {"date": "date", "id": "id", "ticker": "id", "symbol": "id", "price": "price", "close": "price"}
_HEADERS |= {"trade_volume": "volume", "volume": "volume"}
_DIFFERENCES_SHOWN = 20


@dataclass(frozen=True)
class Tables:
    """prices, returns: float64, NaN = NULL; volume: int64, -1 = NULL; index: dates, columns: canonical ids; sorted."""

    prices: pd.DataFrame
    returns: pd.DataFrame
    volume: pd.DataFrame


def expected(drops: Iterable[bytes], *, text_ids: bool = False) -> Tables:
    """The tables that these files, in seq order, must leave behind. A file without a good header loads nothing."""
    cells: dict[tuple[str, dt.date], tuple[float, int]] = {}
    for content in drops:
        for day, ticker, price, volume in _rows(content, text_ids=text_ids):
            known = cells.get((ticker, day), (price, UNKNOWN))[1]
            cells[ticker, day] = (price, known if volume == UNKNOWN else volume)
    long = pd.DataFrame(
        [(ticker, day, price, volume) for (ticker, day), (price, volume) in sorted(cells.items())],
        columns=["id", "date", "price", "volume"],
    )
    long["return"] = long.groupby("id")["price"].pct_change(fill_method=None)
    return Tables(_wide(long, "price", np.float64), _wide(long, "return", np.float64), _wide(long, "volume", np.int64))


def stored(database: str) -> Tables:
    """All column groups of the database, read in one snapshot through `stocketl.tickers`."""
    connection = psycopg2.connect(database)
    try:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        with connection.cursor() as cur:
            cur.execute("SELECT id, column_name, table_no FROM stocketl.tickers ORDER BY id")
            tickers = cur.fetchall()
            prices, returns = (_stored_table(cur, name, tickers, np.float64) for name in ("prices", "returns"))
            return Tables(prices, returns, _stored_table(cur, "volume", tickers, np.int64))
    finally:
        connection.close()


def assert_same(got: Tables, want: Tables) -> None:
    """Equal to the bit, dates and tickers included; the failure lists the cells that differ."""
    differences = [
        line
        for name in ("prices", "returns", "volume")
        for line in _differences(name, getattr(got, name), getattr(want, name))
    ]
    more = len(differences) - _DIFFERENCES_SHOWN
    shown = [*differences[:_DIFFERENCES_SHOWN], *([f"... and {more} more"] if more > 0 else [])]
    assert not differences, "\n".join(["the tables differ:", *shown])


def _rows(content: bytes, *, text_ids: bool) -> Iterable[tuple[dt.date, str, float, int]]:
    lines = csv.reader(io.StringIO(content.decode("utf-8-sig", "replace"), newline=""))
    header = [_HEADERS.get(name.strip().lower()) for name in next(lines, [])]
    at = {name: header.index(name) for name in ("date", "id", "price", "volume") if header.count(name) == 1}
    if len(at) < 4:
        return
    for row in lines:
        if len(row) == len(header):
            tick = _tick(*(row[at[name]] for name in ("date", "id", "price", "volume")), text_ids=text_ids)
            if tick is not None:
                yield tick


def _tick(date: str, ticker: str, price: str, volume: str, *, text_ids: bool) -> tuple[dt.date, str, float, int] | None:
    """None if a value is not one of the contract's."""
    ticker = ticker.strip()
    good = (
        re.fullmatch(r"\d{4}-\d{2}-\d{2}", date, re.ASCII)
        and re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", price, re.ASCII)
        and re.fullmatch(r"(\d+(\.0*)?)?", volume, re.ASCII)
        and 0 < len(ticker.encode()) <= 59
        and ticker.isprintable()
    )
    if not good:
        return None
    try:
        day = dt.date.fromisoformat(date)
    except ValueError:
        return None
    whole = int(volume.partition(".")[0]) if volume else UNKNOWN
    if not (1800 <= day.year < 2200 and 1e-9 <= float(price) <= 1e12 and whole < 2**63):
        return None
    return day, _canonical(ticker, text_ids=text_ids), float(price), whole


def _canonical(ticker: str, *, text_ids: bool) -> str:
    is_number = ticker.isascii() and ticker.isdigit()
    return f"{int(ticker):03d}" if is_number and not text_ids else ticker


def _wide(long: pd.DataFrame, column: str, dtype: type) -> pd.DataFrame:
    dates, tickers = sorted(set(long["date"])), sorted(set(long["id"]))
    values = np.full((len(dates), len(tickers)), _empty(dtype), dtype)
    values[pd.Index(dates).get_indexer(long["date"]), pd.Index(tickers).get_indexer(long["id"])] = long[column]
    return pd.DataFrame(values, dates, tickers)


def _empty(dtype: type) -> float | int:
    return UNKNOWN if dtype is np.int64 else np.nan


def _stored_table(
    cur: psycopg2.extensions.cursor, table: str, tickers: list[tuple[str, str, int]], dtype: type
) -> pd.DataFrame:
    groups: dict[int, list[tuple[str, str]]] = {}
    for ticker, column, number in tickers:
        groups.setdefault(number, []).append((ticker, column))
    frames = [
        _stored_group(cur, table if number == 1 else f"{table}_{number}", columns, dtype)
        for number, columns in groups.items()
    ]
    dates = sorted({day for frame in frames for day in frame.index})
    whole = pd.DataFrame(_empty(dtype), dates, [ticker for ticker, _, _ in tickers], dtype)
    for frame in frames:
        whole.loc[frame.index, frame.columns] = frame
    return whole.sort_index(axis=1)


def _stored_group(
    cur: psycopg2.extensions.cursor, table: str, columns: list[tuple[str, str]], dtype: type
) -> pd.DataFrame:
    names = sql.SQL(", ").join(map(sql.Identifier, ["date", *(column for _, column in columns)]))
    query = sql.SQL("COPY (SELECT {} FROM {} ORDER BY date) TO STDOUT (FORMAT csv)").format(
        names, sql.Identifier(table)
    )
    text = io.BytesIO()
    cur.copy_expert(query, text)
    ids = [ticker for ticker, _ in columns]
    if not text.tell():
        return pd.DataFrame(columns=ids, dtype=dtype)
    numbers = pa.int64() if dtype is np.int64 else pa.float64()
    read = pyarrow.csv.read_csv(
        pa.BufferReader(text.getvalue()),
        pyarrow.csv.ReadOptions(column_names=["", *ids]),
        convert_options=pyarrow.csv.ConvertOptions(column_types={"": pa.date32(), **dict.fromkeys(ids, numbers)}),
    )
    values = [read[name].fill_null(UNKNOWN if dtype is np.int64 else float("nan")).to_numpy() for name in ids]
    return pd.DataFrame(np.column_stack(values), read[""].to_pylist(), ids)


def _differences(table: str, got: pd.DataFrame, want: pd.DataFrame) -> list[str]:
    """One line for each ticker or date that is on one side only, then one for each cell that differs."""
    # A date with prices may have no row, or an empty one, where it has no return and no volume.
    got, want = _without_empty_rows(got), _without_empty_rows(want)
    lines = [
        f"{table}: {what} {name} {'missing' if name in right else 'not expected'}"
        for what, left, right in (("ticker", got.columns, want.columns), ("date", got.index, want.index))
        for name in sorted(set(left) ^ set(right))
    ]
    dates, tickers = got.index.intersection(want.index), got.columns.intersection(want.columns)
    left, right = (frame.loc[dates, tickers].to_numpy() for frame in (got, want))
    differ = _bits(left) != _bits(right)
    return lines + [
        f"{table} {dates[i]} {tickers[j]}: expected {right[i, j].item()!r}, got {left[i, j].item()!r}"
        for i, j in np.argwhere(differ)
    ]


def _without_empty_rows(frame: pd.DataFrame) -> pd.DataFrame:
    values = frame.to_numpy()
    filled = values != UNKNOWN if values.dtype == np.int64 else ~np.isnan(values)
    return frame[filled.any(axis=1)]


def _bits(values: np.ndarray) -> np.ndarray:
    if values.dtype == np.int64:
        return values
    return np.where(np.isnan(values), np.nan, values).view(np.int64)
