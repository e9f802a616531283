"""Two ways to say what one drop did, and the search for the nearest cell that was there at a moment."""

from __future__ import annotations

import numpy as np
from extent import extent
from history_oracle import ticks
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.corrections import Values
from streaming.packets import UNKNOWN_VOLUME
from streaming.returns.chunks import Cells, cell_key
from streaming.returns.transitions import Transitions, _Nearest, of_drops, of_one_drop
from streaming.returns.window import Given, gather, returns_of

keys = st.sets(st.tuples(st.integers(0, 2), st.integers(1, 6)), min_size=1)


def plain(found: Transitions) -> set[tuple[object, ...]]:
    columns = [found.seq, found.place, found.given, *found.before, *found.after]
    return {tuple("-" if value != value else value for value in row) for row in zip(*columns, strict=True)}  # noqa: PLR0124 (NaN)


def window(given: Given, there: set[tuple[int, int]]) -> tuple[Cells, np.ndarray]:
    """Cells that were there, with room for those that are given, and the place of each given one."""
    were = cell_key(*(np.array(column, np.int32) for column in zip(*sorted(there), strict=True)))
    key = np.union1d(were, given.key)
    known = np.isin(key, were)
    price = np.where(known, 1.0 + key % 3, np.nan)
    volume = np.where(known, key % 2 * 7, UNKNOWN_VOLUME)
    return Cells(key, price, volume, np.zeros(len(key), np.uint8)), np.searchsorted(key, given.key[given.starts])


@given(there=keys, drop=keys, price=st.sampled_from([1.0, 2.0, 5.0]), volume=st.sampled_from([UNKNOWN_VOLUME, 0, 7]))
@settings(max_examples=extent(100, 1000), deadline=None)
def test_a_drop_by_itself_does_the_same_by_both_ways(
    there: set[tuple[int, int]], drop: set[tuple[int, int]], price: float, volume: int
) -> None:
    """The difference of two windows says what looking up each cell at its moment says, to the bit."""
    rows = [(date, str(code), price, None if volume < 0 else volume) for code, date in sorted(drop)]
    taken = gather([(4, ticks(rows))], lambda ids: np.array([int(ticker) for ticker in ids], np.int32)).given()
    old, at = window(taken, there)
    now = old.copy()
    now.price[at] = price
    if volume != UNKNOWN_VOLUME:
        now.volume[at] = volume
    were = np.flatnonzero(~np.isnan(old.price))
    returns = np.full(len(old.key), np.nan)
    returns[were] = returns_of(old.take(were))
    difference = of_one_drop(
        4, Values(old.price, old.volume, returns), Values(now.price, now.volume, returns_of(now)), at
    )
    looked_up = of_drops(old, taken, at)
    differs = looked_up.given | looked_up.before.return_differs(looked_up.after)
    assert plain(looked_up.take(differs)) == plain(difference)


@given(value=st.lists(st.integers(0, 5), min_size=1, max_size=30), limit=st.integers(-1, 6))
def test_the_next_place_of_at_most_a_value_is_found_from_everywhere(value: list[int], limit: int) -> None:
    """From each place the first one behind it, or the end."""
    expected = [
        next((at for at in range(start + 1, len(value)) if value[at] <= limit), len(value))
        for start in range(len(value))
        if value[start] <= limit
    ]
    start = np.flatnonzero(np.array(value) <= limit)
    assert _Nearest(np.array(value)).at_most(start, np.full(len(start), limit)).tolist() == expected
