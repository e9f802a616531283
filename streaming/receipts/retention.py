"""What ledger and receipts forget, in small portions while no receipt waits to be written.

If drops follow each other without a quiet second, a portion comes between two of them, each five seconds.

Always: rows of `stocketl.batches` that are older than 30 days and not among the last 1,000, since no replay and no
check at a start looks that far back. Also rows of `stocketl.audits` that are as old and found nothing.

With `--keep-receipts`, if a file was moved longer ago than that: the receipt's object, and the first rejected rows that
`stocketl receipts` shows. If the drop failed and loaded nothing, also its rows in `stocketl.drops` and
`stocketl.receipts`. The rows of all other drops stay for ever. They hold the order in which the files count, which
`stocketl verify` and `stocketl rebuild` need.

Delivery: at least once. First an object goes, then its rows say so. If something is gone already, that is no trouble.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streaming.errors import SettingsError, StorageError
from streaming.ledger import writer
from streaming.storage.place import discard
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import cursor

    from streaming.database.transactions import Transactions
    from streaming.storage.place import Place

DONE = "done/"  # here the monitor puts the receipts of files that it has moved

_DAY = 86_400.0
_RETRY_SECONDS = 60.0
_AMONG_DROPS_SECONDS = 5.0
_STEP_SECONDS = 0.5  # a new receipt waits no longer than this and one portion,
_RECEIPTS_AT_ONCE = 20  # which is some 50 requests to S3
_ROWS_AT_ONCE = 10_000
_ADVICE = "Nothing else waits for it. May the job delete objects there?"
_OLD_BATCHES = """
    DELETE FROM stocketl.batches WHERE (checkpoint_id, batch_id) IN (
        SELECT checkpoint_id, batch_id FROM stocketl.batches b
         WHERE committed_at < clock_timestamp() - interval '30 days' AND batch_id <= (
             SELECT max(batch_id) FROM stocketl.batches n WHERE n.checkpoint_id = b.checkpoint_id) - 1000
         LIMIT %s)
"""
_OLD_AUDITS = """
    DELETE FROM stocketl.audits WHERE problem IS NULL AND audited_at < clock_timestamp() - interval '30 days'
       AND audited_at < (SELECT max(audited_at) FROM stocketl.audits)
"""
# A body without `rejects` says that its receipt is gone. The first receipt stays: by it a new checkpoint knows that the
# place of the receipts is another one's.
_OLD_RECEIPTS = """
    SELECT seq FROM stocketl.receipts r JOIN stocketl.drops d USING (seq)
     WHERE seq > greatest(%s, 1) AND d.status <> 'loading' AND jsonb_exists(r.body, 'rejects')
       AND CASE WHEN %s THEN r.moved_at ELSE r.written_at END < clock_timestamp() - make_interval(secs => %s)
     ORDER BY seq LIMIT %s
"""
_FORGET_BODIES = "UPDATE stocketl.receipts SET body = body - 'rejects' WHERE seq = ANY(%s)"
_WITHOUT_TRACE = """
    SELECT seq FROM stocketl.drops WHERE seq = ANY(%s) AND status = 'failed' AND rows_loaded = 0
       AND seq < (SELECT max(seq) FROM stocketl.drops)
"""


class Retention:
    """Takes a step whenever it is called. Most steps have nothing to do.

    receipts: their place; epoch: of this job, since only the newest removes anything; keep: seconds for which the
    receipts of moved files stay, None: for ever; moves: whether the job moves files itself, else the monitor does.
    """

    def __init__(
        self,
        receipts: Place,
        epoch: int,
        keep: float | None,
        *,
        moves: bool,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._receipts = receipts
        self._epoch = epoch
        self._keep = keep
        self._moves = moves
        self._clock = clock
        self._next_at = clock()
        self._next_among_drops = clock() + _AMONG_DROPS_SECONDS
        self._after = 0
        self._wait = Waiting("the removal of old receipts")

    def step(self, transactions: Transactions, name_of: Callable[[int], str], *, quiet: bool = True) -> None:
        """If something is due, does as much as half a second allows.

        name_of: gives the key of a drop's receipt; quiet: whether no drop has come for a while. Raises SupersededError,
        DatabaseError.
        """
        if self._clock() < (self._next_at if quiet else max(self._next_at, self._next_among_drops)):
            return
        until = self._clock() + _STEP_SECONDS
        self._next_among_drops = self._clock() + _AMONG_DROPS_SECONDS
        try:
            while more := self._portion(transactions, name_of):
                if self._clock() >= until:
                    break
        except (StorageError, SettingsError) as error:
            self._wait.failed(str(error), _ADVICE)
            self._next_at = self._clock() + _RETRY_SECONDS
            return
        self._wait.over()
        self._next_at = self._clock() + (0.0 if more else _DAY)

    def _portion(self, transactions: Transactions, name_of: Callable[[int], str]) -> bool:
        """Whether there is more to do."""
        many_batches = transactions.run(self._forget_batches) == _ROWS_AT_ONCE
        return self._forget_receipts(transactions, name_of) or many_batches

    def _forget_batches(self, cur: cursor) -> int:
        writer.check_epoch(cur, self._epoch)
        cur.execute(_OLD_AUDITS)
        cur.execute(_OLD_BATCHES, (_ROWS_AT_ONCE,))
        return cur.rowcount

    def _forget_receipts(self, transactions: Transactions, name_of: Callable[[int], str]) -> bool:
        """The next portion, in order of the seq. False after the last; then the next call begins anew."""
        if self._keep is None:
            return False
        seqs = transactions.run(self._old_receipts)
        gone = [seq for seq in seqs if self._removed(name_of(seq))]
        transactions.run(lambda cur: self._forget_rows(cur, gone))
        more = len(seqs) == _RECEIPTS_AT_ONCE
        self._after = seqs[-1] if more else 0
        return more

    def _old_receipts(self, cur: cursor) -> list[int]:
        writer.check_epoch(cur, self._epoch)
        cur.execute(_OLD_RECEIPTS, (self._after, self._moves, self._keep, _RECEIPTS_AT_ONCE))
        return [seq for (seq,) in cur.fetchall()]

    def _removed(self, name: str) -> bool:
        """Whether the object is gone now. If its file was not moved yet, it stays."""
        if not self._moves and self._receipts.exists(name):
            return False
        discard(self._receipts, name if self._moves else f"{DONE}{name}")
        return True

    def _forget_rows(self, cur: cursor, seqs: list[int]) -> None:
        writer.check_epoch(cur, self._epoch)
        cur.execute(_FORGET_BODIES, (seqs,))
        cur.execute(_WITHOUT_TRACE, (seqs,))
        without_trace = [seq for (seq,) in cur.fetchall()]
        cur.execute("DELETE FROM stocketl.receipts WHERE seq = ANY(%s)", (without_trace,))
        cur.execute("DELETE FROM stocketl.drops WHERE seq = ANY(%s)", (without_trace,))
