"""Brings receipts to their place, then files to theirs. The ledger notes what will be done, and what is done.

Delivery: at least once, to the same object with the same content. The ledger holds each receipt until it is known to
be there, and the target of each move before the move begins. So after a crash at any point the next start goes on.
"""

from __future__ import annotations

import json
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from streaming import faults
from streaming.errors import DropError, SettingsError, StockETLError, StorageError
from streaming.ledger import outbox, writer
from streaming.ledger.outbox import receipt_name
from streaming.receipts import moves
from streaming.receipts.names import free_name
from streaming.waiting import LONGEST_PAUSE_SECONDS, Waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Sequence

    from psycopg2.extensions import cursor

    from streaming.database.transactions import Transactions
    from streaming.ledger.outbox import Receipt
    from streaming.receipts.destinations import Destinations
    from streaming.storage.place import Place

RETRY_SECONDS = 2.0
_WRITERS = 8
_IN_VAIN = 3  # if the storage fails to move this many files in a row, the others wait for the next time

Version = tuple[str, str, str | None]


class Delivery:
    """Does what waits in the ledger's outbox.

    If a file cannot be moved, it holds up no other: it is tried again and again. refused: (key, etag, version id) of
    the files that the storage refuses to move until somebody mends the reason; held_up: other files wait, too.
    """

    def __init__(
        self, transactions: Transactions, epoch: int, checkpoint_id: str, to: Destinations, stop: threading.Event
    ) -> None:
        self._transactions = transactions
        self._epoch = epoch
        self._checkpoint_id = checkpoint_id
        self._to = to
        self._stop_event = stop
        self._pool = ThreadPoolExecutor(_WRITERS)
        self._wait = Waiting("the move of files")
        self._unmoved: set[int] = set()
        self._next_move, self._pause = 0.0, RETRY_SECONDS
        self.refused: frozenset[Version] = frozenset()
        self.held_up = False

    @property
    def due(self) -> bool:
        """Whether a file that could not be moved is to be tried again now."""
        return bool(self._unmoved) and time.monotonic() >= self._next_move

    def close(self) -> None:
        """Ends its threads."""
        self._pool.shutdown()
        self._wait.given_up()

    def write(self, batch_id: int) -> None:
        """Writes the receipts of batches up to this one. Raises StorageError if the place does not answer."""
        faults.reach("committed")
        rows = self._transactions.run(lambda cur: outbox.unwritten_receipts(cur, self._checkpoint_id, batch_id))
        bodies = [(receipt_name(row.seq), json.dumps(row.body, indent=1).encode()) for row in rows]
        list(self._pool.map(lambda body: self._to.receipts.put(*body), bodies))
        self._mark(outbox.receipt_written, [(row.seq,) for row in rows])

    def move(self, batch_id: int) -> None:
        """Moves the files of batches up to this one. Each gets one try; those that failed the last time come last."""
        rows = self._transactions.run(lambda cur: outbox.unmoved(cur, self._checkpoint_id, batch_id))
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
        """A free name at the target for each drop, or why there is none now. A name that was chosen before stays."""
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
        self.held_up = len(failed) > len(refused)
        if not failed:
            self._pause = RETRY_SECONDS
            self._wait.over()
            return
        self._next_move, self._pause = time.monotonic() + self._pause, min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        seq, error = next(iter(failed.items()))
        others = f" ({len(failed)} files in all)" if len(failed) > 1 else ""
        self._wait.failed(f"drop {seq}{others}: {error}", "The others are moved meanwhile.")

    def _destination(self, row: Receipt) -> Place:
        return self._to.success if row.fate == "success" else self._to.failed

    def _mark(self, statement: Callable[..., None], rows: Sequence[tuple[object, ...]]) -> None:
        """One transaction for all rows, by the newest writer only."""

        def work(cur: cursor) -> None:
            writer.check_epoch(cur, self._epoch)
            for row in rows:
                statement(cur, *row)

        if rows:
            self._transactions.run(work)


def _named(rows: list[Receipt], names: dict[int, str]) -> list[Receipt]:
    """The rows that have got their name just now."""
    return [row for row in rows if row.moved_to is None and row.seq in names]
