"""Rows on their way to the lake: kept beside the checkpoint when their batch is published, appended by a thread.

Delivery: exactly once. A batch lies in the outbox before Spark commits it and until Delta has it. What Delta may have
already (batches from before the start, or of an append that failed) is appended one batch at a time, and `txnVersion`
leaves out what is there; newer batches go several to an append. So neither a drop nor its receipt waits for Delta.
"""

from __future__ import annotations

import json
import logging
import threading
from typing import TYPE_CHECKING

import pyarrow as pa

from streaming import faults
from streaming.errors import CheckpointError
from streaming.storage import open_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.checkpoint import Checkpoint
    from streaming.lake import Lake

log = logging.getLogger(__name__)

_BATCHES_AT_ONCE = 100
_BYTES_AT_ONCE = 64 << 20
_COMPACT_EVERY = 100
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0
_SUPERSEDED = b"superseded"


class LakeOutbox(threading.Thread):
    """Takes the rows of each batch and brings them to the lake, oldest first, until `stop` is set.

    still_writer: raises where a newer job has taken over; asked before each append.
    """

    def __init__(
        self, lake: Lake, checkpoint: Checkpoint, still_writer: Callable[[], None], stop: threading.Event
    ) -> None:
        super().__init__(name="lake")
        self._lake = lake
        self._still_writer = still_writer
        self._place = open_place(f"{checkpoint.url}/lake-outbox")
        self._place.check()
        self._stop_event = stop
        self._perhaps_there = max(checkpoint.planned(), default=-1)
        self._appended = -1
        self._appends = 0
        self._wake = threading.Condition()
        self._sizes = {int(key): 0 for key in self._place.keys()}  # noqa: SIM118 (a method of a place)
        self.error: BaseException | None = None

    def put(self, batch_id: int, ticks: pa.Table, rejects: pa.Table, superseded: set[int]) -> None:
        """Keeps the rows of a batch, again after a replay. superseded: drops of which earlier rows are to go."""
        sink = pa.BufferOutputStream()
        told = {_SUPERSEDED: json.dumps(sorted(superseded)).encode()}
        for table in (ticks.replace_schema_metadata(told), rejects):
            with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
                writer.write_table(table)
        data = sink.getvalue()
        self._place.put(str(batch_id), bytes(data))
        with self._wake:
            self._sizes[batch_id] = data.size
            self._wake.notify()

    @property
    def idle(self) -> bool:
        """Whether everything is in the lake."""
        return not self._sizes

    def run(self) -> None:
        """Until the stop event. Errors of the lake are waited out; others (a newer writer, say) are kept in `error`."""
        try:
            pause = _FIRST_PAUSE
            while not self._stop_event.is_set():
                with self._wake:
                    self._wake.wait_for(lambda: bool(self._sizes), timeout=_FIRST_PAUSE)
                    batches = self._next()
                if not batches:
                    continue
                self._still_writer()
                try:
                    self._bring(batches)
                except CheckpointError:
                    raise
                except Exception as error:  # noqa: BLE001 (Spark's errors have no common class; the rows are kept)
                    log.warning("the lake waits (%d batches are kept): %s", len(self._sizes), _first_line(error))
                    self._perhaps_there = max(self._perhaps_there, batches[-1])
                    self._stop_event.wait(pause)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                else:
                    pause = _FIRST_PAUSE
        except BaseException as error:  # noqa: BLE001 (handed to the thread that watches this one)
            self.error = error

    def _next(self) -> list[int]:
        """The batches of the next append."""
        batches: list[int] = []
        size = 0
        for batch_id in sorted(self._sizes):
            size += self._sizes[batch_id]
            alone = batch_id <= self._perhaps_there
            if batches and (alone or size > _BYTES_AT_ONCE or len(batches) == _BATCHES_AT_ONCE):
                break
            batches.append(batch_id)
            if alone:
                break
        return batches

    def _bring(self, batches: list[int]) -> None:
        if batches[0] > self._appended:
            kept = [self._read(batch_id) for batch_id in batches]
            self._lake.append_several([(batch, *tables) for batch, tables in zip(batches, kept, strict=True)])
            for ticks, _ in kept:
                for seq in json.loads(ticks.schema.metadata[_SUPERSEDED]):
                    self._lake.forget_superseded(seq)
            self._appended = batches[-1]
            faults.reach("laked")
            self._appends += 1
            if self._appends % _COMPACT_EVERY == 0:
                self._lake.compact()
        for batch_id in batches:
            if (kept_object := self._place.head(str(batch_id))) is not None:
                self._place.delete(kept_object, batch_id)
        with self._wake:
            for batch_id in batches:
                del self._sizes[batch_id]

    def _read(self, batch_id: int) -> tuple[pa.Table, pa.Table]:
        data = self._place.get(str(batch_id))
        if data is None:
            msg = (
                f"{self._place.url}/{batch_id} is gone: expected the rows of batch {batch_id}, which are not known to "
                "be in the lake. Put it back; without it the lake lacks this batch, the tables do not."
            )
            raise CheckpointError(msg)
        source = pa.BufferReader(data)
        return pa.ipc.open_stream(source).read_all(), pa.ipc.open_stream(source).read_all()


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
