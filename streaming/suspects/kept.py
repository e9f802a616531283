"""`stocketl.suspect_cells`: the suspects of single cells, kept up in the transaction of each batch.

Delivery: that of the caller's transaction. The view `stocketl.suspects` adds whole dates, by `stocketl.dates`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psycopg2.extras import execute_values

from streaming.database.days import AMONG_DAYS
from streaming.suspects.moves import JUMP, KINDS, SPIKE, UNIT_SLIP
from streaming.suspects.pairs import swapped
from streaming.suspects.watch import Suspect

if TYPE_CHECKING:
    from collections.abc import Iterable

    from psycopg2.extensions import cursor

    from streaming.packets import Int32
    from streaming.suspects.watch import Examined

_DAY = "date - DATE '1970-01-01'"
_CELLS = f"SELECT {_DAY}, id, kind, price, level_date - DATE '1970-01-01', level FROM stocketl.suspect_cells"  # noqa: S608 (a constant)
PAIRED = [KINDS[kind] for kind in (JUMP, UNIT_SLIP, SPIKE)]
"""The kinds of which two may be swapped: a new level and a stale price are nobody else's."""
SWAPPED = "swapped"
"""What the view calls them then."""


def keep(cur: cursor, examined: Examined) -> tuple[int, int]:
    """Opens and closes suspects; returns how many."""
    if not examined.cells:
        return 0, 0
    dates = {ticker: _in_order(parts) for ticker, parts in examined.cells.items()}
    known = _known(cur, dates)
    found = set(examined.suspects)
    closed, opened = known - found, found - known
    if closed:
        rows = [(one.id, one.date) for one in closed]
        execute_values(
            cur,
            "DELETE FROM stocketl.suspect_cells s USING (VALUES %s) AS gone (id, day)"
            " WHERE s.id = gone.id AND s.date = DATE '1970-01-01' + gone.day::integer",
            rows,
            page_size=1000,
        )
    if opened:
        insert(cur, opened)
    if closed or opened:
        pair(cur, {one.date for one in closed | opened})
    return len(opened), len(closed)


def _in_order(parts: list[Int32]) -> Int32:
    """Distinct dates; those of one part are so already."""
    return parts[0] if len(parts) == 1 else np.unique(np.concatenate(parts))


def _known(cur: cursor, dates: dict[str, np.ndarray]) -> set[Suspect]:
    """The suspects so far among these cells."""
    low, high = min(int(some[0]) for some in dates.values()), max(int(some[-1]) for some in dates.values())
    cur.execute(
        _CELLS + " WHERE date BETWEEN DATE '1970-01-01' + %s AND DATE '1970-01-01' + %s",
        (low, high),
    )
    found = (Suspect(*row) for row in cur.fetchall())
    return {one for one in found if one.id in dates and _holds(dates[one.id], one.date)}


def known_on(cur: cursor, days: set[int]) -> list[Suspect]:
    """The suspects of these dates, days since 1970-01-01."""
    cur.execute(
        f"{_CELLS} WHERE {AMONG_DAYS}",
        (sorted(days),),
    )
    return [Suspect(*row) for row in cur.fetchall()]


def _holds(ordered: np.ndarray, date: int) -> bool:
    at = int(np.searchsorted(ordered, date))
    return at < len(ordered) and int(ordered[at]) == date


def insert(cur: cursor, suspects: Iterable[Suspect]) -> None:
    """Opens suspects."""
    rows = sorted((one.date, one.id, one.kind, one.price, one.level_date, one.level) for one in suspects)
    execute_values(
        cur,
        "INSERT INTO stocketl.suspect_cells (date, id, kind, price, level_date, level) VALUES %s",
        rows,
        template="(DATE '1970-01-01' + %s, %s, %s, %s, DATE '1970-01-01' + %s, %s)",
        page_size=1000,
    )


def pair(cur: cursor, days: set[int] | None) -> None:
    """Finds anew, on these dates or on all, which tickers have each other's price."""
    cur.execute(
        f"SELECT {_DAY}, id, price, level, swapped_with FROM stocketl.suspect_cells"  # noqa: S608 (a constant)
        f" WHERE (%s OR {AMONG_DAYS})"
        ' AND kind = ANY(%s) ORDER BY date, id COLLATE "C"',
        (days is None, sorted(days or ()), PAIRED),
    )
    rows = cur.fetchall()
    if not rows:
        return
    day, ids, price, level, before = zip(*rows, strict=True)
    partners = swapped(np.array(day, np.int32), np.array(price), np.array(level)).tolist()
    now = [ids[partner] if partner >= 0 else None for partner in partners]
    changed = [(d, i, new) for d, i, old, new in zip(day, ids, before, now, strict=True) if old != new]
    if changed:
        execute_values(
            cur,
            "UPDATE stocketl.suspect_cells s SET swapped_with = pairs.partner"
            " FROM (VALUES %s) AS pairs (day, id, partner)"
            " WHERE s.date = DATE '1970-01-01' + pairs.day::integer AND s.id = pairs.id",
            changed,
            template="(%s, %s, %s::text)",
            page_size=1000,
        )
