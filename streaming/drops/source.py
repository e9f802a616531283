"""The source of the stream: new drops in the input, admitted once on the driver, read on the executors.

A small batch is read by the source itself, since a Python task of Spark costs more than its rows.

Delivery: exactly once into Spark. An offset holds the list of its batch's drops. So a replay reads the same bytes (S3:
by the version id; folder: the claim made at admission), whatever has happened to the input since.
API: https://spark.apache.org/docs/4.1.4/api/python/tutorial/sql/python_data_source.html
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql.datasource import DataSource, InputPartition

from streaming import faults, memory
from streaming.checkpoint.offset import EMPTY_OFFSET, Offset, Span
from streaming.drops.admission import admit, spans
from streaming.drops.input_watch import InputReport
from streaming.drops.isolation import parse_isolated
from streaming.drops.options import SourceOptions
from streaming.drops.pace import RARELY_SECONDS, REST_SECONDS, Pace
from streaming.drops.reading import rows_of
from streaming.drops.readings import Readings
from streaming.drops.ripeness import Ripeness
from streaming.drops.wake import Wake
from streaming.errors import SettingsError, StorageError
from streaming.packets import IN_FILES, PACKET_COLUMNS, PACKET_SCHEMA, Row
from streaming.spark.prefetched import PrefetchingReader
from streaming.storage.folder import Folder
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from streaming.drops.object_events import ObjectEvents
    from streaming.storage.place import Version


FORMAT = "stocketl-drops"
SMALL_BYTES, SMALL_DROPS = 1 << 20, 16
"""A batch of at most so much is read by the source itself."""

QUIET_SECONDS, MOST_SECONDS = 0.05, 1.0
"""For so long nothing more must have come before a larger batch begins, and so long it waits at most."""


_GIVEN_BACK_SECONDS = 3.0  # the same process works on the state next, and would fetch the memory anew


class DropSource(DataSource):
    """`spark.readStream.format("stocketl-drops")`. Its one option is `stocketl`: `SourceOptions` as JSON."""

    @classmethod
    def name(cls) -> str:
        """The format's name."""
        return FORMAT

    def schema(self) -> str:
        """One row per packet."""
        return PACKET_SCHEMA

    def streamReader(self, schema: StructType) -> DropReader:  # noqa: ARG002, N802 (named by Spark)
        """The reader: one on the driver gives offsets, copies of it on the executors read."""
        return DropReader(SourceOptions.from_json(self.options["stocketl"]))


class SpanPartition(InputPartition):
    """What one task reads: spans of drops, in order of seq, and the profiles of the batch."""

    def __init__(self, spans_of_task: list[Span], profiles: Mapping[str, str]) -> None:
        super().__init__((spans_of_task, dict(profiles)))


