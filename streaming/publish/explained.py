"""What explains the wide tables: `stocketl.dates` and `stocketl.suspects`, written in the transaction of each batch.

Delivery: exactly once, with the batch. `--explain` switches each of them. One that is switched on is first made from
the wide tables; one that is switched off is emptied, since it would no longer be true.
"""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from streaming import memory
from streaming.dates import filling as date_filling
from streaming.dates.kept import DateFacts
from streaming.ledger.writer import check_epoch
from streaming.setting_values import DATES, SUSPECTS
from streaming.suspects import filling as suspect_filling
from streaming.suspects.kept import keep as keep_suspects
from streaming.suspects.moves import SuspectLimits
from streaming.suspects.watch import SuspectWatch

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from psycopg2.extensions import cursor

    from streaming.ledger.tickers import Place
    from streaming.publish.batch import Batch
    from streaming.settings import Settings

log = logging.getLogger(__name__)

_TABLES = {DATES: ("date_facts", "ticker_bits"), SUSPECTS: ("suspect_cells",)}


T = TypeVar("T")


class _Beside(ThreadPoolExecutor):
    """A thread for what can be done beside something else. Small work is done when its result is asked for."""

    def __init__(self, *, small: bool) -> None:
        super().__init__(1)
        self._small = small

    def begin(self, work: Callable[[], T]) -> Callable[[], T]:
        """Gives what gives the result."""
        return work if self._small else self.submit(work).result


class Explained:
    """What `--explain` names. For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._parts = settings.explain
        self._limits = SuspectLimits(settings.suspect_factor, settings.suspect_spike, settings.suspect_stale)
        self._dates = DateFacts()
        self._watch = SuspectWatch(self._limits)

    def prepare(self, cur: cursor, epoch: int) -> None:
        """At the start of a job: fills what was off before or had other limits, and empties what is off now."""
        check_epoch(cur, epoch)
        cur.execute("SELECT part, limits FROM stocketl.explained WHERE part = ANY(%s)", (list(_TABLES),))
        known = dict(cur.fetchall())
        for part, tables in _TABLES.items():
            wanted = None if part not in self._parts else str(tuple(self._limits)) if part == SUSPECTS else ""
            if known.get(part) == wanted:
                continue
            for table in tables:
                cur.execute(f"DELETE FROM stocketl.{table}")  # noqa: S608 (constants)
            cur.execute("DELETE FROM stocketl.explained WHERE part = %s", (part,))
            if wanted is not None:
                self._fill(cur, part)
                cur.execute("INSERT INTO stocketl.explained (part, limits) VALUES (%s, %s)", (part, wanted))

    @contextlib.contextmanager
    def around(
        self, cur: cursor, batch_id: int, batch: Batch, places: Mapping[str, Place], new: Collection[str]
    ) -> Iterator[None]:
        """The wide tables of a batch are written in the block, what explains them after it.

        Of a large batch, a thread works them out meanwhile. new: tickers that had no cell before.
        """
        written: Future[cursor] = Future()
        watched = SUSPECTS in self._parts and len(batch.changes) > 0
        dates = self._dates.ask(cur, batch_id, batch.changes, batch.dated) if DATES in self._parts else None
        with _Beside(small=len(batch.changes) <= memory.LARGE) as beside:
            rows = beside.begin(dates.rows) if dates else None
            examined = partial(self._watch.examined, written.result, batch_id, batch.changes, places, new)
            suspects = beside.begin(examined) if watched else None
            try:
                yield
                if dates and rows:
                    dates.write(cur, rows())
                written.set_result(cur)  # nothing else uses it until the suspects are found
                if suspects:
                    keep_suspects(cur, suspects())
            finally:
                written.cancel()

    def _fill(self, cur: cursor, part: str) -> None:
        cur.execute("SELECT EXISTS (SELECT FROM stocketl.tickers)")
        if cur.fetchall() == [(True,)]:
            log.info("making stocketl.%s from the wide tables", part)
            if part == DATES:
                date_filling.fill(cur)
            else:
                suspect_filling.fill(cur, self._limits)
