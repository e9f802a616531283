"""Tables that somebody has changed are noticed, whatever was changed; those that nobody has touched are not."""

from __future__ import annotations

import contextlib
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import psycopg2
import pytest
from history_oracle import Chunks, Row, ticks
from ledger_rows import fact
from outcome import rows
from publishing import made as publish_made

from streaming.audit import audit as audit_module
from streaming.audit import tables as table_audit
from streaming.audit.audit import Audit, _note
from streaming.audit.tables import Findings, audit_tables
from streaming.checkpoint.checkpoint import Checkpoint
from streaming.corrections import Did
from streaming.database.login import Login
from streaming.database.transactions import Transactions
from streaming.ledger import writer
from streaming.publish.batch import Batch, joined_changes
from streaming.publish.foreach_batch import Steps
from streaming.returns.history import History
from streaming.settings import load
from streaming.telemetry.metrics import Metrics
from streaming.ticks.parse import by_bucket

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from psycopg2.extensions import cursor

CHECKPOINT = Checkpoint("", "c", 2, text_ids=False)
FIRST: list[Row] = [(day, ticker, 10 + day / 3, day) for day in range(40) for ticker in ("A", "B", "C", "BRK.B")]
SECOND: list[Row] = [(3, "A", 99.5, None), (-400, "C", 1.0, 5), (41, "NEW", 2.5, None), (42, "NEW", 2.75, 1)]


class Job:
    """The maths and the tables of a job, without Spark between them."""

    def __init__(self, database: str, folder: Path) -> None:
        self.transactions = Transactions(database, threading.Event())
        self.transactions.run(writer.create)
        epoch = writer.take_over(database, threading.Event())
        checkpoint = Checkpoint(str(folder), "c", 2, text_ids=False)
        self._publish = publish_made(self.transactions, checkpoint, epoch, Metrics())
        self._buckets: dict[int, tuple[Chunks, bytes | None]] = {0: (Chunks(), None), 1: (Chunks(), None)}
        self._batches = 0

    def load(self, rows: list[Row]) -> None:
        """One drop in a batch of its own."""
        changes, fingerprints, did = [], {}, Did()
        for bucket, part in by_bucket(ticks(rows), 2).items():
            chunks, index = self._buckets[bucket]
            history = History(index, chunks)
            applied = history.apply([(self._batches + 1, part)])
            self._buckets[bucket] = (chunks, history.index())
            changes.append(applied.changes)
            fingerprints[bucket] = (applied.before, applied.after)
            did += applied.did[self._batches + 1]
        facts = [fact(self._batches + 1, loaded=len(rows))]
        done = {self._batches + 1: did}
        made = Batch(joined_changes(changes), facts, {}, [], {}, fingerprints=fingerprints, did=done)
        self._publish._publish(made, self._batches, Steps())  # noqa: SLF001 - without a frame of Spark's
        self._batches += 1


@pytest.fixture
def job(database: str, tmp_path: Path) -> Iterator[Job]:
    """Two batches: a first one, then a correction, a late date and a new ticker."""
    made = Job(database, tmp_path)
    made.load(FIRST)
    made.load(SECOND)
    with contextlib.closing(made.transactions):
        yield made


def _audits(cur: cursor) -> list[tuple[int, str | None]]:
    cur.execute("SELECT batch_id, problem FROM stocketl.audits ORDER BY audited_at")
    return cur.fetchall()


def _an_hour_ahead(cur: cursor) -> None:
    cur.execute("UPDATE stocketl.audits SET audited_at = audited_at + interval '1 hour'")


def audit(database: str) -> Findings:
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        return audit_tables(cur, CHECKPOINT, lambda: None)


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize("at_once", [1, 7, 1 << 20])
def test_tables_that_nobody_has_touched_agree(database: str, monkeypatch: pytest.MonkeyPatch, at_once: int) -> None:
    """Late dates, corrections and new tickers included, in pieces of any size."""
    monkeypatch.setattr(table_audit, "_CELLS_AT_ONCE", at_once)
    found = audit(database)
    assert (found.problem, found.cells) == (None, len(FIRST) + 3)


def test_an_audit_of_the_future_hides_no_newer_one(job: Job) -> None:
    """The clock was set back: `status` would show the old one until that time has come again."""
    job.transactions.run(lambda cur: _note(cur, 1, Findings(7), 0.1))
    job.transactions.run(_an_hour_ahead)
    job.transactions.run(lambda cur: _note(cur, 2, Findings(5, 1, ["x"]), 0.1))
    assert job.transactions.run(_audits) == [(2, "x (1 in all)")]


