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
from streaming.database.transactions import Sessions
from streaming.dates.punctuality import check_dates, watch_dates
from streaming.drops import source as drops
from streaming.drops.input_watch import InputWatch
from streaming.drops.options import SourceOptions, check_wake
from streaming.drops.readings import check_profiles
from streaming.home.database import database
from streaming.home.sign import own_name, sign_of_life
from streaming.lake.appender import open_lake
from streaming.publish.explained import Explained
from streaming.publish.foreach_batch import Publish
from streaming.receipts.destinations import destinations
from streaming.receipts.retention import Retention
from streaming.receipts.writer import ReceiptWriter
from streaming.returns import processor as returns
from streaming.setting_values import CORRECTIONS, DATES
from streaming.spark.class_sharing import ClassSharing
from streaming.spark.properties import partitions, under_spark_submit
from streaming.spark.session import parse_tasks, session
from streaming.storage.locations import hadoop_url
from streaming.supervision.drained import Drained
from streaming.supervision.supervise import supervise
from streaming.supervision.takeover import fates_of_open_batch, still_writer, take_over
from streaming.telemetry.telemetry import Telemetry
from streaming.telemetry.wear import begin_anew

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.settings import Settings
    from streaming.spark.launch import Java
    from streaming.supervision.stopping import Stop

log = logging.getLogger(__name__)

_ISOLATE_FROM_START = 3


def run(settings: Settings, stop: Stop, java: Java | None = None) -> None:
    """Runs the job until it is told to stop, with `once` until the input is drained. Raises StockETLError.

    java: for Spark, if it has begun already.
    """
    with contextlib.ExitStack() as stack:
        check_profiles(settings)
        check_wake(settings)
        check_dates(settings)
        stop.begin("the start of PostgreSQL")
        stack.enter_context(sign_of_life(settings))
        to = destinations(settings, stop)
        login = stack.enter_context(database(settings))
        stack.callback(stop.now, "the end of PostgreSQL")
        sessions = stack.enter_context(contextlib.closing(Sessions(login, stop, process=own_name())))
        supervisor = sessions.open("supervisor")
        checkpoint = open_checkpoint(settings.checkpoint, buckets=partitions(), text_ids=settings.text_ids)
        stop.begin("taking over the database")
        epoch = take_over(supervisor, checkpoint, settings, login, stop)
        stop.begin("the start of Spark", expendable=True)
        log.info("starting Spark")
        spark = stack.enter_context(session(settings, java))
        stack.callback(stop.now, "the end of Spark")
        stop.begin("the start of the query")
        lake = open_lake(settings, spark, checkpoint, still_writer(epoch, sessions.open("lake")), stop)
        retention = Retention(to.receipts, epoch, settings.keep_receipts, moves=to.move)
        receipts = ReceiptWriter(sessions.open("receipts"), epoch, checkpoint, to, stop, retention=retention)
        telemetry = Telemetry(
            settings,
            checkpoint,
            epoch,
            stop,
            committed=lambda: receipts.done,
            lake_since=lambda: lake.writing_since if lake else None,
        )
        stack.callback(telemetry.close)
        told, observers = receipts.published, telemetry.observers
        explained = Explained(settings)
        batches = sessions.open("batches")
        batches.run(lambda cur: explained.prepare(cur, epoch))
        publish = Publish(
            batches,
            lake,
            checkpoint,
            epoch,
            explain=settings.explain,
            explained=explained,
            published=told,
            observers=observers,
        )
        audit = Audit(spark, settings, checkpoint, login, sessions.open("audit"), receipts, publish, stop)
        watch = InputWatch(settings.input, stop, settings.wake)
        punctuality = watch_dates(settings, sessions.open("dates"), epoch, stop, telemetry.metrics.overdue)
        quiet = lambda: publish.batches > 0 and not publish.under_way and (lake is None or lake.idle)  # noqa: E731
        sharing = [ClassSharing(java.shared, quiet, stop)] if java else []
        drained = Drained(settings, checkpoint, supervisor, receipts, lake) if settings.once else None
        starts = itertools.count()

        def start(isolate: bool) -> StreamingQuery:  # noqa: FBT001 (the one argument of a callback)
            if next(starts):  # before the first start `open_checkpoint` has inspected it
                inspect(settings.checkpoint)
            fates = supervisor.run(lambda cur: fates_of_open_batch(checkpoint, cur))
            tasks = parse_tasks(spark)
            options = SourceOptions.of(settings, checkpoint, tasks, isolate=isolate, fates=fates, report=watch.address)
            started = query(spark, settings, options, publish)
            log.info("watching %s (epoch %d, checkpoint %s)", settings.input, epoch, checkpoint.id)
            return started

        supervise(
            start,
            isolate=checkpoint.count_start_of_open_batch() >= _ISOLATE_FROM_START,
            publish=publish,
            followers=[receipts, watch, audit, punctuality, *telemetry.followers, *sharing, *([lake] if lake else [])],
            superseded=still_writer(epoch, supervisor),
            drained=lambda: (
                telemetry.wear.ends(between_batches=receipts.idle)
                or (drained is not None and audit.began and drained())
            ),
            stop=stop,
            spark_log=settings.home / "logs" / "spark.log",
        )
    if telemetry.wear.ended and stop.signal is None and not under_spark_submit():
        begin_anew()


def query(spark: SparkSession, settings: Settings, options: SourceOptions, publish: Publish) -> StreamingQuery:
    """Starts the query: the picture above up to Spark's commit."""
    packets = drops.stream(spark, options)
    changes = returns.changes(
        packets,
        checkpoint_url=settings.checkpoint,
        with_loaded=settings.lake is not None,
        with_corrections=CORRECTIONS in settings.explain,
        with_dates=DATES in settings.explain,
    )
    writer = changes.writeStream.foreachBatch(publish).queryName("stocketl")
    writer = writer.option("checkpointLocation", hadoop_url(settings.checkpoint))
    return writer.trigger(processingTime="0 seconds").start()  # the source has its own pace
