"""A home whose drops were loaded by the job's own parts, one batch a drop, without Spark."""

from __future__ import annotations

import itertools
import tempfile
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming.checkpoint.offset import Span, batch_digest
from streaming.database.transactions import Transactions
from streaming.drops.options import ReadOptions
from streaming.drops.reading import rows_of
from streaming.lake.rows import DUPLICATES
from streaming.lake.rows import REJECTS as REJECT_ROWS
from streaming.lake.rows import TICKS as TICK_ROWS
from streaming.lake.rows import write as write_rows
from streaming.lake.tables import Lake
from streaming.ledger import batches, outbox, tickers, writer
from streaming.ledger.corrections import Changed, write_runs
from streaming.ledger.drops import Reject, record_drops
from streaming.packets import (
    FACTS,
    OPEN_TICKS,
    REJECTS,
    REPLACED,
    TICKS,
    Changes,
    Fact,
    Loaded,
    Rejects,
    Replaced,
    Ticks,
    ipc_table,
)
from streaming.publish import wide
from streaming.publish.batch import Batch, loaded_table, rejects_table, replaced_table
from streaming.publish.explained import Explained
from streaming.publish.widening import Widening
from streaming.receipts import moves
from streaming.receipts.names import free_name
from streaming.returns.history import History
from streaming.storage.locations import open_place
from streaming.ticks.rules import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor

    from streaming.ledger.tickers import Place
    from streaming.settings import Settings

_NO_SPARK: Any = None


class LoadedHome:
    """Loads files given as text under a key, in the order given; moves each when its receipt would be written.

    lake: its rows are brought to the lake, too, as long as `lake` is not None.
    """

    def __init__(self, settings: Settings, *, lake: bool = False) -> None:
        self.settings = settings
        self._input = open_place(settings.input)
        self._history = History(None, _Chunks())
        self.seq = self.batch_id = 0
        self.lake = Lake(_NO_SPARK, settings.lake, "c") if lake and settings.lake else None
        self._transactions = Transactions(settings.database or "", threading.Event())
        self._transactions.run(writer.create)
        self._explained = Explained(settings)
        self._transactions.run(lambda cur: self._explained.prepare(cur, _epoch(cur)))

    def load(self, key: str, content: str, *, move: bool = True, cut: int | None = None) -> int:
        """The seq of the drop. cut: it is read in two batches, the first up to this byte."""
        self._input.put(key, content.encode())
        version = next(version for version in self._input.versions() if version.key == key)
        self.seq += 1
        seq = self.seq
        assert self._input.claim(version, seq) == version
        options = ReadOptions(1, text_ids=False, unpacked_limit=1 << 30)
        ends = [version.size] if cut is None else [cut, version.size]
        for start, end in itertools.pairwise([0, *ends]):
            span = Span(seq, version, start, end, whole=cut is None, reading=BUILT_IN)
            self._publish(span, [(row[3], row[4]) for row in rows_of(span, self._input, options)])
        if move:
            self._transactions.run(self._move)
        return seq

    def change(self, statement: str) -> None:
        """What a clumsy person might do to the database."""
        self._transactions.run(lambda cur: cur.execute(statement))

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a query."""

        def work(cur: cursor) -> list[tuple[Any, ...]]:
            cur.execute(statement)
            return cur.fetchall()

        return self._transactions.run(work)

    def reconnect(self) -> None:
        """The next transaction has a connection of its own, with the settings of the database as they are then."""
        self._transactions.close()

    def close(self) -> None:
        """Ends the connection."""
        self._transactions.close()

    def _publish(self, span: Span, rows: list[tuple[str, bytes]]) -> None:
        seq = span.seq
        self.batch_id += 1
        batch_id = self.batch_id
        ticks = [(seq, Ticks.from_buffer(payload)) for kind, payload in rows if kind in {TICKS, OPEN_TICKS}]
        applied = self._history.apply(ticks, open_seq=None if span.last else seq)
        fact = next(Fact.from_json(payload) for kind, payload in rows if kind == FACTS)
        rejects = next((Rejects.from_buffer(payload) for kind, payload in rows if kind == REJECTS), Rejects.empty())
        given = zip(rejects.line, rejects.text, rejects.reason, strict=True)
        first: list[Reject] = [{"line": line, "text": text, "reason": reason} for line, text, reason in given]

        def write(cur: cursor, planned: Mapping[str, Place]) -> None:
            assert batches.begin_batch(cur, "c", batch_id, 1, batch_digest([span]), 1)
            places = tickers.place_tickers(cur, applied.changes.ids, planned)
            batch = Batch(applied.changes, [fact], {}, [], {}, dated=[applied.dated])
            corrected = Changed.of(applied.corrections)
            with self._explained.around(cur, batch_id, batch, places, planned.keys()):
                write_runs(cur, corrected)
                cells = wide.write(cur, applied.changes, places)
            record_drops(
                cur,
                "c",
                batch_id,
                [fact],
                duplicates=applied.duplicates,
                rejects={seq: first} if first else {},
                did=applied.did,
                corrected=corrected,
            )
            batches.finish_batch(cur, "c", batch_id, cells)

        Widening(self._transactions, self._transactions.run(_epoch)).run(applied.changes.ids, write)
        if self.lake is not None:
            again = Replaced(Loaded(*applied.replaced), np.zeros(len(applied.replaced[0]), np.int64))
            replaced = [again.to_table(), *(ipc_table(payload) for kind, payload in rows if kind == REPLACED)]
            batch = Batch(
                Changes.empty(),
                [fact],
                {(seq, span.start): rejects},
                [Loaded(*applied.loaded).to_table()],
                {},
                replaced,
            )
            self._bring(batch_id, batch)

    def _bring(self, batch_id: int, batch: Batch) -> None:
        """To the lake, as the outbox and its thread do it."""
        tables = {TICK_ROWS: loaded_table(batch), REJECT_ROWS: rejects_table(batch), DUPLICATES: replaced_table(batch)}
        with tempfile.TemporaryDirectory() as folder:
            place = open_place(folder)
            files = {
                name: [f"{folder}/{write_rows(place, name, batch_id, table).key}"] if table.num_rows else []
                for name, table in tables.items()
            }
            assert self.lake is not None
            self.lake.append(batch_id, files)

    def _move(self, cur: cursor) -> None:
        for row in outbox.unwritten_receipts(cur, "c", self.batch_id):
            outbox.receipt_written(cur, row.seq)
        for row in outbox.unmoved(cur, "c", self.batch_id):
            target = open_place(self.settings.success if row.fate == "success" else self.settings.failed)
            name = free_name(target, row.key, row.seq)
            assert moves.move(self._input, row.version, row.seq, target, name)
            outbox.move_intended(cur, row.seq, name)
            outbox.moved(cur, row.seq)


def _epoch(cur: cursor) -> int:
    cur.execute("SELECT epoch FROM stocketl.writer")
    ((epoch,),) = cur.fetchall()
    return int(epoch)


class _Chunks:
    def __init__(self) -> None:
        self._held: dict[int, bytes] = {}

    def load(self, chunk: int) -> bytes:
        return self._held[chunk]

    def store(self, chunk: int, data: bytes) -> None:
        self._held[chunk] = data

    def remove(self, chunk: int) -> None:
        del self._held[chunk]
