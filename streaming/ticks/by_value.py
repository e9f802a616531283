"""Columns of strings → codes and days by their distinct values, spread over the rows: dates and tickers repeat."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from streaming.ticks.fields import BLANKS

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt
    import pyarrow as pa

    from streaming.packets import Int32
    from streaming.ticks.dates import Dated
    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules

    Bool = npt.NDArray[np.bool_]

BAD = -(2**31)
"""In the place of a code, a day or a volume that is not certain."""


def dates(column: pa.Array | None, rows: int, rules: Rules) -> tuple[Int32, Bool | None]:
    """Days since 1970-01-01, `BAD` where it is none; which of them have a time of day, None if none has."""
    if column is None:
        return np.full(rows, rules.fixed_day, np.int32), None
    texts, place = _encoded(column)
    dated = [*(rules.day(text.strip(BLANKS)) if rules.before else _dated(rules.dated, text) for text in texts), None]
    days = np.array([BAD if found is None else found[0] for found in dated], np.int32)
    timed = np.array([found is not None and found[1] for found in dated], np.bool_)
    return days[place], timed[place] if timed.any() else None


def codes(column: pa.Array | None, rows: int, rules: Rules, code: Callable[[str], int]) -> Int32:
    """The codes of tickers."""
    if column is None:
        return np.full(rows, code(rules.fixed_ticker or ""), np.int32)
    texts, place = _encoded(column)
    values = np.array([*map(code, texts), BAD], np.int32)
    found: Int32 = values[place]
    return found


def wanted(table: pa.RecordBatch, layout: Layout) -> Bool | None:
    """The rows that `where` wants; None if it wants all."""
    chosen: Bool | None = None
    for column, allowed in layout.where:
        texts, place = _encoded(table.column(str(column)))
        values = np.array([*(text.strip(BLANKS) in allowed for text in texts), "" in allowed], np.bool_)
        chosen = values[place] if chosen is None else chosen & values[place]
    return None if chosen is None or chosen.all() else chosen


def _encoded(column: pa.Array) -> tuple[list[str], Int32]:
    """The distinct texts, and the place of each row's among them; -1 for an empty one."""
    encoded = column.dictionary_encode()
    return encoded.dictionary.to_pylist(), encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)


@lru_cache(maxsize=1 << 16)
def _dated(read: Callable[[str], Dated | None], text: str) -> Dated | None:
    """Kept, as a file names the same days again in each block, and the next file of its kind too."""
    return read(text.strip(BLANKS))
