"""Which whole dates would be suspect after a drop, and which no longer, by the rules of `stocketl.suspects`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streaming.database.days import AMONG_DAYS, day_of
from streaming.ledger.explained import keeps

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.explain.foreseen import Bool, Foreseen
    from streaming.packets import Int32, Int64

REPEATED, FUTURE = "repeated-date", "future-date"
_LEAST = 10
_EARLIEST = dt.timezone(dt.timedelta(hours=14))


class OddDate(NamedTuple):
    """A date, days since 1970-01-01, and of how many of its prices the kind tells."""

    date: int
    kind: str
    cells: int


def odd_dates(cur: cursor | None, found: Foreseen) -> tuple[list[OddDate], list[OddDate]]:
    """Dates that would be suspect and are not so now, and the other way round. cur: None: there are no tables yet."""
    if cur is not None and not keeps(cur, "dates"):
        return [], []
    changes = found.changes
    days, row = np.unique(changes.date, return_inverse=True)
    tickers, unchanged = _counts(cur, days)
    was = _was_unchanged(cur, found)
    more = np.bincount(row, found.new, len(days)).astype(np.int64)
    same = np.bincount(row, (changes.returns == 0).astype(np.int64) - was, len(days)).astype(np.int64)
    now = set(_judged(days, tickers, unchanged))
    then = set(_judged(days, tickers + more, unchanged + same))
    still = {one[:2] for one in then}
    return sorted(then - now), sorted(one for one in now if one[:2] not in still)


def _judged(days: Int32, tickers: Int64, unchanged: Int64) -> list[OddDate]:
    today = day_of(dt.datetime.now(_EARLIEST).date())
    odd = []
    for day, priced, same in zip(days.tolist(), tickers.tolist(), unchanged.tolist(), strict=True):
        if same >= _LEAST and 10 * same >= 9 * priced:
            odd.append(OddDate(day, REPEATED, same))
        if priced > 0 and day > today:
            odd.append(OddDate(day, FUTURE, priced))
    return odd


def _counts(cur: cursor | None, days: Int32) -> tuple[Int64, Int64]:
    """For each day how many tickers have a price, and how many of these the one of their date before."""
    counts = np.zeros((2, len(days)), np.int64)
    if cur is not None and len(days):
        cur.execute(
            f"SELECT date - DATE '1970-01-01', tickers, unchanged FROM stocketl.date_facts WHERE {AMONG_DAYS}",  # noqa: S608 (a constant)
            (days.tolist(),),
        )
        for day, *both in cur.fetchall():
            counts[:, np.searchsorted(days, day)] = both
    return counts[0], counts[1]


def _was_unchanged(cur: cursor | None, found: Foreseen) -> Bool:
    """For each cell that would be written, whether it has the price of its date before now."""
    changes, was = found.changes, np.zeros(len(found.new), bool)
    old = np.flatnonzero(~found.new)
    if cur is not None and len(old):
        cur.execute(
            "SELECT place - 1 FROM unnest(%s::text[], %s::integer[]) WITH ORDINALITY AS cells (id, day, place)"
            " JOIN stocketl.ticker_bits t USING (id)"
            " JOIN stocketl.date_facts f ON f.date = DATE '1970-01-01' + cells.day"
            " WHERE t.bit < length(f.unchanged_bits) AND get_bit(f.unchanged_bits, t.bit) = 1",
            ([changes.ids[code] for code in changes.code[old].tolist()], changes.date[old].tolist()),
        )
        was[old[[place for (place,) in cur.fetchall()]]] = True
    return was
