"""The stateful step: packets of ticks in, packets of changes out, the price history of each bucket in Spark's state.

State: one value `index` and one map `chunks` per bucket (see `history`). Facts and rejects pass through untouched.
API: https://spark.apache.org/docs/4.1.4/streaming/structured-streaming-transform-with-state.html
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from pyspark import TaskContext
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle
from pyspark.sql.types import BinaryType, LongType, StructField, StructType

from streaming import descriptors, faults, memory
from streaming.checkpoint.handover import MANY_BYTES, Handover
from streaming.errors import START_AGAIN, CheckpointError
from streaming.lake.rows import DUPLICATES as DUPLICATE_ROWS
from streaming.lake.rows import write_of_bucket
from streaming.packets import (
    CHANGES,
    CHANGES_FILE,
    DATED,
    DATED_FILE,
    DID,
    DUPLICATES,
    FINGERPRINT,
    HELD,
    IN_FILES,
    LOADED,
    LOADED_FILE,
    OPEN_TICKS,
    OPEN_TICKS_FILE,
    PACKET_SCHEMA,
    REPLACED,
    REPLACED_FILE,
    TICKS,
    TICKS_FILE,
    Loaded,
    Replaced,
    Row,
    Ticks,
    ipc_table,
)
from streaming.returns.correction_rows import CorrectionRows
from streaming.returns.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.stateful_processor import MapState

    from streaming.corrections import Corrections
    from streaming.packets import Changes, Dated


_MANY = 50_000  # more rows than this go as a file, not through Spark
_GIVEN_BACK_SECONDS = 0.1  # Spark waits for the end of the task, not for this

_COLUMNS = list(Row._fields)
_PACKETS = {TICKS, TICKS_FILE, OPEN_TICKS, OPEN_TICKS_FILE}

# as types: what is given as text is read by Java each time, six questions for each task
_CHUNK = StructType([StructField("chunk", LongType())])
_DATA = StructType([StructField("data", BinaryType())])


class _StateChunks:
    """Chunks of one bucket's history as entries of a Spark map state."""

    def __init__(self, state: MapState) -> None:
        self._state = state

    def load(self, chunk: int) -> bytes:
        entry = self._state.getValue((chunk,))
        if entry is None:
            msg = f"chunk {chunk} of the price history is not in the state: the checkpoint is damaged. {START_AGAIN}."
            raise CheckpointError(msg)
        return bytes(entry[0])

    def store(self, chunk: int, data: bytes) -> None:
        self._state.updateValue((chunk,), (data,))

    def remove(self, chunk: int) -> None:
        self._state.removeKey((chunk,))


class _Given(NamedTuple):
    """What a batch gives to a bucket: (seq, packet) in the order of seq and part; the drop that goes on in the next.

    unfinished: drops that go on, or that may have begun in an earlier batch.
    """

    ticks: list[tuple[int, Ticks]]
    open_seq: int | None
    unfinished: set[int]


