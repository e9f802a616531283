"""All that watches the job: the log of its batches, its figures, its heartbeat, its wear."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.storage.locations import open_place
from streaming.telemetry.backlog import Backlog
from streaming.telemetry.batch_log import BatchLog
from streaming.telemetry.heartbeat import Heartbeat
from streaming.telemetry.log import terminal
from streaming.telemetry.metrics import Metrics, cloudwatch
from streaming.telemetry.progress_bar import ProgressBar
from streaming.telemetry.wear import Wear

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.follower import Follower
    from streaming.settings import Settings
    from streaming.telemetry.observer import Observer


class Telemetry:
    """What the settings ask for.

    observers: of each batch; followers: threads; wear: whether the job must begin anew; metrics: where its figures go.
    committed: the last batch whose receipts are written, -1 before the first; lake_since: see `BatchLog`.
    """

    def __init__(
        self,
        settings: Settings,
        checkpoint: Checkpoint,
        epoch: int,
        stop: threading.Event,
        *,
        committed: Callable[[], int],
        lake_since: Callable[[], float | None],
    ) -> None:
        self.metrics = metrics = cloudwatch() if settings.metrics == "cloudwatch" else Metrics()
        screen = terminal()
        self._batch_log = BatchLog(checkpoint, stop, lake_since=lake_since, bar=ProgressBar(screen) if screen else None)
        self.wear = Wear(metrics)
        self.observers: list[Observer] = [self._batch_log, metrics, self.wear]
        self.followers: list[Follower] = [self._batch_log]
        if settings.heartbeat is None and settings.metrics == "none":
            return
        backlog = Backlog(settings, checkpoint, committed=committed, metrics=metrics, stop=stop)
        if settings.heartbeat is not None:
            place, every = open_place(settings.heartbeat), settings.heartbeat_every
            self.followers.append(
                Heartbeat(
                    place,
                    every,
                    epoch,
                    committed=committed,
                    drops=lambda: backlog.waiting,
                    held=lambda: self.wear.highest,
                    stop=stop,
                )
            )
        self.followers.append(backlog)

    def close(self) -> None:
        """Gives a terminal back as it was."""
        self._batch_log.hide_bar()
