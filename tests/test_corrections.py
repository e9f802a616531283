"""What a drop did, as numbers and as a table."""

from __future__ import annotations

import datetime as dt

import numpy as np

from streaming.corrections import NAMES, SCHEMA, Corrections, Did, Values
from streaming.packets import UNKNOWN_VOLUME


def test_parts_of_a_drop_add_up_and_may_take_back() -> None:
    """Each count by itself, below zero too."""
    assert Did(1, 2, 3, 4, 5) + Did(1, -2, 2, -1) == Did(2, 0, 5, 3, 5)
    assert NAMES == ("cells_new", "cells_changed", "cells_same", "returns_rewritten", "tickers_new")


def test_the_table_has_nulls_where_there_is_no_value() -> None:
    """No return is null, and so is a volume that is not known; a return of zero is a value."""
    before = Values(np.array([1.0, 2.0]), np.array([UNKNOWN_VOLUME, 0]), np.array([np.nan, 0.0]))
    after = Values(np.array([1.5, 2.0]), np.array([7, 0]), np.array([np.nan, 0.25]))
    made = Corrections(np.array([3, 4]), ["B"], np.array([0, 0], np.int32), np.array([1, 2], np.int32), before, after)
    table = made.to_table()
    assert (len(made), table.schema) == (2, SCHEMA)
    assert [tuple(row.values()) for row in table.to_pylist()] == [
        (3, dt.date(1970, 1, 2), "B", 1.0, 1.5, None, 7, None, None),
        (4, dt.date(1970, 1, 3), "B", 2.0, 2.0, 0, 0, 0.0, 0.25),
    ]
    assert Corrections.empty().to_table().num_rows == 0
