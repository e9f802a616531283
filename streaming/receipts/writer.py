"""Once Spark has committed a batch: writes what became of each drop, then moves the files out of the input."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from streaming.errors import SettingsError, StorageError
from streaming.follower import Follower
from streaming.ledger import writer
from streaming.ledger.outbox import receipt_name
from streaming.receipts.delivery import RETRY_SECONDS, Delivery, Version
from streaming.storage.locations import is_s3
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.database.transactions import Transactions
    from streaming.receipts.destinations import Destinations
    from streaming.receipts.retention import Retention

_POLL_SECONDS, _POLL_SECONDS_ON_S3 = 0.02, 0.25
_EPOCH_SECONDS = 1.0


class ReceiptWriter(Follower):
    """Follows the batches from publication to Spark's commit, then to receipts and moves."""

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
        self._delivery = Delivery(transactions, epoch, checkpoint.id, to, stop)
        self._moves = to.move
        self._poll = _POLL_SECONDS_ON_S3 if is_s3(checkpoint.url) else _POLL_SECONDS
        self._wake = threading.Condition()
        self._published = self._done = checkpoint.committed()
        self._commits_wait = Waiting(f"the checkpoint {checkpoint.url}")
        self._receipts_wait = Waiting("the place of the receipts")
        self.delivering = False

    def published(self, batch_id: int) -> None:
        """A batch is in the tables. Its receipts follow once Spark has committed it."""
        with self._wake:
            self._published = max(self._published, batch_id)
            self._wake.notify()

    @property
    def done(self) -> int:
        """The last batch that has its receipts, -1 before the first."""
        return self._done

    @property
    def refused(self) -> frozenset[Version]:
        """Files whose move the storage refuses, see `Delivery`."""
        return self._delivery.refused

    @property
    def idle(self) -> bool:
        """Whether every published batch has its receipts, and its moves except those that are refused."""
        return self._done == self._published and not self._delivery.held_up

    def follow(self) -> None:
        """Until the stop event. Raises an error that waiting does not mend."""
        try:
            self._deliver(self._done)  # what a crash left undone
            self.delivering = True
            while not self._stop_event.is_set():
                with self._wake:
                    quiet = not self._wake.wait_for(lambda: self._done < self._published, timeout=_EPOCH_SECONDS)
                self._transactions.run(lambda cur: writer.check_epoch(cur, self._epoch))
                self._follow_published()
                if self._delivery.due:
                    self._delivery.move(self._done)
                if self._retention is not None and self._done == self._published:
                    self._retention.step(self._transactions, receipt_name, quiet=quiet)
        finally:
            self._delivery.close()
            for wait in (self._commits_wait, self._receipts_wait):
                wait.given_up()

    def _follow_published(self) -> None:
        while self._done < self._published and not self._stop_event.wait(self._poll):
            batch_id = self._done + 1
            if self._is_committed(batch_id):
                self._deliver(batch_id)
                self._done = batch_id

    def _is_committed(self, batch_id: int) -> bool:
        """If a later batch was published, yes: Spark begins a batch only after it has committed the one before."""
        if batch_id < self._published:
            return True
        try:
            committed = self._checkpoint.is_committed(batch_id)
        except (StorageError, SettingsError) as error:
            self._commits_wait.failed(f"whether batch {batch_id} is committed is not known: {error}")
            self._stop_event.wait(RETRY_SECONDS)
            return False
        self._commits_wait.over()
        return committed

    def _deliver(self, batch_id: int) -> None:
        while not self._stop_event.is_set():
            try:
                self._delivery.write(batch_id)
            except (StorageError, SettingsError) as error:  # its check at the start has found no wrong setting
                self._receipts_wait.failed(f"receipts of batch {batch_id}: {error}")
                self._stop_event.wait(RETRY_SECONDS)
            else:
                self._receipts_wait.over()
                if self._moves:
                    self._delivery.move(batch_id)
                return
