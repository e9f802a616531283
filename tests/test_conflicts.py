"""Whether rows of one cell say the same, against a plain fold over them."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streaming.conflicts import differs
from streaming.packets import UNKNOWN_VOLUME

ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from([1.0, 2.0]), st.sampled_from([UNKNOWN_VOLUME, 0, 5])))


@given(ROWS)
def test_a_row_differs_from_the_last_price_or_the_last_known_volume_of_its_cell(
    rows: list[tuple[int, float, int]],
) -> None:
    """The first row of a cell differs from nothing, and an unknown volume from none."""
    ordered, expected, said = sorted(rows, key=lambda row: row[0]), [], {}
    for cell, price, volume in ordered:
        before, known = said.get(cell, (price, UNKNOWN_VOLUME))
        expected.append(price != before or (UNKNOWN_VOLUME not in {volume, known} and volume != known))
        said[cell] = price, known if volume == UNKNOWN_VOLUME else volume
    cells, prices, volumes = (
        np.array([row[n] for row in ordered], kind) for n, kind in ((0, "i8"), (1, "f8"), (2, "i8"))
    )
    assert differs(prices, volumes, cells).tolist() == expected
