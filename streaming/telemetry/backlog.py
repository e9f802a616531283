"""How many drops wait in the input, and for how long the oldest one has."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

from streaming.checkpoint.offset import EMPTY_OFFSET, Offset, digest
from streaming.errors import CheckpointError, SettingsError, StorageError
from streaming.follower import Follower
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.settings import Settings
    from streaming.telemetry.metrics import Metrics

log = logging.getLogger(__name__)


class WaitingDrops(NamedTuple):
    """drops: how many wait; oldest_seconds: for how long the oldest has waited, 0 if none waits."""

    drops: int
    oldest_seconds: float


class Backlog(Follower):
    """Looks at the input, keeps what waits there in `waiting`, and tells `metrics`.

    committed: the last batch whose receipts are written, -1 before the first. The versions in the input that no batch
    up to this one has taken wait, and so does a large drop that goes on. waiting: None before the first look, and after
    a look that failed.
    """

    def __init__(
        self,
        settings: Settings,
        checkpoint: Checkpoint,
        *,
        committed: Callable[[], int],
        metrics: Metrics,
        stop: threading.Event,
    ) -> None:
        super().__init__("backlog", stop, daemon=True)  # a long listing must not keep an ended job alive
        self._input = open_place(settings.input)
        self._every = settings.heartbeat_every
        self._checkpoint = checkpoint
        self._committed = committed
        self._metrics = metrics
        self._offset: tuple[int, Offset] = (-1, EMPTY_OFFSET)
        self.waiting: WaitingDrops | None = None

    def follow(self) -> None:
        """Until the stop event; raises what waiting does not mend."""
        try:
            while True:
                began = time.monotonic()
                self._look()
                self._metrics.flush()
                # if listing the input takes long, it may take half of the time
                if self._stop_event.wait(max(self._every, time.monotonic() - began)):
                    break
        finally:
            self._metrics.flush()

    def _look(self) -> None:
        try:
            self.waiting = self._found(self._committed())
        except (
            StorageError,
            SettingsError,
            CheckpointError,
        ) as error:  # the last: its offset is purged
            self.waiting = None
            log.warning("how many drops wait is not known this time: %s", error)
        else:
            self._metrics.waiting(*self.waiting)

    def _found(self, batch: int) -> WaitingDrops:
        if batch != self._offset[0]:
            self._offset = (batch, self._checkpoint.offset(batch))
        offset = self._offset[1]
        waiting = [version for version in self._input.versions() if digest(version) not in offset.lying]
        oldest = min((version.modified for version in waiting), default=None)
        age = 0.0 if oldest is None else max((datetime.now(UTC) - oldest).total_seconds(), 0.0)
        return WaitingDrops(len(waiting) + offset.open, age)
