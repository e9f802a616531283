"""Rows on their way to the lake: kept beside the checkpoint when their batch is published, appended by a thread.

Delivery: exactly once. A batch lies in the outbox before Spark commits it and until Delta has it. What Delta may have
already (batches from before the start, or of an append that failed) is appended one batch at a time, and `txnVersion`
leaves out what is there; newer batches go several to an append. So neither a drop nor its receipt waits for Delta.

A batch is some Parquet files and, written last and removed first, `<batch>.json`, which names them.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from streaming import faults
from streaming.checkpoint.inspection import damaged
from streaming.errors import SettingsError, StorageError
from streaming.follower import Follower
from streaming.lake import rows as lake_files
from streaming.lake.keeping import LakeKeeping
from streaming.lake.rows import REJECTS, TICKS, RowsFile
from streaming.lake.tables import Lake
from streaming.masking import first_line
from streaming.storage.locations import open_place
from streaming.storage.place import discard
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from pyspark.sql import SparkSession

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.errors import CheckpointError
    from streaming.settings import Settings

_BATCHES_AT_ONCE = 100
_ROWS_AT_ONCE = 4_000_000
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
# An append takes a core for half a second or more: it waits until no batch follows the last one at once (the trigger
# is 0.2 s), but not for ever.
_QUIET_SECONDS, _LONGEST_WAIT_SECONDS = 0.3, 30.0
_LOOK_SECONDS = 0.1
_ADVICE = (
    "Tables and receipts do not wait for it. If it goes on: is the lake's place there, may the job write there, is the "
    "disk full? logs/spark.log says more"
)
_ENTRY = re.compile(r"([0-9]+)\.json")


@dataclass(frozen=True)
class _Kept:
    """A batch in the outbox: its files by table, and the drops of which rows of earlier batches are superseded."""

    batch_id: int
    files: dict[str, list[RowsFile]]
    superseded: list[int]

    @property
    def rows(self) -> int:
        return sum(file.rows for files in self.files.values() for file in files)

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> _Kept:
        plain = json.loads(data)
        files = {name: [RowsFile(**file) for file in found] for name, found in plain["files"].items()}
        return cls(plain["batch_id"], files, plain["superseded"])


class LakeOutbox(Follower):
    """Takes the rows of each batch and brings them to the lake, oldest first, until `stop` is set.

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
        self._url = lake_files.outbox_of(checkpoint.url)
        self._place = open_place(self._url)
        self._place.check()
        self._checkpoint_url = checkpoint.url
        self._perhaps_there = max(checkpoint.planned(), default=-1)
        self._appended = -1
        self.writing_since: float | None = None  # of time.monotonic, while an append is under way
        self._wake = threading.Condition()
        self._kept = {kept.batch_id: kept for kept in self._left_from_before(checkpoint)}
        self._batches_under_way = 0
        self._quiet_since = self._waiting_since = time.monotonic()
        self._wait = Waiting("the lake")

    @contextlib.contextmanager
    def batch_under_way(self) -> Iterator[None]:
        """While a batch is worked on nothing is appended, unless it has waited for long."""
        self._batches_under_way += 1
        try:
            yield
        finally:
            self._quiet_since = time.monotonic()
            self._batches_under_way -= 1

    def put(
        self, batch_id: int, ticks: pa.Table, rejects: pa.Table, *, superseded: set[int], files: list[RowsFile]
    ) -> None:
        """Keeps the rows of a batch, again after a replay.

        superseded: drops of which earlier rows are to go. files: ticks that wait in the outbox already.
        """
        every: dict[str, list[RowsFile]] = {TICKS: list(files), REJECTS: []}
        for name, table in ((TICKS, ticks), (REJECTS, rejects)):
            if table.num_rows:
                every[name].append(lake_files.write(self._place, name, batch_id, table))
        kept = _Kept(batch_id, every, sorted(superseded))
        self._place.put(f"{batch_id}.json", kept.to_json())
        with self._wake:
            if not self._kept:
                self._waiting_since = time.monotonic()
            self._kept[batch_id] = kept
            self._wake.notify()

    @property
    def idle(self) -> bool:
        """Whether everything is in the lake, and the lake is in order."""
        return not self._kept and not self._keeping.due

    def follow(self) -> None:
        """Until the stop event. Errors of Spark are waited out; raises others, of a newer writer, say."""
        pause = _FIRST_PAUSE
        while not self._stop_event.is_set():
            with self._wake:
                self._wake.wait_for(lambda: bool(self._kept) or self._keeping.due, timeout=_FIRST_PAUSE)
                batches = self._next()
            if self._must_wait(self._keeping.overdue if not batches else self._has_waited_long()):
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

    def _has_waited_long(self) -> bool:
        return time.monotonic() - self._waiting_since >= _LONGEST_WAIT_SECONDS

    def _next(self) -> list[_Kept]:
        """The batches of the next append."""
        batches: list[_Kept] = []
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

    def _bring(self, batches: list[_Kept]) -> bool:
        """Appends the batches and takes them out of the outbox; False if it must be tried again."""
        last = batches[-1].batch_id
        self._still_writer()
        if last > self._appended:  # else: the replay of a batch that this process has appended
            self.writing_since = time.monotonic()
            try:
                self._append(batches)
            except Exception as error:  # noqa: BLE001 (Spark's errors have no common class; the rows are kept)
                if self._stop_event.is_set():  # Spark ends under it
                    return False
                self._refuse_damaged(batches)
                self._wait.failed(f"{first_line(error)} ({len(self._kept)} batches are kept in {self._url})", _ADVICE)
                self._perhaps_there = max(self._perhaps_there, last)
                return False
            finally:
                self.writing_since = None
            self._wait.over()
            self._appended = last
            faults.reach("appended")
        try:
            for kept in batches:
                discard(self._place, f"{kept.batch_id}.json")
                for file in [*kept.files[TICKS], *kept.files[REJECTS]]:
                    discard(self._place, file.key)
        except (StorageError, SettingsError) as error:
            self._wait.failed(f"{first_line(error)} (what the lake has is not removed from {self._url} yet)", _ADVICE)
            return False
        with self._wake:
            for kept in batches:
                del self._kept[kept.batch_id]
            self._waiting_since = time.monotonic()
        return True

    def _append(self, batches: list[_Kept]) -> None:
        locations = {
            name: [f"{self._url}/{file.key}" for kept in batches for file in kept.files[name]]
            for name in (TICKS, REJECTS)
        }
        self._lake.append(batches[-1].batch_id, locations)
        for kept in batches:
            for seq in kept.superseded:
                self._lake.forget_superseded(seq)
        self._keeping.appended(name for name in (TICKS, REJECTS) if locations[name])

    def _left_from_before(self, checkpoint: Checkpoint) -> list[_Kept]:
        """All but the open batch, which its replay puts here again, whatever lies here now."""
        found = (_ENTRY.fullmatch(key) for key in self._place.keys())  # noqa: SIM118 (a method of a place)
        numbers = sorted(int(entry[1]) for entry in found if entry)
        return [self._entry(f"{number}.json") for number in numbers if number != checkpoint.open_batch()]

    def _entry(self, key: str) -> _Kept:
        try:
            return _Kept.from_json(self._place.get(key) or b"")
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(key) from error

    def _refuse_damaged(self, batches: list[_Kept]) -> None:
        """Raises CheckpointError if waiting does not help: what should be appended is not there any more."""
        with contextlib.suppress(StorageError):  # that is what waiting helps against
            for kept in batches:
                for file in [*kept.files[TICKS], *kept.files[REJECTS]]:
                    if not lake_files.is_whole(self._place, file):
                        raise self._damaged(file.key)

    def _damaged(self, key: str) -> CheckpointError:
        why = "cannot be read: rows that are in the tables are missing in the lake without it"
        return damaged(self._checkpoint_url, f"{lake_files.OUTBOX}/{key}", why)


def open_lake(
    settings: Settings,
    spark: SparkSession,
    checkpoint: Checkpoint,
    still_writer: Callable[[], None],
    stop: threading.Event,
) -> LakeOutbox | None:
    """The outbox of the lake that the settings name, None if they name none."""
    if settings.lake is None:
        return None
    lake = Lake(spark, settings.lake, checkpoint.id)
    return LakeOutbox(lake, LakeKeeping(lake, settings.lake, settings.lake_retention), checkpoint, still_writer, stop)
