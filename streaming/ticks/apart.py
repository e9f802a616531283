"""Whether a column tells the rows of one (date, ticker) apart that differ: only then it is a second key."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.ticks.by_column import line_starts
from streaming.ticks.by_line import split_fields
from streaming.ticks.fields import BLANKS
from streaming.ticks.gathering import as_utf8_block

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streaming.packets import Int64, Ticks
    from streaming.ticks.dedup import Deduped
    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules

    Texts = Callable[[Int64], Iterator[tuple[str, ...]]]
    """Of lines, given in their order: what stands in the columns of `Layout.second_key`."""


def telling(rows: Ticks, found: Deduped, lines: Int64, layout: Layout, texts: Texts) -> str | None:
    """The first column that has several values in rows of one (date, ticker) of which some differ; None if none has."""
    if not layout.second_key:
        return None
    at = np.union1d(found.replaced, found.by)
    group = rows.code.astype(np.int64) * (1 << 32) + rows.date
    at = at[np.isin(group[at], group[found.replaced[found.conflict]])]
    seen: dict[int, tuple[str, ...]] = {}
    for key, said in zip(group[at].tolist(), texts(lines[at]), strict=True):
        for column, one, other in zip(layout.second_key, seen.setdefault(key, said), said, strict=True):
            if one != other:
                return column
    return None


def texts_of(blocks: Callable[[], Iterable[bytes]], layout: Layout, before: int, rules: Rules) -> Texts:
    """Of a CSV, by reading it again. before: lines before the first block."""
    places = [layout.names.index(name) for name in layout.second_key]

    def texts(wanted: Int64) -> Iterator[tuple[str, ...]]:
        first = before + 1
        for raw in blocks():
            block = as_utf8_block(raw, rules.encoding)
            starts = line_starts(block)
            after = first + len(starts) - 1
            for line in (wanted[(wanted >= first) & (wanted < after)] - first).tolist():
                text = block[starts[line] : starts[line + 1]].decode(errors="surrogateescape").rstrip("\r\n")
                fields = split_fields(text, layout.delimiter) or []
                yield tuple(fields[place].strip(BLANKS) if place < len(fields) else "" for place in places)
            first = after

    return texts
