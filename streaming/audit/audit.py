"""Compares state, ledger and tables as a whole, after the start and now and then: none drifts away unseen.

Each batch compares the buckets that it touches (`agreement`). The audit looks at all others too. It reads the state
from the checkpoint, as Spark has committed it, and the tables by `audit.tables`. It takes a core, so it waits for a
quiet moment.

Delivery: none. If an audit is cut short, it is made again after the next start.
"""

from __future__ import annotations

import contextlib
import logging
import time
from typing import TYPE_CHECKING

from streaming.audit.agreement import OLDER, drifted, fingerprints
from streaming.audit.tables import Findings, audit_tables
from streaming.checkpoint.damage import told_by_spark
from streaming.database.connect import begin, connect
from streaming.errors import CheckpointError, StockETLError
from streaming.fingerprint import NOTHING
from streaming.follower import Follower
from streaming.masking import first_line
from streaming.returns.timeline import Timeline
from streaming.storage.locations import hadoop_url

if TYPE_CHECKING:
    import threading

    from psycopg2.extensions import connection, cursor
    from pyspark.sql import SparkSession

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.database.login import Login
    from streaming.database.transactions import Transactions
    from streaming.fingerprint import Fingerprint
    from streaming.publish.foreach_batch import Publish
    from streaming.receipts.writer import ReceiptWriter
    from streaming.settings import Settings

log = logging.getLogger(__name__)

QUIET_SECONDS, LONGEST_WAIT_SECONDS = 10.0, 3600.0
_LOOK_SECONDS = 0.5
_KEPT = 100


class _GiveWayError(Exception):
    """A batch needs a table that the audit is reading."""


