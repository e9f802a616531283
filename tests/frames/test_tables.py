"""Frames of all groups against the tables that the oracle makes of the same files."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg2
import pyarrow as pa
import pytest
from asked_home import HOSTILE, AskedHome
from tables import UNKNOWN

from streaming.frames import tables

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pandas as pd


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AskedHome]:
    with contextlib.closing(AskedHome(database, tmp_path, monkeypatch)) as made:
        yield made


def asked(home: AskedHome, kind: str, *what: Any) -> pa.Table:
    with contextlib.closing(psycopg2.connect(home.uri)) as connection, connection.cursor() as cur:
        return tables.wide(cur, kind, *what)


def wanted(table: pd.DataFrame, ids: list[str]) -> list[dict[str, Any]]:
    """The oracle's rows that have a value, as Arrow would list them."""
    empty = table.dtypes.iloc[0] == np.int64
    rows = []
    for day, values in table[ids].iterrows():
        cells = [None if (value == UNKNOWN if empty else np.isnan(value)) else value for value in values.tolist()]
        if any(cell is not None for cell in cells):
            rows.append({"date": day, **dict(zip(ids, cells, strict=True))})
    return rows


@pytest.mark.parametrize("kind", ["prices", "returns", "volume"])
def test_all_tickers_over_all_groups(home: AskedHome, kind: str) -> None:
    """Bit by bit, with a null for each empty cell, though the groups have different dates."""
    home.drop_hostile(1, HOSTILE[:4], dates=5)
    home.drop_hostile(2)
    found = asked(home, kind, None, None, None)
    assert found.to_pylist() == wanted(getattr(home.want, kind), sorted(HOSTILE))
    assert found.schema.types == [pa.date32(), *[pa.int64() if kind == "volume" else pa.float64()] * len(HOSTILE)]


def test_some_tickers_in_the_order_asked_for_within_some_dates(home: AskedHome) -> None:
    """Both limits are included; a date without a value of these tickers is left out."""
    home.drop_hostile(3)
    ids = ["NULL", "AAPL", "007"]
    start, end = dt.date(2024, 1, 3), dt.date(2024, 1, 6)
    rows = [row for row in wanted(home.want.prices, ids) if start <= row["date"] <= end]
    assert asked(home, "prices", ["NULL", "aapl", "7", "AAPL"], start, end).to_pylist() == rows


def test_no_ticker_and_no_date_give_an_empty_frame_with_types(home: AskedHome) -> None:
    """Before the first drop, and outside of the dates."""
    assert asked(home, "prices", None, None, None).to_pylist() == []
    home.drop_hostile(4)
    assert asked(home, "prices", [], None, None).to_pylist() == []
    found = asked(home, "volume", ["AAPL"], dt.date(1999, 1, 1), dt.date(1999, 1, 2))
    assert (found.num_rows, found.schema.names, found.schema.types) == (0, ["date", "AAPL"], [pa.date32(), pa.int64()])
