"""The stateful step: packets of ticks in, packets of changes out, the price history of each bucket in Spark's state.

State: one value `index` and one map `chunks` per bucket (see `history`). Facts and rejects pass through untouched.
API: https://spark.apache.org/docs/4.1.4/streaming/structured-streaming-transform-with-state.html
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from pyspark import TaskContext
from pyspark.sql.streaming.stateful_processor import StatefulProcessor, StatefulProcessorHandle

from streaming import descriptors, faults, memory
from streaming.checkpoint.handover import Handover
from streaming.errors import START_AGAIN, CheckpointError
from streaming.lake.rows import DUPLICATES as DUPLICATE_ROWS
from streaming.lake.rows import write_of_bucket
from streaming.packets import (
    CHANGES,
    CHANGES_FILE,
    CORRECTIONS,
    CORRECTIONS_FILE,
    DATED,
    DATED_FILE,
    DID,
    DUPLICATES,
    FINGERPRINT,
    HELD,
    LOADED,
    LOADED_FILE,
    OPEN_TICKS,
    PACKET_SCHEMA,
    REPLACED,
    TICKS,
    Loaded,
    Replaced,
    Row,
    Ticks,
    ipc_table,
)
from streaming.returns.history import History

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa
    from pyspark.sql import DataFrame
    from pyspark.sql.streaming.stateful_processor import MapState

    from streaming.corrections import Corrections
    from streaming.packets import Changes, Dated


_MANY = 50_000  # more rows than this go as a file, not through Spark
_MANY_BYTES = 2 << 20

_COLUMNS = list(Row._fields)


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
        self._index = handle.getValueState("index", "data binary")
        self._chunks = handle.getMapState("chunks", "chunk long", "data binary")

    def handleInputRows(  # type: ignore[override]  # noqa: N802 (named by Spark; here it gives frames, never Rows)
        self,
        key: Any,
        rows: Iterator[pd.DataFrame],
        timerValues: object,  # noqa: ARG002, N803 (named by Spark)
    ) -> Iterator[pd.DataFrame]:
        """Applies the packets of bucket `key` in order of (seq, part)."""
        frame = pd.concat(list(rows), ignore_index=True)
        is_packet = frame["kind"].isin([TICKS, OPEN_TICKS])
        passing = self._passing(frame.loc[~is_packet, _COLUMNS])
        if len(passing):
            yield passing
        packets = frame[is_packet].sort_values(["seq", "part"])
        if len(packets):
            size = sum(map(len, packets["payload"]))
            yield pd.DataFrame(self._apply(int(key[0]), packets), columns=_COLUMNS)
            if size > memory.LARGE_BYTES:
                del frame, packets, passing
                memory.give_back()

    def _passing(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Facts and rejects as they are; duplicates for the lake: many of them as a file, none if there is no lake."""
        replaced = rows["kind"] == REPLACED
        if not replaced.any():
            return rows
        if not self._with_loaded:
            return rows[~replaced]
        every = (Row(*values) for values in rows.itertuples(index=False))
        passed = [self._replaced(row) if row.kind == REPLACED else row for row in every]
        return pd.DataFrame(passed, columns=_COLUMNS)

    def _replaced(self, row: Row) -> Row:
        payload = bytes(row.payload)
        if len(payload) <= _MANY_BYTES:
            return Row(row.bucket, row.seq, row.part, REPLACED, payload)
        name = f"{row.bucket}-{row.seq}-{row.part}"
        return Row(row.bucket, row.seq, row.part, LOADED_FILE, self._duplicates_file(name, ipc_table(payload)))

    def _duplicates_file(self, name: str, table: pa.Table) -> bytes:
        file = write_of_bucket(self._checkpoint_url, _batch_id(), name, table, of=DUPLICATE_ROWS)
        return json.dumps(vars(file)).encode()

    def close(self) -> None:
        """Nothing is held between batches."""

    def _apply(self, bucket: int, packets: pd.DataFrame) -> list[Row]:
        faults.reach("state")
        index = self._index.get()
        history = History(None if index is None else bytes(index[0]), _StateChunks(self._chunks))
        ticks = [
            (int(seq), Ticks.from_buffer(bytes(payload)))
            for seq, payload in zip(packets["seq"], packets["payload"], strict=True)
        ]
        left_open = packets.loc[packets["kind"] == OPEN_TICKS, "seq"]
        applied = history.apply(ticks, open_seq=int(left_open.iloc[0]) if len(left_open) else None)
        self._index.update((history.index(),))
        out = [Row(bucket, 0, 0, *self._for_the_tables(applied.changes, bucket))]
        did = {seq: asdict(of_drop) for seq, of_drop in applied.did.items()}
        out.append(Row(bucket, 0, 0, DID, json.dumps(did).encode()))
        if self._with_corrections and len(applied.corrections):
            out.append(Row(bucket, 0, 0, *self._corrections(applied.corrections, bucket)))
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

    def _for_the_tables(self, changes: Changes, bucket: int) -> tuple[str, bytes]:
        if len(changes) <= _MANY:
            return CHANGES, changes.to_buffer()
        return CHANGES_FILE, self._handed_over(bucket, changes.to_buffer())

    def _corrections(self, corrections: Corrections, bucket: int) -> tuple[str, bytes]:
        if len(corrections) <= _MANY:
            return CORRECTIONS, corrections.to_buffer()
        return CORRECTIONS_FILE, self._handed_over(f"{bucket}-corrections", corrections.to_buffer())

    def _for_the_dates(self, dated: Dated, bucket: int) -> tuple[str, bytes]:
        if len(dated) <= _MANY:
            return DATED, dated.to_buffer()
        return DATED_FILE, self._handed_over(f"{bucket}-dates", dated.to_buffer())

    def _handed_over(self, name: int | str, payload: bytes) -> bytes:
        return Handover(self._checkpoint_url).write(_batch_id(), name, payload).encode()

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
