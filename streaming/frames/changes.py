"""What has changed, batch by batch: waits for the NOTIFY of the job, and asks the ledger which batches are new.

Delivery: at least once from the moment of the first LISTEN. If the connection breaks, another one is opened, and the
batches of the time between are told.
"""

from __future__ import annotations

import contextlib
import select
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2

from streaming.database.sqlstates import plain, transient

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import connection

PAUSE = 1.0  # seconds before another try to connect
_LOOK = 60.0  # seconds: a connection that died without a word is noticed by then

_MARK = (
    "SELECT epoch, batch_id FROM stocketl.batches WHERE cells IS NOT NULL ORDER BY epoch DESC, batch_id DESC LIMIT 1"
)
_NEWER = """
    SELECT b.epoch, b.batch_id, b.committed_at, b.cells, array_remove(array_agg(d.key ORDER BY d.seq), NULL),
           min(d.first_date), max(d.last_date)
      FROM stocketl.batches b LEFT JOIN stocketl.drops d USING (checkpoint_id, batch_id)
     WHERE (b.epoch, b.batch_id) > (%s, %s) AND b.cells IS NOT NULL
     GROUP BY b.checkpoint_id, b.epoch, b.batch_id, b.committed_at, b.cells ORDER BY b.epoch, b.batch_id
"""


@dataclass(frozen=True, slots=True)
class BatchSeen:
    """A batch that can be seen since `committed_at`. cells: written; keys, first_date, last_date: of its drops."""

    batch_id: int
    committed_at: dt.datetime
    cells: int
    keys: tuple[str, ...]
    first_date: dt.date | None
    last_date: dt.date | None


def changes(opened: Callable[[], connection], timeout: float | None) -> Iterator[BatchSeen]:
    """Each batch from now on. Ends if none has come for `timeout` seconds; None: never.

    opened: makes a connection, in no transaction. Raises DatabaseError for what waiting does not mend.
    """
    mark: tuple[int, int] | None = None
    heard = time.monotonic()
    while True:
        try:
            with contextlib.closing(opened()) as listening:
                listening.autocommit = True
                with listening.cursor() as cur:
                    cur.execute("LISTEN stocketl")
                    if mark is None:
                        cur.execute(_MARK)
                        mark = next(iter(cur.fetchall()), (-1, -1))
                while True:
                    for epoch, batch in _newer(listening, mark):
                        mark, heard = (epoch, batch.batch_id), time.monotonic()
                        yield batch
                        heard = time.monotonic()
                    left = _LOOK if timeout is None else heard + timeout - time.monotonic()
                    if left <= 0:
                        return
                    select.select([listening], [], [], min(left, _LOOK))
                    listening.poll()
                    listening.notifies.clear()
        except psycopg2.Error as error:
            if not transient(error):
                raise plain(error) from None
            if timeout is not None and time.monotonic() - heard >= timeout:
                return
            time.sleep(PAUSE)


def _newer(listening: connection, mark: tuple[int, int]) -> Iterator[tuple[int, BatchSeen]]:
    with listening.cursor() as cur:
        cur.execute(_NEWER, mark)
        for epoch, batch_id, committed_at, cells, keys, first, last in cur.fetchall():
            yield epoch, BatchSeen(batch_id, committed_at, cells, tuple(keys), first, last)
