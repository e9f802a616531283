"""When `--once` is done: what lay in the input at the start has its receipt, is moved and in the lake.

If a file may not be read or moved, it is left for the next run.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from streaming.checkpoint.offset import digest
from streaming.errors import DropError, SettingsError, StorageError
from streaming.ledger import outbox
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.database.transactions import Transactions
    from streaming.lake.appender import LakeAppender
    from streaming.receipts.writer import ReceiptWriter
    from streaming.settings import Settings
    from streaming.storage.place import Version

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.25


class Drained:
    """Called again and again. True once nothing is left of what lay in the input when this was made."""

    def __init__(
        self,
        settings: Settings,
        checkpoint: Checkpoint,
        transactions: Transactions,
        receipts: ReceiptWriter,
        lake: LakeAppender | None,
    ) -> None:
        self._checkpoint = checkpoint
        self._moves = settings.moves
        self._place = open_place(settings.input)
        self._transactions = transactions
        self._receipts = receipts
        self._lake = lake
        self._wanted = {digest(version) for version in self._place.versions()}
        self._next_look = 0.0
        self._told = False

    def __call__(self) -> bool:
        """Looks at the input at most four times a second; if files stay there, at the ledger too."""
        # the lake last: before a file is moved, its rows are in the outbox
        return self._moved_or_ended() and (self._lake is None or self._lake.idle)

    def _moved_or_ended(self) -> bool:
        if not (self._receipts.delivering and self._receipts.idle) or time.monotonic() < self._next_look:
            return False
        self._next_look = time.monotonic() + _LOOK_SECONDS
        try:
            left = {digest(version): version for version in self._place.versions()}
            is_open = self._checkpoint.is_open()
        except (StorageError, SettingsError):  # SettingsError: a right that was taken away meanwhile
            return False
        refused = self._receipts.refused
        waiting = [
            version
            for key, version in left.items()
            if key in self._wanted and (version.key, version.etag, version.version) not in refused
        ]
        if is_open:
            return False
        if not waiting or self._moves:
            return self._left(waiting)
        keys = sorted({version.key for version in waiting})
        ended = self._transactions.run(lambda cur: outbox.ended_versions(cur, keys))
        return all((version.key, version.etag, version.version) in ended for version in waiting)

    def _left(self, waiting: list[Version]) -> bool:
        """Whether none of these can be read: such files are for the next run."""
        why = ""
        for version in waiting:
            try:
                self._place.open(version, None).close()
            except StorageError as error:
                why = why or str(error)
            except DropError:  # on its way
                return False
            else:
                return False
        if waiting and not self._told:
            self._told = True
            more = f" (and {len(waiting) - 1} more)" if len(waiting) > 1 else ""
            log.warning("left in the input, for the next run: %s%s", why, more)
        return True
