"""What a day's drop may cost, in counts and not in seconds: a slow path shows here on any machine.

The job's own query on the shared Spark session, a drop of one new date at a time, after a history of some days.
"""

from __future__ import annotations

import datetime as dt
import statistics
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import psycopg2.extensions
import pytest
from job_process import drop

from streaming.checkpoint.checkpoint import open_checkpoint
from streaming.checkpoint.offset import EMPTY_OFFSET
from streaming.database import transactions as database_transactions
from streaming.database.transactions import Transactions
from streaming.drops import source as drops
from streaming.drops.options import Limits, ReadOptions, SourceOptions
from streaming.lake.appender import LakeAppender
from streaming.lake.keeping import LakeKeeping
from streaming.lake.tables import Lake
from streaming.ledger import writer
from streaming.publish.foreach_batch import Publish
from streaming.returns import processor as returns
from streaming.spark.properties import partitions
from streaming.storage.locations import hadoop_url
from streaming.telemetry.batch_log import BatchLog
from streaming.telemetry.metrics import Metrics
from streaming.telemetry.wear import Wear

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.checkpoint.checkpoint import Checkpoint

pytestmark = pytest.mark.spark

HISTORY, MEASURED = 6, 6
FIRST = dt.date(2020, 1, 1)
BATCH_BYTES = 64 << 20
TICKERS_PER_TABLE = 800


@dataclass(frozen=True)
class Cost:
    """Of one batch: Spark jobs, statements and COPYs in PostgreSQL, new files in the checkpoint, state entries.

    size: bytes of these files.
    """

    jobs: int
    statements: int
    files: int
    size: int
    reads: int
    writes: int


class CountingCursor(psycopg2.extensions.cursor):
    """Counts what is sent to the server."""

    sent: ClassVar[Counter[str]] = Counter()

    def execute(self, query: Any, variables: Any = None) -> None:
        self.sent["statements"] += 1
        super().execute(query, variables)

    def copy_expert(self, sql: Any, file: Any, size: int = 8192) -> None:
        self.sent["statements"] += 1
        super().copy_expert(sql, file, size)


def costs(spark: SparkSession, home: Path, database: str, tickers: int, monkeypatch: pytest.MonkeyPatch) -> list[Cost]:
    """The costs of the last drops of `HISTORY + MEASURED` days."""
    plain = database_transactions.connect

    def counted(*arguments: Any, **options: Any) -> Any:
        connected = plain(*arguments, **options)
        connected.cursor_factory = CountingCursor
        return connected

    monkeypatch.setattr(database_transactions, "connect", counted)
    checkpoint = open_checkpoint(str(home / "checkpoint"), buckets=partitions(), text_ids=False)
    stop = threading.Event()
    transactions = Transactions(database, stop)
    transactions.run(writer.create)
    epoch = writer.take_over(database)
    lake = Lake(spark, str(home / "lake"), checkpoint.id)
    keeping = LakeKeeping(lake, str(home / "lake"), retention=None)
    outbox = LakeAppender(lake, keeping, checkpoint, int, stop)  # its thread stays off
    publish = Publish(
        transactions,
        outbox,
        checkpoint,
        epoch,
        published=int,
        observers=[BatchLog(checkpoint, threading.Event()), Metrics(), Wear(Metrics())],
    )
    query = _query(spark, home, checkpoint, publish)
    try:
        return [_cost_of_day(spark, query, home, day, tickers) for day in range(HISTORY + MEASURED)][HISTORY:]
    finally:
        query.stop()
        transactions.close()


def _query(spark: SparkSession, home: Path, checkpoint: Checkpoint, publish: Publish) -> StreamingQuery:
    (home / "input").mkdir(parents=True)
    packets = drops.stream(
        spark,
        SourceOptions(
            input=str(home / "input"),
            settle=0,
            limits=Limits(BATCH_BYTES, BATCH_BYTES),
            read=ReadOptions(checkpoint.buckets, text_ids=False, unpacked_limit=BATCH_BYTES),
            keys=checkpoint.keys or [],
            tasks=2,
            isolate=False,
            every=0.02,
            resume=EMPTY_OFFSET,
        ),
    )
    changes = returns.changes(packets, checkpoint_url=checkpoint.url, with_loaded=True, with_dates=True)
    started = changes.writeStream.foreachBatch(publish).option("checkpointLocation", hadoop_url(checkpoint.url))
    return started.trigger(processingTime="0 seconds").start()


def _cost_of_day(spark: SparkSession, query: StreamingQuery, home: Path, day: int, tickers: int) -> Cost:
    date = FIRST + dt.timedelta(days=day)
    lines = [f"{date},T{number:05},{100 + number + day},{number}\n" for number in range(tickers)]
    before, jobs, sent = set(_files(home / "checkpoint")), _jobs(spark, query), CountingCursor.sent["statements"]
    drop(home / "input", f"{day:03}.csv", ("date,id,price,trade_volume\n" + "".join(lines)).encode(), day)
    query.processAllAvailable()
    # progress events of triggers without data may have come since
    progress = [event for event in query.recentProgress if event["numInputRows"]][-1]
    state = progress["stateOperators"][0]["customMetrics"]
    sizes = _files(home / "checkpoint")
    new = [key for key in sizes if key not in before]
    return Cost(
        jobs=_jobs(spark, query) - jobs,
        statements=CountingCursor.sent["statements"] - sent,
        files=len(new),
        size=sum(sizes[key] for key in new),
        reads=state["rocksdbGetCount"],
        writes=state["rocksdbPutCount"],
    )


def _jobs(spark: SparkSession, query: StreamingQuery) -> int:
    return len(spark.sparkContext.statusTracker().getJobIdsForGroup(str(query.runId)))


def _files(folder: Path) -> dict[str, int]:
    """The bytes of each, but for snapshots of the state, which Spark makes by the clock."""
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path): path.stat().st_size for path in found if path.parent.name != "SSTs" and ".zip" not in path.name}


@pytest.mark.parametrize("tickers", [200, 10_000])
def test_a_days_drop_stays_within_its_counts(
    spark: SparkSession, tmp_path: Path, database: str, tickers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One Spark job; a fixed number of statements and four for each group of tables; a few files; a few entries."""
    found = costs(spark, tmp_path / "home", database, tickers, monkeypatch)
    groups = -(-tickers // TICKERS_PER_TABLE)
    assert {cost.jobs for cost in found} == {1}
    assert max(cost.statements for cost in found) <= 23 + 4 * groups
    assert max(cost.files for cost in found) <= 10
    assert statistics.median(cost.size for cost in found) <= 9_000 + 18 * tickers
    # two of three days only add; every second or eighth day the chunks of the last ones are joined
    assert statistics.median(cost.reads for cost in found) <= 8
    assert max(cost.reads for cost in found) <= 40
    assert max(cost.writes for cost in found) <= 20
