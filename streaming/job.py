"""The job: one query, one way.

drops ──> ticks ──> returns (state: history) ──> publish ──> [Spark commit] ──> receipts ──> files moved
"""

from __future__ import annotations

import contextlib
import itertools
import logging
from typing import TYPE_CHECKING

from streaming.audit.audit import Audit
from streaming.checkpoint.checkpoint import open_checkpoint
from streaming.checkpoint.inspection import inspect
from streaming.database.transactions import Transactions
from streaming.descriptors import Wear, begin_anew
from streaming.drops import source as drops
from streaming.drops.input_watch import InputWatch
from streaming.drops.options import SourceOptions
from streaming.home.database import database
from streaming.home.sign import own_name, sign_of_life
from streaming.lake.keeping import LakeKeeping
from streaming.lake.outbox import LakeOutbox
from streaming.lake.tables import Lake
from streaming.publish.foreach_batch import Publish
from streaming.receipts.destinations import destinations
from streaming.receipts.retention import Retention
from streaming.receipts.writer import ReceiptWriter
from streaming.returns import processor as returns
from streaming.spark.properties import partitions, under_spark_submit
from streaming.spark.session import parse_tasks, session
from streaming.storage.locations import hadoop_url, open_place
from streaming.supervision.drained import Drained
from streaming.supervision.supervise import supervise
from streaming.supervision.takeover import fates_of_open_batch, still_writer, take_over
from streaming.telemetry.backlog import Backlog
from streaming.telemetry.batch_log import BatchLog
from streaming.telemetry.heartbeat import Heartbeat
from streaming.telemetry.log import terminal
from streaming.telemetry.metrics import NoMetrics, cloudwatch
from streaming.telemetry.progress_bar import ProgressBar

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.follower import Follower
    from streaming.settings import Settings
    from streaming.supervision.stopping import Stop
    from streaming.telemetry.metrics import Metrics

log = logging.getLogger(__name__)

_ISOLATE_FROM_START = 3


def run(settings: Settings, stop: Stop) -> None:
    """Runs the job until it is told to stop, or with `once` until the input is drained. Raises StockETLError."""
    with contextlib.ExitStack() as stack:
        stop.begin("the start of PostgreSQL")
        stack.enter_context(sign_of_life(settings))
        to = destinations(settings, stop)
        login = stack.enter_context(database(settings))
        stack.callback(stop.now, "the end of PostgreSQL")
        of_batches, of_receipts, of_lake, of_audit, of_supervisor = (
            stack.enter_context(contextlib.closing(Transactions(own, stop, of=of, process=own_name())))
            for own, of in zip(login.copies(5), ("batches", "receipts", "lake", "audit", "supervisor"), strict=True)
        )
        checkpoint = open_checkpoint(settings.checkpoint, buckets=partitions(), text_ids=settings.text_ids)
        stop.begin("taking over the database")
        epoch = take_over(of_supervisor, checkpoint, settings, login, stop)
        stop.begin("the start of Spark", expendable=True)
        log.info("starting Spark")
        spark = stack.enter_context(session(settings))
        stack.callback(stop.now, "the end of Spark")
        stop.begin("the start of the query")
        lake = _lake(settings, spark, checkpoint, still_writer(epoch, of_lake), stop)
        retention = Retention(to.receipts, epoch, settings.keep_receipts, moves=to.move)
        receipts = ReceiptWriter(of_receipts, epoch, checkpoint, to, stop, retention=retention)
        metrics: Metrics = cloudwatch() if settings.metrics == "cloudwatch" else NoMetrics()
        wear, watch = Wear(metrics), InputWatch(settings.input, stop)
        screen = terminal()
        bar = ProgressBar(screen) if screen else None
        batch_log = BatchLog(checkpoint, stop, lake_since=lambda: lake.writing_since if lake else None, bar=bar)
        stack.callback(batch_log.hide_bar)
        publish = Publish(
            of_batches,
            lake,
            checkpoint,
            epoch,
            published=receipts.published,
            metrics=metrics,
            wear=wear,
            batch_log=batch_log,
        )
        followers: list[Follower] = [receipts, watch, batch_log, *([lake] if lake else [])]
        audit = Audit(spark, settings, checkpoint, login, of_audit, receipts, publish, stop)
        followers.append(audit)
        followers += _signs_of_life(settings, checkpoint, epoch, receipts, metrics=metrics, wear=wear, stop=stop)
        drained = Drained(settings, checkpoint, of_supervisor, receipts, lake) if settings.once else None

        starts = itertools.count()

        def start(isolate: bool) -> StreamingQuery:  # noqa: FBT001 (the one argument of a callback)
            if next(starts):  # before the first one `open_checkpoint` has looked
                inspect(settings.checkpoint)
            fates = of_supervisor.run(lambda cur: fates_of_open_batch(checkpoint, cur))
            options = SourceOptions.of(
                settings, checkpoint, parse_tasks(spark), isolate=isolate, fates=fates, report=watch.address
            )
            packets = drops.stream(spark, options)
            changes = returns.changes(packets, checkpoint_url=checkpoint.url, with_loaded=lake is not None)
            query = changes.writeStream.foreachBatch(publish).queryName("stocketl")
            query = query.option("checkpointLocation", hadoop_url(settings.checkpoint))
            started = query.trigger(processingTime="0 seconds").start()  # the source has its own pace
            log.info("watching %s (epoch %d, checkpoint %s)", settings.input, epoch, checkpoint.id)
            return started

        supervise(
            start,
            isolate=checkpoint.starts_of_open_batch() >= _ISOLATE_FROM_START,
            publish=publish,
            followers=followers,
            superseded=still_writer(epoch, of_supervisor),
            drained=lambda: (
                wear.ends(between_batches=receipts.idle) or (drained is not None and audit.began and drained())
            ),
            stop=stop,
            spark_log=settings.home / "logs" / "spark.log",
        )
    if wear.ended and stop.signal is None and not under_spark_submit():
        begin_anew()


def _signs_of_life(
    settings: Settings,
    checkpoint: Checkpoint,
    epoch: int,
    receipts: ReceiptWriter,
    *,
    metrics: Metrics,
    wear: Wear,
    stop: threading.Event,
) -> list[Follower]:
    def committed() -> int:
        return receipts.done

    if settings.heartbeat is None and settings.metrics == "none":
        return []
    backlog = Backlog(settings, checkpoint, committed=committed, metrics=metrics, stop=stop)
    if settings.heartbeat is None:
        return [backlog]
    place, every = open_place(settings.heartbeat), settings.heartbeat_every
    heartbeat = Heartbeat(
        place, every, epoch, committed=committed, drops=lambda: backlog.waiting, held=lambda: wear.highest, stop=stop
    )
    return [heartbeat, backlog]


def _lake(
    settings: Settings,
    spark: SparkSession,
    checkpoint: Checkpoint,
    still_writer: Callable[[], None],
    stop: threading.Event,
) -> LakeOutbox | None:
    if settings.lake is None:
        return None
    lake = Lake(spark, settings.lake, checkpoint.id)
    keeping = LakeKeeping(lake, settings.lake, settings.lake_retention)
    return LakeOutbox(lake, keeping, checkpoint, still_writer, stop)
