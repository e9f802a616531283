"""The Spark session of the job: Java, the jars that Spark does not ship, quiet terminals, the frozen properties."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from streaming.spark.ahead import prepared
from streaming.spark.jvm import started
from streaming.spark.launch import launch
from streaming.spark.properties import partitions, properties, under_spark_submit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from streaming.settings import Settings
    from streaming.spark.launch import Java


@contextlib.contextmanager
def session(settings: Settings, java: Java | None = None) -> Iterator[SparkSession]:
    """A session on this machine, or the one that spark-submit has prepared. It is stopped at the end.

    java: what `java_ahead` has begun; without it, one begins here.
    """
    # for a Java that has begun, all is prepared: to look for Java again would start one to ask for its version
    logs, home = prepared(settings) if java is None else (settings.home / "logs", None)
    told = logs / "spark.log"
    needed = properties(settings, logs)
    if home is not None:
        java = launch(needed, home, told)
    with started(needed, told, java) as spark:
        if under_spark_submit():
            # For the source's process on the driver, Spark names a folder of --py-files that does not exist (its
            # PythonStreamingSourceRunner asks for the files of a job "streaming_job"). The driver's own path has them.
            spark.sparkContext.environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        yield spark


def parse_tasks(spark: SparkSession) -> int:
    """How many tasks read the drops of a batch: one for each core."""
    return max(int(spark.sparkContext.defaultParallelism), partitions())
