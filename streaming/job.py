"""The job: one query, one way.

drops ──> ticks ──> returns (state: history) ──> publish ──> [Spark commit] ──> receipts ──> files moved
"""

from __future__ import annotations

import contextlib
import functools
import logging
import threading
from typing import TYPE_CHECKING

from streaming import drops, ledger, returns
from streaming.admission import Limits
from streaming.checkpoint import Checkpoint, open_checkpoint
from streaming.draining import Drained
from streaming.heartbeat import Heartbeat
from streaming.home import database
from streaming.lake import Lake
from streaming.lake_outbox import LakeOutbox
from streaming.metrics import NoMetrics, cloudwatch
from streaming.postgres import Transactions
from streaming.publish import Publish
from streaming.reading import ReadOptions
from streaming.receipts import ReceiptWriter, destinations
from streaming.spark import hadoop_url, parse_tasks, partitions, session
from streaming.supervision import stop_on_signals, supervise

if TYPE_CHECKING:
    from collections.abc import Callable

    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.login import Login
    from streaming.metrics import Metrics
    from streaming.settings import Settings
    from streaming.supervision import Follower

log = logging.getLogger(__name__)

_ISOLATE_FROM_START = 3


def run(settings: Settings) -> int:
    """Runs the job until it is told to stop, or with `once` until the input is drained. Raises StockETLError."""
    with contextlib.ExitStack() as stack:
        stop = threading.Event()
        stack.enter_context(stop_on_signals(stop))
        to = destinations(settings)
        login = stack.enter_context(database(settings))
        of_batches, of_receipts, of_lake, of_supervisor = (
            stack.enter_context(contextlib.closing(Transactions(own, stop))) for own in login.copies(4)
        )
        checkpoint = open_checkpoint(settings.checkpoint, buckets=partitions(), text_ids=settings.text_ids)
        epoch = _take_over(of_supervisor, checkpoint, settings, login, stop)
        still_writer = functools.partial(_still_writer, epoch)
        spark = stack.enter_context(session(settings))
        stack.enter_context(stop_on_signals(stop))  # again: Spark has put its own handler of Ctrl-C over ours
        lake = _lake(settings, spark, checkpoint, still_writer(of_lake), stop)
        receipts = ReceiptWriter(of_receipts, epoch, checkpoint, to, stop)
        metrics: Metrics = cloudwatch() if settings.metrics == "cloudwatch" else NoMetrics()
        publish = Publish(of_batches, lake, checkpoint, epoch, published=receipts.published, metrics=metrics)
        followers: list[Follower] = [receipts] if lake is None else [receipts, lake]
        if settings.heartbeat is not None or settings.metrics != "none":
            followers.append(
                Heartbeat(settings, checkpoint, epoch, committed=lambda: receipts.done, metrics=metrics, stop=stop)
            )

        def start(isolate: bool) -> StreamingQuery:  # noqa: FBT001 (the one argument of a callback)
            packets = drops.stream(spark, _source_options(settings, checkpoint, parse_tasks(spark), isolate=isolate))
            changes = returns.changes(packets, checkpoint_url=checkpoint.url, with_loaded=lake is not None)
            query = changes.writeStream.foreachBatch(publish).queryName("stocketl")
            query = query.option("checkpointLocation", hadoop_url(settings.checkpoint))
            started = query.trigger(processingTime=f"{round(settings.trigger * 1000)} milliseconds").start()
            log.info("watching %s (epoch %d, checkpoint %s)", settings.input, epoch, checkpoint.id)
            return started

        supervise(
            start,
            isolate=checkpoint.starts_of_open_batch() >= _ISOLATE_FROM_START,
            publish=publish,
            followers=followers,
            superseded=still_writer(of_supervisor),
            drained=Drained(settings, checkpoint, of_supervisor, receipts, lake) if settings.once else lambda: False,
            stop=stop,
            spark_log=settings.home / "logs" / "spark.log",
        )
    return 0


def _take_over(
    transactions: Transactions, checkpoint: Checkpoint, settings: Settings, login: Login, stop: threading.Event
) -> int:
    """The next epoch: an older job writes nothing from here on. A job that must refuse leaves the older one alone."""
    transactions.run(ledger.create)
    transactions.run(checkpoint.agree_with_ledger)
    checkpoint.refuse_leftovers(settings.lake, settings.receipts)
    epoch = ledger.take_over(login, stop)
    transactions.run(checkpoint.agree_with_ledger)
    return epoch


def _lake(
    settings: Settings,
    spark: SparkSession,
    checkpoint: Checkpoint,
    still_writer: Callable[[], None],
    stop: threading.Event,
) -> LakeOutbox | None:
    if settings.lake is None:
        return None
    return LakeOutbox(Lake(spark, settings.lake, checkpoint.id), checkpoint, still_writer, stop)


def _still_writer(epoch: int, transactions: Transactions) -> Callable[[], None]:
    """Raises SupersededError where a newer job has taken over."""
    return lambda: transactions.run(lambda cur: ledger.check_epoch(cur, epoch))


def _source_options(settings: Settings, checkpoint: Checkpoint, tasks: int, *, isolate: bool) -> drops.SourceOptions:
    return drops.SourceOptions(
        input=settings.input,
        settle=settings.settle,
        limits=Limits(settings.max_batch_bytes, settings.split_bytes),
        read=ReadOptions(checkpoint.buckets, settings.text_ids, settings.unpacked_limit),
        keys=checkpoint.keys or list(range(checkpoint.buckets)),
        tasks=tasks,
        isolate=isolate,
        resume=checkpoint.last_offset(),
    )
