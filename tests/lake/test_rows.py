"""Rows for the lake as Parquet: few bytes, in encodings that every reader knows."""

from __future__ import annotations

import datetime as dt

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming.lake.rows import SCHEMAS, TICKS, encoded


def day(tickers: int, days: int) -> pa.Table:
    """So many random rows for each day, with two decimals and volumes of up to ten million."""
    rng, count = np.random.default_rng(1), tickers * days
    columns = {
        "seq": np.full(count, 7),
        "date": [dt.date(2024, 1, 1 + number // tickers) for number in range(count)],
        "id": [f"S{number % tickers:05}" for number in range(count)],
        "price": rng.integers(2_000, 50_000, count) / 100,
        "volume": rng.integers(0, 10_000_000, count),
        "batch_id": np.full(count, 7),
    }
    return pa.table(columns, SCHEMAS[TICKS])


def test_a_day_of_many_tickers_takes_few_bytes() -> None:
    """Of some ten bytes a row the price and the volume take seven; snappy took 17."""
    rows = day(10_000, 1)
    data = encoded(rows)
    assert len(data) / rows.num_rows < 10
    assert pq.read_table(pa.BufferReader(data), page_checksum_verification=True) == rows


@pytest.mark.parametrize(("tickers", "days", "listed"), [(1_000, 1, False), (1_000, 2, False), (1_000, 3, True)])
def test_tickers_are_listed_beside_the_rows_if_they_repeat(tickers: int, days: int, listed: bool) -> None:  # noqa: FBT001
    """A list that is as long as the rows would take its bytes twice."""
    group = pq.read_metadata(pa.BufferReader(encoded(day(tickers, days)))).row_group(0)
    columns = (group.column(at) for at in range(group.num_columns))
    found = {column.path_in_schema: "RLE_DICTIONARY" in column.encodings for column in columns}
    expected = {"seq": True, "date": True, "id": listed, "price": False, "volume": False, "batch_id": True}
    assert found == expected