@pytest.mark.parametrize("when", ["state", "tables"])
def test_an_audit_that_the_end_of_the_job_cuts_short_says_nothing(
    job: Job, database: str, when: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Spark is gone while the state is read, or the tables have more pieces: no warning, no note, nothing read on."""
    stop = threading.Event()
    made = Audit(
        cast("Any", None), load(environment=False), CHECKPOINT, Login(database, None), job.transactions,
        cast("Any", SimpleNamespace(done=1)), cast("Any", SimpleNamespace(batches=0, under_way=False, held_up=False)),
        stop,
    )  # fmt: skip

    def state(*_: object) -> dict[int, Any]:
        stop.set()
        msg = "'NoneType' object has no attribute 'setCallSite'"
        raise AttributeError(msg)

    def tables(cur: cursor, checkpoint: Checkpoint, pause: Any) -> Findings:
        stop.set()
        return audit_tables(cur, checkpoint, pause)

    if when == "state":
        monkeypatch.setattr(audit_module, "state_fingerprints", state)
    else:
        monkeypatch.setattr(audit_module, "state_fingerprints", lambda *_: {})
        monkeypatch.setattr(audit_module, "fingerprints", lambda *_: {})
        monkeypatch.setattr(audit_module, "audit_tables", tables)
    made.audit()
    assert caplog.messages == []
    assert job.transactions.run(_audits) == []


@pytest.mark.usefixtures("job")
@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ('UPDATE prices SET "stk_A" = 11 WHERE date = (SELECT max(date) FROM prices WHERE "stk_A" > 0)', "prices and"),
        ("UPDATE prices SET \"stk_BRK.B\" = NULL WHERE date = '1970-01-09'", "bucket"),
        ('UPDATE volume SET "stk_B" = "stk_B" + 1 WHERE date = \'1970-01-01\'', "bucket"),
        ("UPDATE volume SET \"stk_B\" = NULL WHERE date = '1970-01-01'", "bucket"),
        ("UPDATE volume SET \"stk_NEW\" = 7 WHERE date = '1970-01-01'", "volume has a cell where prices has none"),
        ('UPDATE returns SET "stk_C" = "stk_C" + 1e-16 WHERE date = \'1970-01-05\'', "returns does not fit the prices"),
        ("UPDATE returns SET \"stk_C\" = NULL WHERE date = '1970-01-05'", "first 'C' 1970-01-05"),
        ("UPDATE returns SET \"stk_A\" = 0 WHERE date = '1970-01-01'", "first 'A' 1970-01-01"),
        ("DELETE FROM prices WHERE date = '1970-01-20'", "bucket"),
        ("DELETE FROM returns WHERE date = '1970-01-20'", "returns does not fit"),
        ("DELETE FROM volume WHERE date = '1970-01-20'", "bucket"),
        ("INSERT INTO prices (date, \"stk_A\") VALUES ('2020-01-01', 5)", "bucket"),
        ('ALTER TABLE prices DROP COLUMN "stk_B" CASCADE', "bucket"),
    ],
)
def test_whatever_is_changed_by_hand_is_noticed(database: str, statement: str, told: str) -> None:
    """One cell, one row, one column, in any of the three tables."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement)
    found: Any = audit(database)
    assert told in found.problem


def test_an_audit_lets_go_of_a_table_that_a_batch_needs_for_a_new_column(
    job: Job, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Else the job would wait for itself, however long the tables take; the audit is made anew once it is quiet."""
    caplog.set_level("INFO")
    publish, stop = job._publish, threading.Event()  # noqa: SLF001 - as above
    settings = load(environment=False, home=str(tmp_path), database=database, audit_every="50ms")
    checkpoint = Checkpoint(str(tmp_path), "c", 2, text_ids=False)
    receipts: Any = SimpleNamespace(done=0)
    spark: Any = None
    monkeypatch.setattr("streaming.audit.audit.QUIET_SECONDS", 1000.0)  # so long would it hold what it has read
    with contextlib.closing(Transactions(database, stop)) as transactions:
        auditing = Audit(spark, settings, checkpoint, Login(database), transactions, receipts, publish, stop)
        publish.under_way = True
        reader = threading.Thread(target=auditing.audit, daemon=True)
        reader.start()
        held = "SELECT FROM pg_locks WHERE relation = 'returns'::regclass AND granted AND pid <> pg_backend_pid()"
        _eventually(lambda: rows(database, held))
        writer = threading.Thread(target=job.load, args=([(50, "LATE", 1.0, 1)],), daemon=True)
        writer.start()
        writer.join(60)
        assert (writer.is_alive(), reader.is_alive()) == (False, True)
        publish.under_way = False
        reader.join(60)
    assert caplog.messages[-1].startswith(f"audit: {len(FIRST) + 4} cells of ")


def _eventually(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
