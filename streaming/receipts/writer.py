"""What became of each drop, written once Spark has committed its batch; then the file leaves the prefix.

Delivery: at least once, to the same object with the same content. The ledger holds each receipt until it is known to
be there, and the target of each move before it begins, so a crash at any point is made good at the next start.
"""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from streaming import faults
from streaming.errors import DropError, SettingsError, StockETLError, StorageError
from streaming.follower import Follower
from streaming.ledger import outbox, writer
from streaming.receipts import moves
from streaming.receipts.names import free_name, receipt_name
from streaming.storage.locations import is_s3
from streaming.waiting import LONGEST_PAUSE_SECONDS, Waiting

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import cursor

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.database.transactions import Transactions
    from streaming.ledger.outbox import Receipt
    from streaming.receipts.destinations import Destinations
    from streaming.receipts.retention import Retention
    from streaming.storage.place import Place

_POLL_SECONDS, _POLL_SECONDS_ON_S3 = 0.02, 0.25
_RETRY_SECONDS = 2.0
_EPOCH_SECONDS = 1.0
_WRITERS = 8
_IN_VAIN = 3  # so many files in a row that the storage does not move: the others are for the next time

Version = tuple[str, str, str | None]


class ReceiptWriter(Follower):
    """Follows the batches from publication to Spark's commit, then to receipts and moves.

    A file that cannot be moved holds up no other: it is tried again and again. `refused`: (key, etag, version id) of
    those whose move the storage refuses for a reason that waiting alone does not mend.
    """

    def __init__(
        self,
        transactions: Transactions,
        epoch: int,
        checkpoint: Checkpoint,
        to: Destinations,
        stop: threading.Event,
        *,
        retention: Retention | None = None,
    ) -> None:
        super().__init__("receipts", stop)
        self._retention = retention
        self._transactions = transactions
        self._epoch = epoch
        self._checkpoint = checkpoint
        self._to = to
        self._poll = _POLL_SECONDS_ON_S3 if is_s3(checkpoint.url) else _POLL_SECONDS
        self._wake = threading.Condition()
        self._published = self._done = checkpoint.committed()
        self._pool = ThreadPoolExecutor(_WRITERS)
        self._commits_wait = Waiting(f"the checkpoint {checkpoint.url}")
        self._receipts_wait = Waiting("the place of the receipts")
        self._moves_wait = Waiting("the move of files")
        self._unmoved: set[int] = set()
        self._held_up = False
        self._next_move, self._pause = 0.0, _RETRY_SECONDS
        self.refused: frozenset[Version] = frozenset()
        self.delivering = False

    def published(self, batch_id: int) -> None:
        """A batch is in the tables; its receipts follow once Spark commits it."""
        with self._wake:
            self._published = max(self._published, batch_id)
            self._wake.notify()

    @property
    def done(self) -> int:
        """The last batch that has its receipts, -1 before the first."""
        return self._done

    @property
    def idle(self) -> bool:
        """Whether every published batch has its receipts, and its moves but for those that are refused."""
        return self._done == self._published and not self._held_up

    def follow(self) -> None:
        """Until the stop event; raises what waiting does not mend."""
        try:
            self._deliver(self._done)  # what a crash left undone
            self.delivering = True
            while not self._stop_event.is_set():
                with self._wake:
                    self._wake.wait_for(lambda: self._done < self._published, timeout=_EPOCH_SECONDS)
                self._transactions.run(lambda cur: writer.check_epoch(cur, self._epoch))
                if self._retention is not None and self._done == self._published:
                    self._retention.step(self._transactions, receipt_name)
                self._follow_published()
                if self._unmoved and time.monotonic() >= self._next_move:
                    self._move(self._done)
        finally:
            self._pool.shutdown()
            for wait in (self._commits_wait, self._receipts_wait, self._moves_wait):
                wait.given_up()

    def _follow_published(self) -> None:
        while self._done < self._published and not self._stop_event.wait(self._poll):
            batch_id = self._done + 1
            if self._is_committed(batch_id):
                self._deliver(batch_id)
                self._done = batch_id

    def _is_committed(self, batch_id: int) -> bool:
        """Spark begins a batch only once it has committed the one before, and keeps the last 100 commits."""
        if batch_id < self._published:
            return True
        try:
            committed = self._checkpoint.is_committed(batch_id)
        except (StorageError, SettingsError) as error:
            self._commits_wait.failed(f"whether batch {batch_id} is committed is not known: {error}")
            self._stop_event.wait(_RETRY_SECONDS)
            return False
        self._commits_wait.over()
        return committed

    def _deliver(self, batch_id: int) -> None:
        while not self._stop_event.is_set():
            try:
                self._write(batch_id)
            except (StorageError, SettingsError) as error:  # its check at the start has found no wrong setting
                self._receipts_wait.failed(f"receipts of batch {batch_id}: {error}")
                self._stop_event.wait(_RETRY_SECONDS)
            else:
                self._receipts_wait.over()
                if self._to.move:
                    self._move(batch_id)
                return

    def _write(self, batch_id: int) -> None:
        faults.reach("committed")
        rows = self._transactions.run(lambda cur: outbox.unwritten_receipts(cur, self._checkpoint.id, batch_id))
        bodies = [(receipt_name(row.seq), json.dumps(row.body, indent=1).encode()) for row in rows]
        list(self._pool.map(lambda body: self._to.receipts.put(*body), bodies))
        self._mark(outbox.receipt_written, [(row.seq,) for row in rows])

    def _move(self, batch_id: int) -> None:
        """One try for each file; those that failed the last time come last."""
        rows = self._transactions.run(lambda cur: outbox.unmoved(cur, self._checkpoint.id, batch_id))
        rows = sorted(rows, key=lambda row: (row.seq in self._unmoved, row.seq))
        names, failed = self._names(rows)
        self._mark(outbox.move_intended, [(row.seq, names[row.seq]) for row in _named(rows, names)])
        in_vain = 0
        for row in rows:
            if row.seq not in failed and (in_vain >= _IN_VAIN or self._stop_event.is_set()):
                failed[row.seq] = StorageError("not tried yet")
            elif row.seq not in failed:
                error = self._moved(row, names[row.seq])
                in_vain = in_vain + 1 if isinstance(error, StorageError) else 0
                if error is not None:
                    failed[row.seq] = error
        self._mark(outbox.moved, [(row.seq,) for row in rows if row.seq not in failed])
        self._note(rows, failed)

    def _moved(self, row: Receipt, name: str) -> StockETLError | None:
        """Moves one file; why not, if it cannot be done now."""
        try:
            if not moves.move(self._to.input, row.version, row.seq, self._destination(row), name):
                self._mark(outbox.move_intended, [(row.seq, None)])  # its bytes are gone: there is nothing to move
        except (StorageError, SettingsError, DropError) as error:
            return error
        return None

    def _names(self, rows: list[Receipt]) -> tuple[dict[int, str], dict[int, StockETLError]]:
        """A free name at its target for each drop, or why there is none now; what was chosen before stays chosen."""
        names = {row.seq: row.moved_to for row in rows if row.moved_to is not None}
        taken: dict[str, set[str]] = {fate: set() for fate in ("success", "failed")}
        away: dict[str, StockETLError] = {}
        for row in rows:
            if row.moved_to is not None:
                taken[row.fate].add(row.moved_to)
        for row in rows:
            if row.moved_to is None and row.fate not in away:
                try:
                    names[row.seq] = free_name(self._destination(row), row.key, row.seq, taken[row.fate])
                    taken[row.fate].add(names[row.seq])
                except (StorageError, SettingsError) as error:
                    away[row.fate] = error
        return names, {row.seq: away[row.fate] for row in rows if row.seq not in names}

    def _note(self, rows: list[Receipt], failed: dict[int, StockETLError]) -> None:
        """Tells what could not be moved, and when it is tried again."""
        refused = [row.version for row in rows if isinstance(failed.get(row.seq), SettingsError | DropError)]
        self.refused = frozenset((version.key, version.etag, version.version) for version in refused)
        self._unmoved = set(failed)
        self._held_up = len(failed) > len(refused)
        if not failed:
            self._pause = _RETRY_SECONDS
            self._moves_wait.over()
            return
        self._next_move, self._pause = time.monotonic() + self._pause, min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        seq, error = next(iter(failed.items()))
        others = f" ({len(failed)} files in all)" if len(failed) > 1 else ""
        self._moves_wait.failed(f"drop {seq}{others}: {error}", "The others are moved meanwhile.")

    def _destination(self, row: Receipt) -> Place:
        return self._to.success if row.fate == "success" else self._to.failed

    def _mark(self, statement: Callable[..., None], rows: list[tuple[Any, ...]]) -> None:
        """One transaction for all rows, by the newest writer only."""

        def work(cur: cursor) -> None:
            writer.check_epoch(cur, self._epoch)
            for row in rows:
                statement(cur, *row)

        if rows:
            self._transactions.run(work)


def _named(rows: list[Receipt], names: dict[int, str]) -> list[Receipt]:
    """Those that have got their name now."""
    return [row for row in rows if row.moved_to is None and row.seq in names]