class Returns(StatefulProcessor):
    """One call for each bucket and batch.

    with_loaded: also gives the ticks that count, for the lake; with_corrections: the cells that each drop changed;
    with_dates: what each drop did on each date.

    If there are few changes and ticks, they are emitted. If there are many, they are written as files beside the
    checkpoint, the same files in a replay, and the names are emitted.
    """

    def __init__(self, *, checkpoint_url: str, with_loaded: bool, with_corrections: bool, with_dates: bool) -> None:
        self._checkpoint_url = checkpoint_url
        self._with_loaded = with_loaded
        self._with_corrections = with_corrections
        self._with_dates = with_dates

    def init(self, handle: StatefulProcessorHandle) -> None:
        """Names the two state variables."""
        self._index = handle.getValueState("index", _DATA)
        self._chunks = handle.getMapState("chunks", _CHUNK, _DATA)
        self._handover = Handover(self._checkpoint_url)

    def handleInputRows(  # type: ignore[override]  # noqa: N802 (named by Spark; here it gives frames, never Rows)
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: object,  # noqa: ARG002, N803 (named by Spark)
    ) -> Iterator[pd.DataFrame]:
        """Applies the packets of bucket `key` in order of (seq, part).

        pandas only holds what comes and goes: to choose and sort a few rows with it takes longer than their maths.
        """
        every = [row for frame in rows for row in _rows(frame)]
        out = [passed for row in every for passed in self._passed(row)]
        packets = sorted((row for row in every if row.kind in _PACKETS), key=lambda row: (row.seq, row.part))
        del every
        given = self._given(packets)
        del packets
        in_files = any(row.kind == LOADED_FILE for row in out)
        is_large = in_files or sum(len(packet) for _, packet in given.ticks) > memory.LARGE
        if is_large and out:
            yield _frame(out)
            out = []
        if given.ticks:
            out += self._apply(int(key[0]), given)
        del given
        if out:
            yield _frame(out)
        if is_large:
            memory.give_back_later(_GIVEN_BACK_SECONDS)

    def _given(self, packets: list[Row]) -> _Given:
        """The ticks, from the rows themselves or from the files that they name. packets: sorted."""
        ticks = []
        for row in packets:
            data = self._handover.read(row.payload.decode()) if row.kind in IN_FILES.values() else row.payload
            ticks.append((row.seq, Ticks.from_buffer(data)))
        open_seq = next((row.seq for row in packets if row.kind in {OPEN_TICKS, OPEN_TICKS_FILE}), None)
        resumed = packets[0].seq if packets and packets[0].part else None
        return _Given(ticks, open_seq, {seq for seq in (open_seq, resumed) if seq is not None})

    def _passed(self, row: Row) -> Iterator[Row]:
        """Facts, rejects and names of files as they are; duplicates only if there is a lake, many of them as a file."""
        if row.kind not in IN_FILES:
            yield row
        if not self._with_loaded:
            return
        if row.kind == REPLACED_FILE:
            yield self._in_a_file(row, self._handover.read(row.payload.decode()))
        elif row.kind == REPLACED:
            yield row if len(row.payload) <= MANY_BYTES else self._in_a_file(row, row.payload)

    def _in_a_file(self, row: Row, replaced: bytes | pa.Buffer) -> Row:
        name = f"{row.bucket}-{row.seq}-{row.part}"
        return Row(row.bucket, row.seq, row.part, LOADED_FILE, self._duplicates_file(name, ipc_table(replaced)))

    def _duplicates_file(self, name: str, table: pa.Table) -> bytes:
        file = write_of_bucket(self._checkpoint_url, _batch_id(), name, table, of=DUPLICATE_ROWS)
        return json.dumps(vars(file)).encode()

    def close(self) -> None:
        """Nothing is held between batches."""

    def _apply(self, bucket: int, given: _Given) -> list[Row]:
        faults.reach("state")
        index = self._index.get()
        history = History(None if index is None else bytes(index[0]), _StateChunks(self._chunks))
        out: list[Row] = []

        def take(changes: Changes) -> None:
            out.append(Row(bucket, 0, 0, *self._for_the_tables(changes, f"{bucket}-{len(out)}")))

        corrections = CorrectionRows(self._handover, f"{_batch_id()}-{bucket}", given.unfinished)
        keep = corrections.add if self._with_corrections else _forget
        packets = (given.ticks.pop(0) for _ in range(len(given.ticks)))  # nobody else holds them
        applied = history.apply(packets, open_seq=given.open_seq, changes=take, corrections=keep)
        self._index.update((history.index(),))
        did = {seq: asdict(of_drop) for seq, of_drop in applied.did.items()}
        out.append(Row(bucket, 0, 0, DID, json.dumps(did).encode()))
        out += [Row(bucket, 0, 0, *row) for row in corrections.rows()]
        if self._with_dates:
            out.append(Row(bucket, 0, 0, *self._for_the_dates(applied.dated, bucket)))
        if self._with_loaded:
            out.append(Row(bucket, 0, 0, *self._for_the_lake(Loaded(*applied.loaded), bucket)))
        if applied.duplicates:
            counts = {seq: asdict(found) for seq, found in applied.duplicates.items()}
            out.append(Row(bucket, 0, 0, DUPLICATES, json.dumps(counts).encode()))
            if self._with_loaded:
                out.append(Row(bucket, 0, 0, *self._of_the_state(Loaded(*applied.replaced), bucket)))
        fingerprints = [asdict(fingerprint) for fingerprint in (applied.before, applied.after)]
        out.append(Row(bucket, 0, 0, FINGERPRINT, json.dumps(fingerprints).encode()))
        if (held := descriptors.of_java_above()) is not None:
            out.append(Row(bucket, 0, 0, HELD, held.to_json()))
        return out

    def _for_the_tables(self, changes: Changes, name: str) -> tuple[str, bytes]:
        if len(changes) <= _MANY:
            return CHANGES, changes.to_buffer()
        return CHANGES_FILE, self._handed_over(name, changes.to_batch())

    def _for_the_dates(self, dated: Dated, bucket: int) -> tuple[str, bytes]:
        if len(dated) <= _MANY:
            return DATED, dated.to_buffer()
        return DATED_FILE, self._handed_over(f"{bucket}-dates", dated.to_batch())

    def _handed_over(self, name: str, rows: pa.RecordBatch | pa.Table) -> bytes:
        return self._handover.write(f"{_batch_id()}-{name}", rows).encode()

    def _for_the_lake(self, loaded: Loaded, bucket: int) -> tuple[str, bytes]:
        if len(loaded.seq) <= _MANY:
            return LOADED, loaded.to_buffer()
        file = write_of_bucket(self._checkpoint_url, _batch_id(), bucket, loaded.to_table())
        return LOADED_FILE, json.dumps(vars(file)).encode()

    def _of_the_state(self, loaded: Loaded, bucket: int) -> tuple[str, bytes]:
        replaced = Replaced(loaded, np.zeros(len(loaded.seq), np.int64))
        if len(loaded.seq) <= _MANY:
            return REPLACED, replaced.to_buffer()
        return LOADED_FILE, self._duplicates_file(f"{bucket}", replaced.to_table())


def _rows(frame: pd.DataFrame) -> Iterator[Row]:
    *columns, payload = (frame[name].tolist() for name in _COLUMNS)
    return map(Row, *columns, map(bytes, payload))  # Spark may give a bytearray


def _frame(rows: list[Row]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=_COLUMNS)


def _forget(cells: Corrections) -> None:
    """If nobody asked for them."""


def _batch_id() -> int:
    """Of the batch that this task belongs to."""
    return int(TaskContext.get().getLocalProperty("streaming.sql.batchId"))  # type: ignore[union-attr,arg-type]  # Spark sets both


def changes(
    packets: DataFrame,
    *,
    checkpoint_url: str,
    with_loaded: bool,
    with_corrections: bool = False,
    with_dates: bool = False,
) -> DataFrame:
    """Packets of ticks (`PACKET_SCHEMA`) → changes, loaded ticks, duplicates, and all else that came in."""
    return packets.groupBy("bucket").transformWithStateInPandas(
        statefulProcessor=Returns(
            checkpoint_url=checkpoint_url,
            with_loaded=with_loaded,
            with_corrections=with_corrections,
            with_dates=with_dates,
        ),
        outputStructType=PACKET_SCHEMA,
        outputMode="Append",
        timeMode="None",
    )
