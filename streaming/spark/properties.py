"""The Spark properties of the job: those that a checkpoint freezes, those it always needs, those of this machine."""

from __future__ import annotations

import functools
import os
import shlex
import sys
from importlib import resources
from typing import TYPE_CHECKING, Any

from streaming.spark.jars import jars
from streaming.spark.sockets import socket_folder
from streaming.spark.wrappers import wrapper
from streaming.storage.locations import is_s3

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from pyspark import SparkConf

    from streaming.settings import Settings

# What the job needs wherever it runs.
_ALWAYS_PROPERTIES = {
    "spark.driver.maxResultSize": "0",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.session.timeZone": "UTC",
    # on S3 a third of the requests of Spark's own choice (13 LIST and 17 HEAD a batch instead of 35 and 48), and in a
    # folder no `readlink`
    "spark.sql.streaming.checkpointFileManagerClass": (
        "org.apache.spark.sql.execution.streaming.checkpointing.FileSystemBasedCheckpointFileManager"
    ),
    # the rows in the lake's outbox carry sums, so that damaged ones are noticed
    "spark.hadoop.parquet.page.verify-checksum.enabled": "true",
    # Nearly all work is done in Python, on a few large rows. So what Java would compile and plan again for each batch
    # costs more than it gives, in large batches too.
    "spark.sql.adaptive.enabled": "false",
    # else the source's tasks have a variable of the environment that the state's lack, and so a daemon of their own,
    # for which the first large batch would wait 0.6 s
    "spark.sql.execution.pyspark.udf.simplifiedTraceback.enabled": "false",
    "spark.sql.codegen.wholeStage": "false",
    "spark.sql.codegen.factoryMode": "NO_CODEGEN",
    # S3 already keeps a checksum of each file, and in a folder Hadoop does
    "spark.sql.streaming.checkpoint.fileChecksum.enabled": "false",
}

_DELTA_PROPERTIES = {
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
    # an append of a few rows takes 0.6 s instead of 3 s, and not 8 s every tenth time (two cores, both busy)
    "spark.databricks.delta.snapshotPartitions": "1",
    "spark.databricks.delta.writeChecksumFile.enabled": "false",
    "spark.databricks.delta.properties.defaults.checkpointInterval": "100",
    # --lake-retention may be less than Delta's own week, but at least an hour: no append takes so long to commit
    "spark.databricks.delta.retentionDurationCheck.enabled": "false",
    # VACUUM makes this many tasks to list a folder or two; with Spark's 10,000 it took more than ten minutes
    "spark.sql.sources.parallelPartitionDiscovery.parallelism": "8",
    # when small files are joined, files of this size are left alone: those of a large load, too
    "spark.databricks.delta.optimize.minFileSize": str(8 << 20),
    # one file at a time is written: it takes one task for up to minutes, and two would leave none to the drops
    "spark.databricks.delta.optimize.maxThreads": "1",
    "spark.databricks.delta.optimize.maxFileSize": str(128 << 20),
}

# pip's Spark lacks Hadoop's native library. Without it Hadoop starts a `chmod` or `readlink` for each file that it
# makes or looks at: about 35 processes a batch (0.3 s of a drop's way to the tables, 0.4 s of an append to Delta).
_FOLDER_PROPERTIES = {
    "spark.hadoop.fs.file.impl": "com.globalmentor.apache.hadoop.fs.BareLocalFileSystem",
}

_WORKER_PYTHON = """#!/bin/sh
# Spark puts its zip of pyspark first, and every Python process compiles it anew (0.6 s for each of the first five). The
# installed pyspark is the same and already compiled. A worker reads the directory of each archive, Spark's own jar too,
# again at every task (40 ms).
IFS=:
for entry in $PYTHONPATH; do
    case $entry in
    *.zip | *.jar) ;;
    *) kept=$kept${{kept:+:}}$entry ;;
    esac
done
export PYTHONPATH="$kept"
exec {python} "$@"
"""


def properties(settings: Settings, logs: Path) -> dict[str, str]:
    """All properties for a session of this job. On one machine, first fetches the jars that they name.

    logs: the folder for Spark's own log.
    """
    made: dict[str, str] = frozen_properties() | _ALWAYS_PROPERTIES
    if not under_spark_submit():
        wanted = jars_of(settings)
        made |= _local_properties(logs, jars(**wanted))
        made |= _s3a_properties() if wanted["s3"] else {}
        made |= _FOLDER_PROPERTIES if wanted["folders"] else {}
    return made | (_DELTA_PROPERTIES if settings.lake else {})


