"""Columns as few bytes: what comes out is bit by bit what went in."""

from __future__ import annotations

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given

from streaming.returns.packing import (
    packed,
    packed_prices,
    packed_steps,
    unpacked,
    unpacked_prices,
    unpacked_steps,
)

WHOLE = st.lists(st.integers(-(2**63), 2**63 - 1) | st.integers(-3, 300))
PRICES = st.floats(width=64) | st.integers(1, 10**9).map(lambda cents: cents / 100)


@given(WHOLE)
def test_numbers_come_back(numbers: list[int]) -> None:
    """Of any size and sign, also none at all, and those whose differences have no room."""
    column = np.array(numbers, np.int64)
    assert unpacked(*packed(column)).tolist() == numbers
    assert unpacked_steps(*packed_steps(column)).tolist() == numbers


@given(st.lists(st.tuples(PRICES, st.booleans())))
def test_prices_come_back(cells: list[tuple[float, bool]]) -> None:
    """Also those with many decimals, without a number, infinite, below zero, minus zero."""
    price, begins = np.array([price for price, _ in cells], np.float64), np.array([first for _, first in cells], bool)
    begins[:1] = True
    found = unpacked_prices(*packed_prices(price, begins), begins)
    assert found.view(np.int64).tolist() == price.view(np.int64).tolist()


@pytest.mark.parametrize(
    ("price", "width"),
    [([12.5, 12.75, 99.0, 98.99], 2), ([12.5, 12.7501, 99.0, 98.99], 3), ([1 / 3, 2.0, 3.0, 4.0], 8)],
)
def test_prices_take_the_bytes_of_their_digits(price: list[float], width: int) -> None:
    """Hundredths fit two bytes; one price with more decimals makes all of its column wider."""
    begins = np.array([True, False, True, False])
    assert len(packed_prices(np.array(price), begins)[1]) == width * len(price)


def test_numbers_that_are_the_same_take_no_bytes() -> None:
    """A date that every cell has, a ticker for each cell."""
    assert len(packed(np.full(5_000, -7, np.int32))[1]) == 0
    assert len(packed_steps(np.arange(5_000, dtype=np.int32))[1]) == 0
