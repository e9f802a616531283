"""The floor of a drip: what Spark's micro-batch itself costs.

    python -m bench.floor HOME DATABASE

The job's own source, files and trigger over HOME/input, no state, no lake; a `foreachBatch` that collects the batch
and writes one row to the table `floor`: the key of its first drop.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2

from streaming.checkpoint.offset import EMPTY_OFFSET
from streaming.drops import source as drops
from streaming.drops.options import Limits, ReadOptions, SourceOptions
from streaming.packets import FACTS
from streaming.settings import load
from streaming.spark.properties import partitions
from streaming.spark.session import session
from streaming.storage.locations import hadoop_url

if TYPE_CHECKING:
    from psycopg2.extensions import connection
    from pyspark.sql import DataFrame

    from streaming.settings import Settings


def run(settings: Settings, database: connection) -> None:
    """Runs the query until the process is killed; says `ready` once it has started."""
    with database, database.cursor() as cur:
        cur.execute("CREATE TABLE floor (key text PRIMARY KEY)")

    def write(frame: DataFrame, _batch_id: int) -> None:
        rows = frame.toArrow().to_pylist()
        key = next(json.loads(row["payload"])["key"] for row in rows if row["kind"] == FACTS)
        with database, database.cursor() as cur:
            cur.execute("INSERT INTO floor VALUES (%s)", (key,))

    with session(settings) as spark:
        query = drops.stream(spark, _source_options(settings)).writeStream.foreachBatch(write)
        query = query.option("checkpointLocation", hadoop_url(settings.checkpoint))
        started = query.trigger(processingTime="0 seconds").start()  # the source has its own pace
        print("ready", flush=True)  # noqa: T201 - the parent waits for it
        started.awaitTermination()


def _source_options(settings: Settings) -> SourceOptions:
    buckets = partitions()
    return SourceOptions(
        input=settings.input,
        settle=settings.settle,
        limits=Limits(settings.max_batch_bytes, settings.split_bytes),
        read=ReadOptions(buckets, settings.text_ids, settings.unpacked_limit),
        keys=list(range(buckets)),
        tasks=os.cpu_count() or 1,
        isolate=False,
        every=settings.trigger,
        resume=EMPTY_OFFSET,
    )


def main() -> None:
    """The command above."""
    home, uri = sys.argv[1:]
    settings = load(environment=False, home=home, database=uri, lake="none", settle=0)
    Path(settings.input).mkdir(parents=True, exist_ok=True)
    with contextlib.closing(psycopg2.connect(uri)) as database:
        run(settings, database)


if __name__ == "__main__":
    main()
