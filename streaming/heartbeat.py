"""A small object that says now and then that the job lives, and how far it is: whoever keeps it alive reads it.

Delivery: at least once; a storage that does not answer costs a warning and a beat.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streaming import __version__
from streaming.admission import EMPTY_OFFSET, digest, is_open
from streaming.errors import StorageError
from streaming.storage import open_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.checkpoint import Checkpoint
    from streaming.metrics import Metrics
    from streaming.settings import Settings
    from streaming.storage import Version

log = logging.getLogger(__name__)

HEARTBEAT = "heartbeat.json"


class Heartbeat(threading.Thread):
    """Looks at the input, tells `metrics` what waits there, and writes `heartbeat.json` where the settings say.

    committed: the last batch whose receipts are written, -1 before the first. What waits are the versions in the input
    that no batch up to it has taken, and a large drop that goes on.
    """

    def __init__(
        self,
        settings: Settings,
        checkpoint: Checkpoint,
        epoch: int,
        *,
        committed: Callable[[], int],
        metrics: Metrics,
        stop: threading.Event,
    ) -> None:
        super().__init__(name="heartbeat")
        self._input = open_place(settings.input)
        self._target = None if settings.heartbeat is None else open_place(settings.heartbeat)
        self._every = settings.heartbeat_every
        self._checkpoint = checkpoint
        self._epoch = epoch
        self._committed = committed
        self._metrics = metrics
        self._stop_event = stop
        self._offset: tuple[int, dict[str, Any]] = (-1, EMPTY_OFFSET)
        self.error: BaseException | None = None

    def run(self) -> None:
        """Until the stop event; an error that waiting does not mend is kept in `error`."""
        try:
            while True:
                self._beat()
                if self._stop_event.wait(self._every):
                    break
        except BaseException as error:  # noqa: BLE001 (handed to the thread that waits for this one)
            self.error = error
        finally:
            self._metrics.flush()

    def _beat(self) -> None:
        batch = self._committed()
        try:
            waiting, oldest = self._waiting(batch)
            self._metrics.waiting(waiting, oldest)
            if self._target is not None:
                self._target.put(HEARTBEAT, json.dumps(self._document(batch, waiting, oldest)).encode(), durable=False)
        except StorageError as error:
            log.warning("no heartbeat this time: %s", error)
        self._metrics.flush()

    def _document(self, batch: int, waiting: int, oldest: float) -> dict[str, Any]:
        return {
            "epoch": self._epoch,
            "batch": batch,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "waiting": waiting,
            "oldest_waiting_seconds": round(oldest, 1),
            "version": __version__,
            "step": os.environ.get("EMR_STEP_ID"),
        }

    def _waiting(self, batch: int) -> tuple[int, float]:
        """How many drops wait, and for how many seconds the oldest has."""
        if batch != self._offset[0]:
            self._offset = (batch, self._checkpoint.offset(batch))
        offset = self._offset[1]
        lying = offset["lying"]
        waiting: list[Version] = [version for version in self._input.versions() if digest(version) not in lying]
        oldest = min((version.modified for version in waiting), default=None)
        age = 0.0 if oldest is None else max((datetime.now(UTC) - oldest).total_seconds(), 0.0)
        return len(waiting) + is_open(offset), age
