"""Which row of each cell of a drop counts, compared with going through the rows one by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from extent import extent
from history_oracle import Row, ticks
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streaming.ticks import dedup
from streaming.ticks.dedup import last_rows

if TYPE_CHECKING:
    from collections.abc import Iterator

ROW = st.tuples(
    st.integers(0, 3), st.sampled_from(["A", "B", "C"]), st.sampled_from([1.0, 2.0]), st.sampled_from([None, 5, 6])
)
SORTED: list[Row] = [(date, ticker, 1.0, 5) for date in range(4) for ticker in "ABC"]


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    """A few rows are several pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dedup, "_PIECE", 4)
        yield


def slowly(rows: list[Row]) -> tuple[list[Row], list[int], list[int]]:
    """The rows that count, in their order; the places of the others, and of what replaces each."""
    last: dict[tuple[int, str], int] = {}
    replaced, by = [], {}
    volume: dict[tuple[int, str], int | None] = {}
    for place, (date, ticker, _, given_volume) in enumerate(rows):
        cell = (date, ticker)
        if cell in last:
            replaced.append(last[cell])
            by[last[cell]] = place
        last[cell] = place
        volume[cell] = volume.get(cell) if given_volume is None else given_volume
    counts = [(*rows[place][:3], volume[rows[place][0], rows[place][1]]) for place in sorted(last.values())]
    return counts, sorted(replaced), [by[place] for place in sorted(replaced)]


@given(st.one_of(st.lists(ROW, max_size=14), st.permutations(SORTED), st.just(SORTED)), st.booleans())
@example([*SORTED, SORTED[-1]], False)  # noqa: FBT003 - as drawn
@example([*SORTED[:4], SORTED[3]], False)  # noqa: FBT003 - as drawn
@example([*SORTED[:5], SORTED[4]], True)  # noqa: FBT003 - as drawn
@settings(max_examples=extent(200, 2000), deadline=None)
def test_the_last_row_of_each_cell_counts(rows: list[Row], by_ticker: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
    """Sorted by date, by ticker or not at all; the last volume that is known goes with it."""
    if by_ticker:
        rows = sorted(rows, key=lambda row: row[1])
    found = last_rows(ticks(rows))
    wanted, replaced, by = slowly(rows)
    kept = found.ticks
    columns = (kept.date, kept.code, kept.price, kept.volume)
    seen = [
        (date, kept.ids[code], price, None if volume < 0 else volume)
        for date, code, price, volume in zip(*(column.tolist() for column in columns), strict=True)
    ]
    assert (seen, found.replaced.tolist(), found.by.tolist()) == (wanted, replaced, by)


def test_a_ticker_without_a_row_is_left_out() -> None:
    """All its rows were bad; the others are renumbered."""
    rows = ticks([(date, ticker, 1.0, None) for date in range(3) for ticker in "AC"])
    given_ids = dedup.Ticks(["A", "B", "C", "D"], rows.code * np.int32(2), rows.date, rows.price, rows.volume)
    found = last_rows(given_ids).ticks
    assert (found.ids, found.code.tolist()) == (["A", "C"], [0, 1] * 3)
