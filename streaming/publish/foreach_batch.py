"""One batch, from the state operator to the tables: a single PostgreSQL transaction, then the outbox of the lake.

Delivery: exactly once. If the ledger has the batch already, a replay writes nothing. What the replay read, and the
state that it made, are compared with what the ledger knows (`agreement`), since Spark is about to commit that state.
"""

from __future__ import annotations

import contextlib
import logging
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streaming import faults, memory
from streaming.audit import agreement
from streaming.checkpoint.handover import Handover
from streaming.lake.rows import DUPLICATES, REJECTS, TICKS
from streaming.ledger import batches, corrections, tickers, writer
from streaming.ledger.drops import lines_before, record_drops
from streaming.ledger.profiles import record_profiles
from streaming.publish import wide
from streaming.publish.batch import (
    changed,
    collect,
    first_rejects,
    loaded_before_and_again,
    loaded_table,
    number_lines,
    rejects_table,
    replaced_table,
)
from streaming.publish.column_order import ColumnOrder
from streaming.publish.upkeep import Upkeep
from streaming.publish.widening import Widening
from streaming.setting_values import CORRECTIONS, EXPLAIN
from streaming.telemetry.observer import Published, Written
from streaming.ticks.rules import BEFORE, BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from psycopg2.extensions import cursor
    from pyspark.sql import DataFrame

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.database.transactions import Transactions
    from streaming.lake.appender import LakeAppender
    from streaming.ledger.tickers import Place
    from streaming.publish.batch import Batch
    from streaming.publish.explained import Explained
    from streaming.telemetry.observer import Observer

log = logging.getLogger(__name__)