class Audit(Follower):
    """Audits after the start and then at intervals, in a quiet moment. error: the state is not that of the ledger.

    receipts: knows the last batch that Spark has committed; publish: tells whether the job is busy. With `once`, the
    first audit does not wait for a quiet moment, which might not come. began: the first audit is through.
    """

    def __init__(  # noqa: PLR0917 - what it compares, and what tells it when
        self,
        spark: SparkSession,
        settings: Settings,
        checkpoint: Checkpoint,
        login: Login,
        transactions: Transactions,
        receipts: ReceiptWriter,
        publish: Publish,
        stop: threading.Event,
    ) -> None:
        super().__init__("audit", stop, daemon=True)  # a long query must not keep an ended job alive
        self._spark = spark
        self._checkpoint = checkpoint
        self._login = login
        self._transactions = transactions
        self._every = settings.audit_every
        self._once = settings.once
        self._receipts = receipts
        self._publish = publish
        self._seen = -1
        self.began = False

    def follow(self) -> None:
        """Until the stop event. Raises CheckpointError if the state is not that of the ledger."""
        while not self._stop_event.is_set():
            if not self._once or self.began:
                self._wait_for_quiet()
            if not self._stop_event.is_set() and self._receipts.done >= 0:
                self.audit()
            self.began = True
            self._stop_event.wait(self._every)

    def audit(self) -> None:
        """One audit. Raises CheckpointError if the state is not that of the ledger. Other tables are told and noted."""
        began, batch_id = time.monotonic(), self._receipts.done
        what = "state, ledger and tables" if self._compare_state(batch_id) else "ledger and tables"
        try:
            found = self._compare_tables()
        except StockETLError:
            raise
        except Exception as error:  # noqa: BLE001 (psycopg2's, if the server is away: the next audit will tell)
            self._tell_not_audited("tables were", error)
            return
        if found is None:
            return
        seconds = time.monotonic() - began
        self._transactions.run(lambda cur: _note(cur, batch_id, found, seconds))
        if found.problem is None:
            log.info("audit: %s cells of %s agree (%.1f s)", f"{found.cells:,}", what, seconds)
        else:
            log.error(
                "audit: the tables are not what was loaded: %s. Were they changed by hand? `stocketl verify` names each"
                " cell, and `stocketl rebuild` makes them anew from the files",
                found.problem,
            )

    def _compare_state(self, batch_id: int) -> bool:
        """False if the state could not be read."""
        known = self._transactions.run(lambda cur: fingerprints(cur, self._checkpoint.id))
        try:
            state = state_fingerprints(self._spark, self._checkpoint, batch_id)
        except CheckpointError:
            raise
        except Exception as error:  # noqa: BLE001 (Spark's errors have no common class; batches compare what they touch)
            self._tell_not_audited("state was", error)
            return False
        for bucket in sorted(known.keys() | state.keys() - {OLDER}):
            got = state.get(bucket, NOTHING)
            if bucket not in known and OLDER in known:
                continue
            last, expected = known.get(bucket, (-1, NOTHING))
            if bucket != OLDER and got is not None and last <= batch_id and got != expected:
                raise CheckpointError(drifted(self._checkpoint.url, bucket, last, expected, got))
        return True

    def _compare_tables(self) -> Findings | None:
        """None if the job ends before. If a batch needs a table for a new column, it gets it, and this begins anew."""
        while not self._stop_event.is_set():
            with contextlib.suppress(_GiveWayError), contextlib.closing(self._connected()) as opened:
                opened.set_session(isolation_level="REPEATABLE READ", readonly=True)
                with opened.cursor() as cur:
                    begin(cur, read_only=True)
                    return audit_tables(cur, self._checkpoint, self._let_pass)
            self._wait_for_quiet()
        return None

    def _connected(self) -> connection:
        return connect(self._login.uri(), read_only=True)

    def _wait_for_quiet(self) -> None:
        """Until no batch was under way for some seconds, or until this has waited for too long."""
        began = quiet_since = time.monotonic()
        quiet = min(QUIET_SECONDS, self._every)
        while (now := time.monotonic()) - quiet_since < quiet and now - began < LONGEST_WAIT_SECONDS:
            if self._stop_event.wait(_LOOK_SECONDS):
                return
            if self._busy():
                quiet_since = time.monotonic()

    def _busy(self) -> bool:
        """Whether a batch is under way, or has been since the last look."""
        before, self._seen = self._seen, self._publish.batches
        return self._publish.under_way or self._seen != before

    def _let_pass(self) -> None:
        """Between two pieces: a batch goes first, for some seconds.

        Raises _GiveWayError if a batch needs a table, since what the audit has read is locked until its transaction
        ends. Also if the job ends.
        """
        began = time.monotonic()
        while not self._publish.held_up and not self._stop_event.is_set():
            if not self._busy() or time.monotonic() - began >= QUIET_SECONDS:
                return
            self._stop_event.wait(_LOOK_SECONDS)
        raise _GiveWayError

    def _tell_not_audited(self, what: str, error: Exception) -> None:
        """If the job ends, tells nothing: Spark and the embedded server go while this reads."""
        if not self._stop_event.is_set():
            log.warning("the %s not audited this time: %s", what, told_by_spark(str(error)) or first_line(error))


def state_fingerprints(spark: SparkSession, checkpoint: Checkpoint, batch_id: int) -> dict[int, Fingerprint | None]:
    """By bucket, as Spark has committed it with this batch. None: an older stocketl wrote the state.

    https://spark.apache.org/docs/4.1.4/streaming/structured-streaming-state-data-source.html
    """
    _ = spark.streams.active  # makes the coordinator of state stores, which the source needs
    source = spark.read.format("statestore").option("path", hadoop_url(checkpoint.url))
    frame = source.option("stateVarName", "index").option("batchId", batch_id).load()
    rows = frame.select("key.bucket", "value.data").collect()
    return {checkpoint.bucket(int(key)): Timeline.from_bytes(bytes(data)).fingerprint for key, data in rows}


def _note(cur: cursor, batch_id: int, found: Findings, seconds: float) -> None:
    """The newest time is the newest audit. If a wrong clock has put some into the future, they go."""
    cur.execute("DELETE FROM stocketl.audits WHERE audited_at > clock_timestamp()")
    cur.execute(
        "INSERT INTO stocketl.audits (batch_id, cells, seconds, problem) VALUES (%s, %s, %s, %s)",
        (batch_id, found.cells, round(seconds, 3), found.problem),
    )
    cur.execute(
        "DELETE FROM stocketl.audits WHERE audited_at < (SELECT audited_at FROM stocketl.audits"
        " ORDER BY audited_at DESC OFFSET %s LIMIT 1)",
        (_KEPT - 1,),
    )