def jars_of(settings: Settings) -> dict[str, bool]:
    """Which jars a job needs beside Spark's own: the arguments of `jars`."""
    places = [place for place in (settings.checkpoint, settings.lake) if place]
    return {
        "lake": settings.lake is not None,
        "s3": any(map(is_s3, places)),
        "folders": not all(map(is_s3, places)),
    }


@functools.cache  # under spark-submit each look asks Java
def frozen_properties() -> dict[str, str]:
    """The Spark properties of `checkpoints_conf/`: of `emr.conf` under spark-submit, else of `local.conf`.

    What spark-submit's own configuration says of one of them wins, in spark-defaults.conf or by `--conf`.
    """
    name = "emr" if under_spark_submit() else "local"
    text = _conf().joinpath(f"{name}.conf").read_text(encoding="utf-8")
    pairs = (line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#"))
    given = _given_to_spark_submit()
    return {key: (given and given.get(key)) or value.strip() for key, value in pairs}


def partitions() -> int:
    """The number of shuffle partitions: one bucket of tickers for each."""
    return int(frozen_properties()["spark.sql.shuffle.partitions"])


def under_spark_submit() -> bool:
    """Whether spark-submit has started this process, and Java with it."""
    return "PYSPARK_GATEWAY_PORT" in os.environ


def worker_python() -> Path:
    """The Python of the workers: this one, but quicker to start."""
    return wrapper("python", _WORKER_PYTHON.format(python=shlex.quote(sys.executable)))


def _given_to_spark_submit() -> SparkConf | None:
    """Only Java knows it: before Python is connected to Java, a `SparkConf` is empty."""
    if not under_spark_submit():
        return None
    from pyspark import SparkConf, SparkContext  # noqa: PLC0415 (Java may start while Python loads it)

    SparkContext._ensure_initialized()  # noqa: SLF001 (pyspark connects only when the context is made)
    return SparkConf()


def _conf() -> Traversable:
    """`checkpoints_conf/` beside the package, in a folder or in the archive that the package is in."""
    beside: Any = resources.files("streaming")
    conf: Traversable = beside.parent.joinpath("checkpoints_conf")
    return conf


def _local_properties(logs: Path, extra_jars: list[Path]) -> dict[str, str]:
    java_options = [
        f'"-Dstocketl.logs={logs}"',
        f'"-Dlog4j2.configurationFile={_conf().joinpath("log4j2.properties")}"',
        # a batch is little work for Java but much code: the second compiler and parallel collectors cost more than they
        # give (measured: 0.34 s of CPU a batch instead of 0.51 s)
        "-XX:TieredStopAtLevel=1",
        "-XX:+UseSerialGC",
    ]
    properties = {
        "spark.master": f"local[{os.cpu_count() or 1}]",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraJavaOptions": " ".join(java_options),
        "spark.driver.extraClassPath": ":".join(map(str, extra_jars)),
        "spark.python.daemon.module": "streaming.spark.worker_daemon",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.sql.warehouse.dir": str(logs / "spark-warehouse"),
    }
    if (sockets := socket_folder()) is not None:
        properties["spark.python.unix.domain.socket.enabled"] = "true"
        properties["spark.python.unix.domain.socket.dir"] = str(sockets)
    return {key: value for key, value in properties.items() if value}


def _s3a_properties() -> dict[str, str]:
    """Tells Hadoop's S3 client what boto3 would use (variables, profiles, roles)."""
    from streaming.aws import client, is_of_aws  # noqa: PLC0415 (boto3 takes 0.3 s to load and is needed only for S3)

    about = client().meta
    endpoint = about.endpoint_url
    properties = {
        "spark.hadoop.fs.s3a.aws.credentials.provider": (
            "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
        ),
        "spark.hadoop.fs.s3a.endpoint.region": about.region_name,
    }
    if not is_of_aws(endpoint):
        properties["spark.hadoop.fs.s3a.endpoint"] = endpoint
        properties["spark.hadoop.fs.s3a.path.style.access"] = "true"
    return properties
