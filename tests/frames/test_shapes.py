"""One Arrow table in three shapes: the same values, with the types of each."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from streaming.errors import SettingsError
from streaming.frames import shapes

DAYS = [dt.date(2024, 1, 2), dt.date(2024, 1, 3)]
WIDE = pa.table({"date": pa.array(DAYS), "A": [1.5, None], "B": pa.array([None, 7], pa.int64())})
LONG = pa.table({"id": ["A", "B"], "date": pa.array(DAYS), "volume": pa.array([None, 2**62 + 1], pa.int64())})


def test_pandas_has_dates_as_its_index_and_whole_numbers_that_may_be_unknown() -> None:
    """64 bits stay exact beside an unknown one."""
    frame = shapes.as_pandas(WIDE, "date")
    want = pd.DataFrame(
        {"A": [1.5, None], "B": pd.array([None, 7], "Int64")},
        pd.DatetimeIndex(DAYS, name="date").as_unit("ns"),
    )
    pd.testing.assert_frame_equal(frame, want)
    long = shapes.as_pandas(LONG, "id")
    assert long.index.tolist() == ["A", "B"]
    assert long["volume"].tolist() == [pd.NA, 2**62 + 1]
    assert long["date"].dtype == "datetime64[ns]"


def test_polars_and_arrow_keep_the_types_of_the_table() -> None:
    """Date, Float64 and Int64, with nulls."""
    assert shapes.as_polars(WIDE, "date").schema == {"date": pl.Date, "A": pl.Float64, "B": pl.Int64}
    assert shapes.as_polars(WIDE, "date").rows() == [(DAYS[0], 1.5, None), (DAYS[1], None, 7)]
    assert shapes.as_arrow(LONG, "id") is LONG


def test_a_ticker_called_date_is_refused_where_names_must_differ() -> None:
    """pandas has the dates in its index, so there it may stay."""
    twice = pa.Table.from_arrays([pa.array(DAYS), pa.array([1.0, 2.0])], ["date", "date"])
    assert shapes.as_pandas(twice, "date")["date"].tolist() == [1.0, 2.0]
    for made in (shapes.as_polars, shapes.as_arrow):
        with pytest.raises(SettingsError, match="a ticker is called 'date'"):
            made(twice, "date")
