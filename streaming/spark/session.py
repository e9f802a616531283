"""The Spark session of the job: Java, the jars that Spark does not ship, quiet terminals, the frozen properties."""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING

from streaming.spark.java import java_home
from streaming.spark.jvm import started
from streaming.spark.properties import partitions, properties, under_spark_submit, worker_python

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

    from streaming.settings import Settings

_M_ARENA_MAX = -8  # of malloc.h


@contextlib.contextmanager
def session(settings: Settings) -> Iterator[SparkSession]:
    """A session on this machine, or the one that spark-submit has prepared. It is stopped at the end."""
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    if not under_spark_submit():
        os.environ["JAVA_HOME"] = str(java_home())
        os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = str(worker_python())
        _few_arenas()
    with started(properties(settings, logs), logs / "spark.log") as spark:
        if under_spark_submit():
            # For the source's process on the driver, Spark names a folder of --py-files that does not exist (its
            # PythonStreamingSourceRunner asks for the files of a job "streaming_job"). The driver's own path has them.
            spark.sparkContext.environment["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
        yield spark


def _few_arenas() -> None:
    """Else each of the many threads keeps what was freed: with a file of 4 GB the peak was 3.2 GB instead of 3.0.

    Of glibc, by whose variable the processes to come know it, and by its call this one, which has begun already.
    """
    arenas = os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    with contextlib.suppress(AttributeError, ValueError):  # another C library, or a number that only glibc can read
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, int(arenas))


def parse_tasks(spark: SparkSession) -> int:
    """How many tasks read the drops of a batch: one for each core."""
    return max(int(spark.sparkContext.defaultParallelism), partitions())
