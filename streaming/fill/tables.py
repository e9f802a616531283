"""The tables that `stocketl fill` can fill: which drops each of them lacks, and how it takes what they did.

Each is filled in the transaction of its stretch, and only for drops that it lacks. So a fill may be stopped and given
again, and it may run beside a job, which writes the rows of new drops itself.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Protocol

from streaming.corrections import NAMES, Did
from streaming.dates import filling
from streaming.errors import StockETLError
from streaming.ledger import corrections
from streaming.setting_values import CORRECTIONS, DATES

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg2.extensions import cursor

    from streaming.fill.past import PastStretch
    from streaming.packets import Dated

_COUNT = f"""
    UPDATE stocketl.drops d SET ({", ".join(NAMES)}) = ({", ".join(f"f.{name}" for name in NAMES)})
      FROM jsonb_to_recordset(%s::jsonb) AS f (seq bigint, {", ".join(f"{name} bigint" for name in NAMES)})
     WHERE d.seq = f.seq AND d.cells_new IS NULL
"""  # noqa: S608 (constants)


class FilledTable(Protocol):
    """A table that is a function of the drops."""

    name: str
    """What the command calls it."""

    def lacks(self, cur: cursor) -> set[int]:
        """The drops that have ended and are not in it."""

    def take(self, cur: cursor, stretch: PastStretch, seqs: Collection[int]) -> None:
        """Writes what these drops of the stretch did."""


class FilledCounts:
    """What `stocketl.drops` counts of each drop."""

    name = "counts of drops"

    def lacks(self, cur: cursor) -> set[int]:
        """Those that are older than the counts."""
        return _ended(cur, "cells_new IS NULL")

    def take(self, cur: cursor, stretch: PastStretch, seqs: Collection[int]) -> None:
        """Refuses a lake that tells of another past than the drops that are counted already."""
        self._compare(cur, stretch, seqs)
        rows = [{"seq": seq} | asdict(stretch.did.get(seq, Did())) for seq in sorted(seqs)]
        cur.execute(_COUNT, (json.dumps(rows),))

    def _compare(self, cur: cursor, stretch: PastStretch, seqs: Collection[int]) -> None:
        others = sorted(set(stretch.seqs) - set(seqs))
        cur.execute(
            f"SELECT seq, {', '.join(NAMES)} FROM stocketl.drops"  # noqa: S608 (constants)
            " WHERE seq = ANY(%s) AND cells_new IS NOT NULL ORDER BY seq",
            (others,),
        )
        for seq, *counts in cur.fetchall():
            found = stretch.did.get(seq, Did())
            if found != Did(*counts):
                msg = (
                    f"the lake tells of another past than the ledger: drop {seq} did {found} by its rows, and "
                    f"{Did(*counts)} when it was loaded. Nothing more was written. Was the lake, or the database, "
                    "restored from a copy? `stocketl verify` says whether the tables are right"
                )
                raise StockETLError(msg)


class FilledCorrections:
    """`stocketl.corrections`."""

    name = CORRECTIONS

    def lacks(self, cur: cursor) -> set[int]:
        """Those that came before there was the table, or while it was off."""
        return _ended(cur, "corrections IS NULL")

    def take(self, cur: cursor, stretch: PastStretch, seqs: Collection[int]) -> None:
        """A row is as old as the end of its drop."""
        corrections.fill(cur, stretch.corrections, seqs)


class FilledDates:
    """What drops did on each date, for dates that `stocketl.dates` has from the wide tables.

    A date is counted as a whole, so nothing is written before the last stretch.
    """

    name = DATES

    def __init__(self) -> None:
        self._dated: dict[int, Dated] = {}

    def lacks(self, cur: cursor) -> set[int]:
        """All, if any date is not counted."""
        return _ended(cur, "EXISTS (SELECT FROM stocketl.date_facts WHERE NOT counted)")

    def take(self, cur: cursor, stretch: PastStretch, seqs: Collection[int]) -> None:
        """A date to which a job has added a later drop in the meantime is left to the next fill."""
        if seqs:
            self._dated[stretch.seqs[0]] = stretch.dated
            if stretch.is_last:
                filling.count(cur, list(self._dated.values()), up_to=stretch.seqs[-1])


def _ended(cur: cursor, condition: str) -> set[int]:
    cur.execute(f"SELECT seq FROM stocketl.drops WHERE status <> 'loading' AND {condition}")  # noqa: S608 (constants)
    return {seq for (seq,) in cur.fetchall()}


def tables_of(names: Collection[str]) -> list[FilledTable]:
    """Those that are always filled, and those of these names of the setting `explain`."""
    named: dict[str, FilledTable] = {CORRECTIONS: FilledCorrections(), DATES: FilledDates()}
    return [FilledCounts(), *(table for name, table in named.items() if name in names)]
