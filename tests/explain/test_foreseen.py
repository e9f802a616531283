"""What a drop would change against pandas over all rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from extent import extent
from history_oracle import differences, plain, tables, ticks
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.explain.foreseen import foresee
from streaming.packets import PRICE_CHANGED, RETURN_CHANGED, VOLUME_CHANGED

if TYPE_CHECKING:
    from history_oracle import Row, Tables

rows = st.tuples(
    st.sampled_from([-62_091, 0, 1, 2, 3, 4, 5, 6, 9_000, 84_005]),
    st.sampled_from(["001", "BRK.B", 'x"%s']),
    st.sampled_from([0.1, 0.3, 1e-9, 1e12, 99.99, 100.01]),
    st.sampled_from([None, None, 0, 7, 2**63 - 1]),
)


def needed(before: Tables, drop: list[Row]) -> list[Row]:
    """The cells of the tables that `foresee` asks for and no others."""
    chosen = set()
    for day, ticker, _, _ in drop:
        own = sorted(date for date, other in before if other == ticker)
        chosen |= {(date, ticker) for date in own if date == day}
        chosen |= {(date, ticker) for date in [date for date in own if date < day][-1:]}
        chosen |= {(date, ticker) for date in [date for date in own if date > day][:1]}
    return [(*key, before[key][0], before[key][2]) for key in sorted(chosen)]


@pytest.mark.thorough
@given(state=st.lists(rows, max_size=25), drop=st.lists(rows, max_size=8))
@settings(max_examples=extent(60, 500), deadline=None)
def test_any_drop_on_any_state_changes_what_is_foreseen(state: list[Row], drop: list[Row]) -> None:
    """Every changed cell with its values, and each count, from the cells of the drop and their neighbours alone."""
    before, after = tables(state), tables([*state, *drop])
    once = [(*key, price, volume) for key, (price, _, volume) in tables(drop).items()]
    found = foresee(ticks(needed(before, drop)), ticks(once))
    expected = differences(before, after)
    assert plain(found.changes) == expected

    given_cells = {(day, ticker) for day, ticker, _, _ in drop}
    value = PRICE_CHANGED | VOLUME_CHANGED
    changed = {key for key, cell in expected.items() if key in before and cell[3] & value}
    assert np.count_nonzero(found.new) == len(given_cells - before.keys())
    assert np.count_nonzero(found.changed) == len(changed)
    assert found.same == len(given_cells & before.keys()) - len(changed)
    rewritten = {key for key, cell in expected.items() if key in before and cell[3] & RETURN_CHANGED}
    assert np.count_nonzero(found.rewritten) == len(rewritten)
    for code, date, price, volume in zip(
        found.changes.code, found.changes.date, found.old_price, found.old_volume, strict=True
    ):
        was = before.get((int(date), found.changes.ids[code]))
        assert (None if np.isnan(price) else price, None if volume < 0 else volume) == (was or (None,) * 3)[::2]


def test_a_correction_rewrites_the_next_return_wherever_it_is() -> None:
    """A corrected price changes its own return and that of the ticker's next date, and nothing else."""
    present = [(1, "A", 2.0, 10), (3, "A", 8.0, 30), (9, "A", 8.0, 50)]
    found = foresee(ticks(present), ticks([(3, "A", 4.0, None)]))
    assert plain(found.changes) == {(3, "A"): (4.0, 1.0, 30, 3), (9, "A"): (8.0, 1.0, 50, 2)}
    assert (found.new.sum(), found.changed.sum(), found.rewritten.sum(), found.same) == (0, 1, 2, 0)


def test_a_drop_that_says_what_is_known_changes_nothing() -> None:
    """A repeated cell is the same, also if it names no volume."""
    found = foresee(ticks([(1, "A", 2.0, 10)]), ticks([(1, "A", 2.0, None)]))
    assert (len(found.changes), found.same) == (0, 1)
