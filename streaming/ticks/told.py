"""What is told of single rows beside their counts: the first volumes that are none, the first conflicts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.packets import UNKNOWN_VOLUME, Int64, Note, Ticks
from streaming.ticks.fields import iso_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.ticks.dedup import Deduped
    from streaming.ticks.gathering import Gathering

UNREADABLE_VOLUME, CONFLICT = "volume-unreadable", "conflict"
SHOWN_CONFLICTS = 10


def unreadable_told(gathering: Gathering) -> list[Note]:
    """The first rows whose volume is none."""
    return [{"kind": UNREADABLE_VOLUME, "line": line, "text": text} for line, text in gathering.unreadable_lines]


def conflicts_told(rows: Ticks, found: Deduped, gathering: Gathering) -> list[Note]:
    """The first rows that differ from the one that replaced them: both lines and what they say."""
    first = np.flatnonzero(found.conflict)[:SHOWN_CONFLICTS]
    lines = gathering.lines()
    return [
        _conflict(rows, sorted((one, other)), lines)
        for one, other in zip(found.replaced[first].tolist(), found.by[first].tolist(), strict=True)
    ]


def second_key_failure(column: str, told: Sequence[Note], count: int) -> str:
    """The reason of a drop whose rows of one (date, ticker) may belong to several things."""
    more = f", and {count - 1:,} more" if count > 1 else ""
    lines = (
        f"lines {told[0]['lines'][0]} and {told[0]['lines'][1]} give {told[0]['id']} on {told[0]['date']} "
        f"{said(told[0], 0)} and {said(told[0], 1)}{more}"
        if told
        else f"{count:,} rows differ from another one of their date and ticker"
    )
    return (
        f"second-key: rows of one date and ticker differ, and the column {column!r} may tell them apart: {lines}. "
        f'A profile says which count: rows = "last", rows = "first" or rows = {{ where = {{ "{column}" = "…" }} }}'
    )


def said(conflict: Note, which: int) -> str:
    """One side of a conflict: price and volume."""
    volume = conflict["volumes"][which]
    return f"{conflict['prices'][which]:.12g} (volume {'unknown' if volume is None else f'{volume:,}'})"


def _conflict(rows: Ticks, pair: list[int], lines: Int64) -> Note:
    volumes = [int(rows.volume[row]) for row in pair]
    return {
        "kind": CONFLICT,
        "lines": [int(lines[row]) for row in pair],
        "date": iso_of(int(rows.date[pair[0]])),
        "id": rows.ids[rows.code[pair[0]]],
        "prices": [float(rows.price[row]) for row in pair],
        "volumes": [None if volume == UNKNOWN_VOLUME else volume for volume in volumes],
    }