class DropReader(PrefetchingReader):
    """Admits drops (driver) and turns them into packets (executors; the driver, if the batch is small)."""

    def __init__(self, options: SourceOptions) -> None:
        super().__init__()
        self._options = options
        self._place = open_place(options.input, settle=options.settle)
        self._offset = options.resume
        self._pace: Pace | None = None
        self._wake: Wake | ObjectEvents | None = None  # nothing wakes it
        self._failed = False
        self._report = InputReport(options.report)
        self._readings = Readings(options.profiles)
        self._ripe = Ripeness(options.patience)
        self._small: SpanPartition | None = None

    def initialOffset(self) -> dict[str, object]:  # noqa: N802 (named by Spark)
        """Before the first drop."""
        return EMPTY_OFFSET.to_json()

    def latestOffset(self) -> dict[str, object]:  # noqa: N802 (named by Spark)
        """Lists the input and admits what is new, up to the batch limit. If nothing is new, gives the same offset.

        Before the first drop it does not answer at all. Else Spark would plan a batch of nothing, and a drop that comes
        meanwhile would have to wait for it. If the storage does not answer or refuses, it is asked again: the check at
        the start found no wrong setting, and a right that was taken away may be given back.
        """
        if self._pace is None:  # only the reader on the driver looks
            self._pace = self._its_pace()
        self._offset = self._pace.look(self._offset, self._admitted, patient=self._offset == EMPTY_OFFSET)
        return self._offset.to_json()

    def stop(self) -> None:
        """Spark asks for nothing more."""
        if self._wake is not None:
            self._wake.close()

    def _its_pace(self) -> Pace:
        """In a folder the kernel wakes it, in a bucket a queue of its events. Else it looks again and again."""
        every = self._options.every
        if isinstance(self._place, Folder):
            self._wake = Wake(self._place.url, self._place.take_for_whole if self._options.at_close else None)
            return Pace(every, sleep=self._wake.wait)
        if not self._options.wake:
            return Pace(every)
        from streaming.drops.object_events import ObjectEvents  # noqa: PLC0415 - boto3 takes 0.3 s to load

        self._wake = events = ObjectEvents(self._options.wake)
        rarely = lambda: every if self._failed or events.trouble else max(every, RARELY_SECONDS)  # noqa: E731
        return Pace(every, sleep=events.wait, rest=REST_SECONDS, rarely=rarely)

    def _admitted(self) -> Offset:
        queue = self._wake.trouble if self._wake else ""
        try:
            found = admit(self._offset, self._place, self._options.limits, self._readings, self._ripe, more=self._more)
        except (StorageError, SettingsError) as error:
            self._failed = True
            self._report.looked(str(error), {}, queue)
            return self._offset
        self._failed = False
        self._report.looked("", self._place.held_back(), queue)
        return found

    def _more(self, new: list[Version]) -> bool:
        """Whether more has come, once what is new is no small batch: the files of a large load make one batch then."""
        if not isinstance(self._wake, Wake) or sum(version.size for version in new) <= SMALL_BYTES:
            return False
        return self._wake.until_quiet(QUIET_SECONDS, MOST_SECONDS)

    def partitions(self, start: dict[str, object], end: dict[str, object]) -> Sequence[InputPartition]:
        """Spreads the spans of the batch over the tasks: the largest first, each to the emptiest task."""
        self._small = None
        if start == end:
            return []
        faults.reach("offset-logged")
        ended = Offset.from_json(end)
        todo = spans(ended, self._options.limits)
        if self._is_small(todo):
            self._small = SpanPartition(todo, ended.profiles)
            return [self._small]
        tasks: list[list[Span]] = [[] for _ in range(min(self._options.tasks, len(todo)))]
        sizes = [0] * len(tasks)
        for span in sorted(todo, key=lambda s: s.bytes, reverse=True):
            emptiest = sizes.index(min(sizes))
            tasks[emptiest].append(span)
            sizes[emptiest] += span.bytes + 4096  # opening a drop costs about as much as parsing 4 KiB
        return [SpanPartition(sorted(task, key=lambda s: (s.seq, s.start)), ended.profiles) for task in tasks]

    def _is_small(self, todo: list[Span]) -> bool:
        if self._options.isolate or len(todo) > SMALL_DROPS:
            return False
        return sum(span.bytes for span in todo) <= SMALL_BYTES

    def prefetched(self) -> list[pa.RecordBatch] | None:
        """The rows of a small batch; None if it is not small, or the storage does not answer: then tasks try it."""
        if self._small is None:
            return None
        try:
            return list(self.read(self._small))
        except StorageError:
            return None

    def read(self, partition: InputPartition) -> Iterator[pa.RecordBatch]:
        """Reads and parses each span: its packets, its rejects and its facts."""
        options = self._options
        todo, profiles = partition.value
        read = replace(options.read, profiles=profiles)
        if options.isolate:
            rows = parse_isolated(todo, options.input, read)
        else:
            rows = (row for span in todo for row in rows_of(span, self._place, read))
        return _record_batches(row._replace(bucket=options.keys[row.bucket]) for row in rows)


def stream(spark: SparkSession, options: SourceOptions) -> DataFrame:
    """The stream of packets, rejects and facts of every new drop: columns of `PACKET_SCHEMA`."""
    spark.dataSource.register(DropSource)
    return spark.readStream.format(FORMAT).option("stocketl", options.to_json()).load()


def _record_batches(rows: Iterator[Row], batch_bytes: int = 8 << 20) -> Iterator[pa.RecordBatch]:
    held: list[Row] = []
    size = total = 0
    for row in rows:
        held.append(row)
        size += len(row.payload)
        total += memory.LARGE_BYTES if row.kind in IN_FILES.values() else len(row.payload)
        if size >= batch_bytes:
            yield _record_batch(held)
            held, size = [], 0
    if held:
        yield _record_batch(held)
    if total >= memory.LARGE_BYTES:
        memory.give_back_later(_GIVEN_BACK_SECONDS)


def _record_batch(rows: list[Row]) -> pa.RecordBatch:
    columns = [
        pa.array(column, kind) for column, kind in zip(zip(*rows, strict=True), PACKET_COLUMNS.types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, schema=PACKET_COLUMNS)
