"""Cells that drops changed, on their way to the ledger: some with the stream, many as files that are handed over."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.checkpoint.handover import MANY_BYTES
from streaming.ledger.corrections import Changed
from streaming.packets import (
    CORRECTION_RUNS,
    CORRECTION_RUNS_FILE,
    CORRECTIONS,
    CORRECTIONS_FILE,
    ipc_buffer,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from streaming.checkpoint.handover import Handover
    from streaming.corrections import Corrections

_HELD_BYTES = 8 << 20


class CorrectionRows:
    """Takes the changed cells of a bucket, those of some tickers at a time, and makes them ready for the ledger.

    A large batch writes them as files while they come, the same files in a replay: all at once they would fill much
    memory. name: of the batch and the bucket; unfinished: drops that have begun earlier or go on in the next batch.
    """

    def __init__(self, handover: Handover, name: str, unfinished: Collection[int]) -> None:
        self._handover = handover
        self._name = name
        self._unfinished = unfinished
        self._held: list[Changed] = []
        self._rows: list[tuple[str, bytes]] = []

    def add(self, cells: Corrections) -> None:
        """More cells, of other tickers than before."""
        if len(cells):
            self._held.append(Changed.of(cells, apart=self._unfinished))
            if sum(part.rows.nbytes + part.runs.nbytes for part in self._held) > _HELD_BYTES:
                self._give()

    def rows(self) -> list[tuple[str, bytes]]:
        """Kind and payload of the rows of the stream that hold, or name, all that was added."""
        if self._held:
            self._give()
        return self._rows

    def _give(self) -> None:
        changed = Changed.join(self._held)
        self._held.clear()
        for table, kind, in_file in (
            (changed.rows, CORRECTIONS, CORRECTIONS_FILE),
            (changed.runs, CORRECTION_RUNS, CORRECTION_RUNS_FILE),
        ):
            if table.nbytes > MANY_BYTES:
                key = self._handover.write(f"{self._name}-corrections-{len(self._rows)}", table)
                self._rows.append((in_file, key.encode()))
            elif table.num_rows:
                self._rows.append((kind, ipc_buffer(table)))
