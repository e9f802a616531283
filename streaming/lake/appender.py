"""A thread that appends the batches of the outbox to the lake.

Delivery: exactly once. A batch lies in the outbox before Spark commits it, and until Delta has it. Delta may already
have batches from before the start, or of an append that failed: these are appended one by one, and `txnVersion` leaves
out what is there. Newer batches go several to an append. So neither a drop nor its receipt waits for Delta.
"""

from __future__ import annotations

import contextlib
import threading
import time
from typing import TYPE_CHECKING

from streaming import faults
from streaming.errors import SettingsError, StorageError
from streaming.follower import Follower
from streaming.lake.keeping import LakeKeeping
from streaming.lake.outbox import LakeOutbox
from streaming.lake.tables import Lake
from streaming.masking import first_line
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.lake.outbox import Kept
    from streaming.lake.rows import RowsFile
    from streaming.settings import Settings

_BATCHES_AT_ONCE = 100
_ROWS_AT_ONCE = 4_000_000
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# An append takes a core for a moment, or for seconds if it is large. So it waits until no batch follows the last one at
# once (the trigger is 0.2 s), but no batch waits for ever.
_QUIET_SECONDS, _LONGEST_WAIT_SECONDS = 0.3, 30.0
_LOOK_SECONDS = 0.1
_ADVICE = (
    "Tables and receipts do not wait for it. If this goes on: is the lake's place there, may the job write there, is "
    "the disk full? logs/spark.log says more"
)


class LakeAppender(Follower):
    """Takes the rows of each batch and appends them to the lake, oldest first, until `stop` is set.

    still_writer: raises if a newer job has taken over; asked before each append. keeping: what is done to the lake
    while no rows wait.
    """

    def __init__(
        self,
        lake: Lake,
        keeping: LakeKeeping,
        checkpoint: Checkpoint,
        still_writer: Callable[[], None],
        stop: threading.Event,
    ) -> None:
        super().__init__("lake", stop)
        self._lake = lake
        self._keeping = keeping
        self._still_writer = still_writer
        self._outbox = LakeOutbox(checkpoint)
        self._perhaps_there = max(checkpoint.planned(), default=-1)
        self._appended = -1
        self.writing_since: float | None = None  # of time.monotonic, while an append is under way
        self._wake = threading.Condition()
        self._kept = {kept.batch_id: kept for kept in self._outbox.left_from_before()}
        self._batches_under_way = 0
        self._quiet_since = time.monotonic()
        self._kept_since = dict.fromkeys(self._kept, self._quiet_since)
        self._wait = Waiting("the lake")

    @contextlib.contextmanager
    def batch_under_way(self) -> Iterator[None]:
        """While a batch is under way, nothing is appended, unless it has waited for long."""
        self._batches_under_way += 1
        try:
            yield
        finally:
            self._quiet_since = time.monotonic()
            self._batches_under_way -= 1

    def put(
        self, batch_id: int, tables: Mapping[str, pa.Table], *, superseded: set[int], files: list[RowsFile]
    ) -> None:
        """Keeps the rows of a batch, by table; after a replay, again.

        superseded: drops whose earlier rows are to go. files: rows that already wait in the outbox.
        """
        kept = self._outbox.keep(batch_id, tables, superseded=superseded, files=files)
        with self._wake:
            self._kept_since.setdefault(batch_id, time.monotonic())
            self._kept[batch_id] = kept
            self._wake.notify()

    @property
    def idle(self) -> bool:
        """Whether everything is in the lake, and the lake is in order."""
        return not self._kept and not self._keeping.due

    def follow(self) -> None:
        """Until the stop event. Waits if Spark has an error; raises others, such as that of a newer writer."""
        pause = _FIRST_PAUSE
        while not self._stop_event.is_set():
            with self._wake:
                self._wake.wait_for(lambda: bool(self._kept) or self._keeping.due, timeout=_FIRST_PAUSE)
                batches = self._next()
            if self._must_wait(self._keeping.overdue if not batches else self._has_waited_long(batches[0])):
                self._stop_event.wait(_LOOK_SECONDS)
            elif not batches or self._keeping.overdue:
                self._keep_house()
            elif self._bring(batches):
                pause = _FIRST_PAUSE
            else:
                self._stop_event.wait(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def _keep_house(self) -> None:
        if self._keeping.due:
            self._keeping.work(self._still_writer)

    def _must_wait(self, for_long: bool) -> bool:  # noqa: FBT001 (what follows it in a sentence)
        busy = self._batches_under_way > 0 or time.monotonic() - self._quiet_since < _QUIET_SECONDS
        return busy and not for_long

    def _has_waited_long(self, oldest: Kept) -> bool:
        return time.monotonic() - self._kept_since[oldest.batch_id] >= _LONGEST_WAIT_SECONDS

    def _next(self) -> list[Kept]:
        """The batches of the next append."""
        batches: list[Kept] = []
        rows = 0
        for batch_id in sorted(self._kept):
            kept = self._kept[batch_id]
            rows += kept.rows
            alone = batch_id <= max(self._perhaps_there, self._appended)
            if batches and (alone or rows > _ROWS_AT_ONCE or len(batches) == _BATCHES_AT_ONCE):
                break
            batches.append(kept)
            if alone:
                break
        return batches

    def _bring(self, batches: list[Kept]) -> bool:
        """Appends the batches and takes them out of the outbox. False: it must be tried again."""
        last = batches[-1].batch_id
        self._still_writer()
        if last > self._appended:  # else: the replay of a batch that this process has appended
            self.writing_since = time.monotonic()
            try:
                self._append(batches)
            except Exception as error:  # noqa: BLE001 (Spark's errors have no common class; the rows are kept)
                if self._stop_event.is_set():  # Spark ends under it
                    return False
                self._outbox.refuse_damaged(batches)
                waits = f"{len(self._kept)} batches are kept in {self._outbox.url}"
                self._wait.failed(f"{first_line(error)} ({waits})", _ADVICE)
                self._perhaps_there = max(self._perhaps_there, last)
                return False
            finally:
                self.writing_since = None
            self._wait.over()
            self._appended = last
            faults.reach("appended")
        try:
            self._outbox.remove(batches)
        except (StorageError, SettingsError) as error:
            left = f"what the lake has is not removed from {self._outbox.url} yet"
            self._wait.failed(f"{first_line(error)} ({left})", _ADVICE)
            return False
        with self._wake:
            for kept in batches:
                del self._kept[kept.batch_id], self._kept_since[kept.batch_id]
        return True

    def _append(self, batches: list[Kept]) -> None:
        locations = self._outbox.locations(batches)
        self._lake.append(batches[-1].batch_id, locations)
        for kept in batches:
            for seq in kept.superseded:
                self._lake.forget_superseded(seq)
        self._keeping.appended(name for name, files in locations.items() if files)


def open_lake(
    settings: Settings,
    spark: SparkSession,
    checkpoint: Checkpoint,
    still_writer: Callable[[], None],
    stop: threading.Event,
) -> LakeAppender | None:
    """Appends to the lake that the settings name. None: they name none."""
    if settings.lake is None:
        return None
    lake = Lake(spark, settings.lake, checkpoint.id)
    return LakeAppender(lake, LakeKeeping(lake, settings.lake, settings.lake_retention), checkpoint, still_writer, stop)
