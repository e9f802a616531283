"""The tables as of a moment against pandas."""

from __future__ import annotations

import datetime as dt
import random
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from extent import extent
from history_oracle import tables
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.explain.known import as_known
from streaming.lake.rows import SCHEMAS, TICKS

if TYPE_CHECKING:
    from history_oracle import Row, Tables

    from streaming.explain.known import Known

rows = st.tuples(
    st.sampled_from([-62_091, 0, 1, 2, 3, 9_000, 84_005]),
    st.sampled_from(["001", "BRK.B", 'x"%s', "ä"]),
    st.sampled_from([0.1, 0.3, 1e-9, 1e12, 99.99]),
    st.sampled_from([None, None, 0, 7, 2**63 - 1]),
)
drops = st.lists(st.lists(rows, max_size=6), max_size=6)


def lake_rows(given_rows: list[tuple[int, int, Row]]) -> pa.Table:
    """(seq, batch, row) as the lake keeps them."""
    columns: dict[str, list[object]] = {name: [] for name in SCHEMAS[TICKS].names}
    for seq, batch_id, (day, ticker, price, volume) in given_rows:
        values = (seq, dt.date(1970, 1, 1) + dt.timedelta(days=day), ticker, price, volume, batch_id)
        for name, value in zip(columns, values, strict=True):
            columns[name].append(value)
    return pa.table(columns, SCHEMAS[TICKS])


def plain(known: Known) -> Tables:
    """As the oracle has the tables; fails if a cell is there twice."""
    columns = (known.date, known.code, known.price, known.returns, known.volume)
    found: Tables = {
        (day, known.ids[code]): (price, None if np.isnan(change) else change, None if volume < 0 else volume)
        for day, code, price, change, volume in zip(*(column.tolist() for column in columns), strict=True)
    }
    assert len(found) == len(known)
    return found


@pytest.mark.thorough
@given(parts=drops, seed=st.integers(0, 99))
@settings(max_examples=extent(100, 500), deadline=None)
def test_any_rows_in_any_order_give_the_tables_of_pandas(parts: list[list[Row]], seed: int) -> None:
    """The last drop counts for the price, the last one with a volume for the volume, however the rows lie."""
    given_rows: list[tuple[int, int, Row]] = []
    for seq, drop in enumerate(parts, start=1):
        once = {(row[0], row[1]): row for row in drop}  # the lake has each cell of a drop once
        given_rows += [(seq, seq // 2, row) for row in once.values()]
    expected = tables([row for _, _, row in given_rows])
    shuffled = random.Random(seed).sample(given_rows, len(given_rows))  # noqa: S311 (a seed, not a secret)
    assert plain(as_known(lake_rows(given_rows))) == expected
    assert plain(as_known(lake_rows(shuffled))) == expected


def test_of_one_drop_the_row_of_its_later_batch_counts() -> None:
    """If a drop was read in several batches, its rows count in the order of the batches, wherever they lie."""
    first, second = (1, "A", 1.5, 5), (1, "A", 2.5, 7)
    assert plain(as_known(lake_rows([(3, 9, second), (3, 8, first)]))) == {(1, "A"): (2.5, None, 7)}


def test_a_cut_by_dates_keeps_the_returns() -> None:
    """The return of the first date that is shown comes from the date before it."""
    every = as_known(lake_rows([(1, 0, (day, "A", 2.0**day, None)) for day in range(5)]))
    assert plain(every.between(2, 3)) == {(2, "A"): (4.0, 1.0, None), (3, "A"): (8.0, 1.0, None)}


def test_as_a_table_what_is_not_there_is_null() -> None:
    """A cell without a volume or a previous price has no number that could be taken for one."""
    table = as_known(lake_rows([(1, 0, (1, "A", 2.0, None)), (1, 0, (2, "A", 3.0, 4))])).to_table()
    assert table.to_pydict() == {
        "date": [dt.date(1970, 1, 2), dt.date(1970, 1, 3)],
        "id": ["A", "A"],
        "price": [2.0, 3.0],
        "return": [None, 0.5],
        "volume": [None, 4],
    }
