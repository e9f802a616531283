"""Tickers that have each other's price."""

from __future__ import annotations

import numpy as np

from streaming.suspects.pairs import swapped


def partners(*cells: tuple[int, float, float]) -> list[int]:
    """cells: date, price, level."""
    date, price, level = zip(*cells, strict=True)
    return swapped(np.array(date, np.int32), np.array(price), np.array(level)).tolist()


def test_two_cells_of_one_date_that_have_each_others_level_are_partners() -> None:
    """A few percent of the day's own move do not matter."""
    assert partners((1, 50.0, 10.0), (1, 9.8, 51.0), (1, 300.0, 3.0)) == [1, 0, -1]


def test_cells_of_two_dates_are_no_partners() -> None:
    """Nor is a cell its own one."""
    assert partners((1, 50.0, 10.0), (2, 10.0, 50.0), (3, 7.0, 7.0)) == [-1, -1, -1]


def test_each_cell_has_one_partner_at_most() -> None:
    """The nearest one; three in a ring have none."""
    assert partners((1, 50.0, 10.0), (1, 10.4, 50.0), (1, 10.1, 50.0)) == [2, -1, 0]
    assert partners((1, 20.0, 10.0), (1, 40.0, 20.0), (1, 10.0, 40.0)) == [-1, -1, -1]
