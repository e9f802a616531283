"""Which prices would be suspect after a drop, and which would no longer be, by the rules of `suspects`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from streaming.ledger.tickers import placed
from streaming.packets import PRICE_CHANGED, VOLUME_CHANGED
from streaming.suspects import loading
from streaming.suspects.kept import PAIRED, SWAPPED, known_on
from streaming.suspects.loading import stretches_of
from streaming.suspects.moves import AFTER, Series, SuspectLimits, touched
from streaming.suspects.pairs import swapped
from streaming.suspects.recent import merged
from streaming.suspects.watch import Examined, Suspect

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.packets import Changes, Int64
    from streaming.suspects.moves import Bool


class Doubts(NamedTuple):
    """Both in the order of (date, ticker). raised: suspects that are none now; settled: that would be none any more."""

    raised: list[Suspect]
    settled: list[Suspect]


def doubts(cur: cursor | None, changes: Changes, limits: SuspectLimits) -> Doubts:
    """What the changes of a drop would make of the cells around them. cur: None, if there are no tables yet.

    A suspect that has another one's price is `swapped`. One that is there already and is the other one now is not told.
    """
    own = np.flatnonzero(changes.changed & (PRICE_CHANGED | VOLUME_CHANGED))
    if not len(own):
        return Doubts([], [])
    own = own[np.lexsort((changes.date[own], changes.code[own]))]
    reach = limits.before + AFTER
    stretches, of = stretches_of(changes.ids, changes.code[own], changes.date[own], apart=2 * reach)
    ids = [stretch.ticker for stretch in stretches]
    places = {} if cur is None else placed(cur, set(ids))
    known = np.array([ticker in places for ticker in ids])
    if cur is None or not known.any():
        before = loading.joined([])
    else:
        found = loading.around(cur, [one for one in stretches if one.ticker in places], places, reach)
        code = np.flatnonzero(known).astype(np.int32)[found.code]
        before = Series(code, found.date, found.price, found.volume, found.first)
    planned = Series(of, changes.date[own], changes.price[own], changes.volume[own], ~known[of])
    after, new = merged(before, planned)
    near = touched(after, new, limits)
    then = _suspects(ids, after, near, limits)
    now = _suspects(ids, before, np.isin(_key(before), _key(after)[near]), limits)
    still = {(one.date, one.id) for one in then}
    settled = {one for one in now if (one.date, one.id) not in still}
    return Doubts(_paired(cur, _ordered(then - now), settled), _ordered(settled))


def _paired(cur: cursor | None, raised: list[Suspect], settled: set[Suspect]) -> list[Suspect]:
    """The raised ones, `swapped` where another suspect of their date has their price, and they have that one's."""
    gone = {(one.date, one.id) for one in (*raised, *settled)}
    days = {one.date for one in raised}
    others = [] if cur is None or not days else [one for one in known_on(cur, days) if (one.date, one.id) not in gone]
    every = _ordered({one for one in (*raised, *others) if one.kind in PAIRED})
    columns = zip(*((one.date, one.price, one.level) for one in every), strict=True) if every else ([], [], [])
    day, price, level = columns
    partners = swapped(np.array(day, np.int32), np.array(price, float), np.array(level, float)).tolist()
    with_others = {every[place] for place, partner in enumerate(partners) if partner >= 0}
    return [replace(one, kind=SWAPPED) if one in with_others else one for one in raised]


def _suspects(ids: list[str], series: Series, cells: Bool, limits: SuspectLimits) -> set[Suspect]:
    examined = Examined()
    examined.add(ids, series, cells, limits)
    return set(examined.suspects)


def _key(series: Series) -> Int64:
    key: Int64 = (series.code.astype(np.int64) << 32) + series.date
    return key


def _ordered(suspects: set[Suspect]) -> list[Suspect]:
    return sorted(suspects, key=lambda one: (one.date, one.id))
