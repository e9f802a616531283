"""The fingerprint of cells: the same for the same cells, another one for any other, and kept up by differences."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import numpy as np
from history_oracle import Row, ticks
from hypothesis import given
from hypothesis import strategies as st

from streaming import fingerprint
from streaming.fingerprint import NOTHING, Fingerprint, joined, of_ticks

if TYPE_CHECKING:
    import pytest

ROW = st.tuples(
    st.integers(-62_091, 84_005),
    st.sampled_from(["001", "BRK.B", "é", 'x"%s']),
    st.floats(1e-9, 1e12),
    st.one_of(st.none(), st.integers(0, 2**63 - 1)),
)
ROWS = st.lists(ROW, max_size=12)


@given(rows=ROWS, data=st.data())
def test_the_order_of_the_rows_does_not_matter(rows: list[Row], data: st.DataObject) -> None:
    """Nor does the order of the tickers, nor how the rows are dealt to parts."""
    shuffled = data.draw(st.permutations(rows))
    cut = data.draw(st.integers(0, len(rows)))
    parts = of_ticks(ticks(shuffled[:cut])) + of_ticks(ticks(shuffled[cut:]))
    assert of_ticks(ticks(shuffled)) == of_ticks(ticks(rows)) == parts


@given(rows=ROWS, other=ROWS)
def test_other_rows_have_another_fingerprint(rows: list[Row], other: list[Row]) -> None:
    """Whatever differs: a date, a ticker, the last bit of a price, an unknown volume and one of zero."""
    same = sorted(map(repr, rows)) == sorted(map(repr, other))
    assert (of_ticks(ticks(rows)) == of_ticks(ticks(other))) == same


@given(row=ROW)
def test_each_of_the_four_values_counts(row: Row) -> None:
    """One changed value is one changed sum; the number of cells stays."""
    date, ticker, price, volume = row
    others = [
        (date + 1, ticker, price, volume),
        (date, f"{ticker}x", price, volume),
        (date, ticker, float(np.nextafter(price, np.inf)), volume),
        (date, ticker, price, 0 if volume is None else None),
    ]
    found = of_ticks(ticks([row]))
    for other in others:
        changed = of_ticks(ticks([other]))
        assert changed.cells == found.cells == 1
        assert changed.sum != found.sum


def test_a_cell_has_the_same_fingerprint_in_every_version(monkeypatch: pytest.MonkeyPatch) -> None:
    """Databases and checkpoints keep sums that an older version has made."""
    rows: list[Row] = [
        (19_786, "BRK.B", 412.5, 1_000),
        (-62_091, "é", 1e-9, None),
        (84_005, "001", 1e12, 2**63 - 1),
    ]
    sums = [8004558400619803041, 166890771696298866, -2395768113334327838]
    assert [of_ticks(ticks([row])).sum for row in rows] == sums
    monkeypatch.setattr(fingerprint, "_BLOCK", 2)
    assert of_ticks(ticks(rows)) == Fingerprint(3, 5775681058981774069)


def test_sums_wrap_as_postgresqls_bigint() -> None:
    """Adding and taking away stays within 63 bits and a sign, and ends where it began."""
    largest = Fingerprint(1, 2**63 - 1)
    assert largest + largest == Fingerprint(2, -2)
    assert largest + largest - largest - largest == NOTHING
    assert joined("ffffffffffffffff", "2") == "0000000000000001"
    assert dataclasses.astuple(of_ticks(ticks([]))) == (0, 0)