class Steps:
    """The steps of one batch, each timed. At the end of a step the tests may kill the process (`faults`)."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def step(self, name: str, *, reached: str | None = None) -> Iterator[None]:
        """One step. reached: the fault point at its end."""
        began = time.monotonic()
        yield
        if reached:
            faults.reach(reached)
        self.seconds[name] = round(time.monotonic() - began, 4)


class Publish:
    """The `foreachBatch` function: first collects the whole frame, then writes. Counts batches, keeps its error.

    explain: the tables that are kept beside the wide ones, see the setting; published: gets the number of each batch
    once its rows can be seen; observers: get what came of it; explained: keeps dates and suspects.
    """

    def __init__(
        self,
        transactions: Transactions,
        lake: LakeAppender | None,
        checkpoint: Checkpoint,
        epoch: int,
        *,
        explain: Collection[str] = EXPLAIN,
        published: Callable[[int], None],
        observers: Sequence[Observer],
        explained: Explained | None = None,
    ) -> None:
        self._transactions = transactions
        self._widening = Widening(transactions, epoch)
        self._upkeep = Upkeep(transactions)
        self._order = ColumnOrder()
        self._lake = lake
        self._checkpoint = checkpoint
        self._checkpoint_id = checkpoint.id
        self._handover = Handover(checkpoint.url)
        self._epoch = epoch
        self._explain = explain
        self._published = published
        self._observers = observers
        self._explained = explained
        self.error: BaseException | None = None
        self.batches = 0
        self.under_way = False
        self._leftovers = True  # perhaps, of a batch that was broken off
        self._last: int | None = None

    @property
    def held_up(self) -> bool:
        """Whether a new ticker's column waits for a reader of its table."""
        return self._widening.held_up

    def __call__(self, frame: DataFrame, batch_id: int) -> None:
        """Writes one batch. After a crash it is called again with the same batch."""
        self.error, self.under_way = None, True
        for observer in self._observers:
            observer.begins(batch_id)
        memory.keep_freed()
        try:
            with self._lake.batch_under_way() if self._lake else contextlib.nullcontext():
                steps = Steps()
                with steps.step("collect"):
                    batch = collect(frame, self._handover)
                self._publish(batch, batch_id, steps)
            if len(batch.changes) > memory.LARGE:
                del batch
                memory.give_back()
        except BaseException as error:
            self.error, self._leftovers = error, True
            for observer in self._observers:
                observer.breaks_off()
            raise
        finally:
            self.under_way = False
            memory.keep_no_longer()

    def _publish(self, batch: Batch, batch_id: int, steps: Steps) -> None:
        number_lines(batch, self._lines_before(batch, batch_id))
        with steps.step("transaction", reached="published"):
            written = self._transaction(batch, batch_id)
            visible = datetime.now(UTC)
        with steps.step("lake", reached="laked"):
            if self._lake is not None:
                again = loaded_before_and_again(batch)
                tables = {TICKS: loaded_table(batch), REJECTS: rejects_table(batch), DUPLICATES: replaced_table(batch)}
                self._lake.put(batch_id, tables, superseded=again, files=batch.files)
        if self._leftovers:
            self._handover.clear()
        else:
            self._handover.remove(batch.handed_over)
        self._leftovers = False
        done = Published(batch_id, batch.facts, written, steps.seconds, visible, batch.held)
        for observer in self._observers:
            observer.published(done)
        self.batches, self._last = self.batches + 1, batch_id
        self._published(batch_id)
        self._upkeep.vacuum()

    def _transaction(self, batch: Batch, batch_id: int) -> Written | None:
        """Tries until it is through. None: the batch was there already."""
        attempts: list[Written | None] = []
        ids = batch.changes.ids
        self._widening.run(ids, lambda cur, planned: attempts.append(self._write(cur, batch, batch_id, planned)))
        # None after an attempt: its COMMIT worked, only the answer was lost
        return next(filter(None, reversed(attempts)), None)

    def _write(self, cur: cursor, batch: Batch, batch_id: int, planned: Mapping[str, Place]) -> Written | None:
        """The transaction. None: the batch was there already."""
        writer.check_epoch(cur, self._epoch)
        if self._last is not None:  # by now another server may be the writer
            agreement.refuse_lost(cur, self._checkpoint, self._last)
        drops = len({fact.seq for fact in batch.facts})
        if not batches.begin_batch(cur, self._checkpoint_id, batch_id, self._epoch, batch.digest, drops):
            agreement.refuse_another_replay(cur, self._checkpoint, batch_id, batch)
            return None
        agreement.record(cur, self._checkpoint, batch_id, batch)
        alike = tuple(tickers.alike(cur, planned)) if planned else ()
        places = tickers.place_tickers(cur, batch.changes.ids, planned)
        given = (batch_id, batch, places, planned.keys())
        corrected = changed(batch) if CORRECTIONS in self._explain else None
        with self._explained.around(cur, *given) if self._explained else contextlib.nullcontext():
            if corrected is not None:
                corrections.write_runs(cur, corrected)  # the server alone is busy: time for what goes on beside it
            cells = wide.write(cur, batch.changes, places, self._upkeep.rewritten, self._order)
        record_profiles(cur, self._profiles(batch, batch_id))
        ended = record_drops(
            cur,
            self._checkpoint_id,
            batch_id,
            batch.facts,
            duplicates=batch.duplicates,
            rejects=first_rejects(batch),
            did=batch.did,
            corrected=corrected,
        )
        batches.finish_batch(cur, self._checkpoint_id, batch_id, cells)
        return Written(cells, ended, alike)

    def _profiles(self, batch: Batch, batch_id: int) -> dict[str, str]:
        """The profiles of the batch, by what its offset says of them."""
        if {fact.reading for fact in batch.facts} <= {BEFORE, BUILT_IN}:
            return {}
        return dict(self._checkpoint.offset(batch_id).profiles)

    def _lines_before(self, batch: Batch, batch_id: int) -> dict[int, int]:
        """If this batch goes on with drops: how many lines of them earlier batches have read."""
        continued = {fact.seq for fact in batch.facts} - {fact.seq for fact in batch.facts if fact.start == 0}
        if not continued:
            return {}
        return self._transactions.run(lambda cur: lines_before(cur, self._checkpoint_id, batch_id, continued))
