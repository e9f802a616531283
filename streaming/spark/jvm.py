"""The Java process in which the session lives: started, watched, and ended with the job."""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

from py4j.protocol import Py4JError, Py4JJavaError  # type: ignore[import-untyped]
from pyspark import SparkConf, SparkContext
from pyspark.errors import PySparkRuntimeError
from pyspark.java_gateway import launch_gateway
from pyspark.sql import SparkSession

from streaming.errors import SettingsError, StockETLError
from streaming.spark.launch import end

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from py4j.java_gateway import JavaGateway  # type: ignore[import-untyped]

    from streaming.spark.launch import Java

_END_SECONDS = 10
_GATEWAY = ("PYSPARK_GATEWAY_PORT", "PYSPARK_GATEWAY_SECRET")
_SHUT_DOWN = ("SparkContext was shut down", "SparkContext was shutdown", "stopped SparkContext")


class JavaEndedError(StockETLError):
    """The Java that Spark runs in has ended while the job needed it."""


@contextlib.contextmanager
def started(properties: dict[str, str], told: Path, begun: Java | None = None) -> Iterator[SparkSession]:
    """A session in a Java of its own, or in that of spark-submit. It is stopped at the end.

    told: the file for what Java and the Python workers print; begun: a Java that is on its way, else Spark's scripts
    start one. Raises JavaEndedError if it ends meanwhile.
    """
    _log_to_file_only("py4j", told)
    java, spark = _session(properties, told, begun)
    try:
        yield spark
    except Exception as error:
        if (how := _end_of_java(java, error)) is not None:
            msg = f"Java {how}, and the job with it; nothing is lost. See {told}, then start it again"
            raise JavaEndedError(msg) from error
        raise
    finally:
        with contextlib.suppress(Exception):  # Java may have ended already: then there is nothing to stop
            spark.stop()
        if java is not None:
            end(java)


def _session(
    properties: dict[str, str], told: Path, begun: Java | None
) -> tuple[subprocess.Popen[bytes] | None, SparkSession]:
    """Java (None: spark-submit's) and a session. What Java and the Python workers print goes to the file `told`.

    Java gets a process group of its own: Ctrl-C, and a signal to the whole group, are for the job, which ends it.
    """
    conf = SparkConf().setAppName("stocketl").setAll(list(properties.items()))
    ours = signal.getsignal(signal.SIGINT)
    java = None
    try:
        if begun is not None:
            java = begun.process
            gateway = _connected(begun)
        else:
            with told.open("ab") as sink:
                gateway = launch_gateway(conf, {"stdout": sink, "stderr": sink, "process_group": 0})  # type: ignore[no-untyped-call]  # pyspark's
            java = getattr(gateway, "proc", None)
        _keep_quiet(SparkContext(conf=conf, gateway=gateway))
        signal.signal(signal.SIGINT, ours)  # Spark has set one that raises wherever the main thread is
        return java, SparkSession.builder.config(map=dict(properties)).getOrCreate()
    except BaseException as error:
        if java is not None:
            end(java)
        if isinstance(error, PySparkRuntimeError):
            msg = f"Spark did not start (JAVA_HOME={os.environ.get('JAVA_HOME')}): {error}; see {told}"
            raise SettingsError(msg) from error
        if (how := _end_of_java(java, error)) is not None:
            msg = f"Java {how} while Spark started. See {told}, then start the job again"
            raise JavaEndedError(msg) from error
        raise
    finally:
        signal.signal(signal.SIGINT, ours)


def _end_of_java(java: subprocess.Popen[bytes] | None, error: BaseException) -> str | None:
    """If the end of Java caused this error: how it ended."""
    answers = isinstance(error, Py4JJavaError) or not isinstance(error, (Py4JError, ConnectionError, EOFError))
    if answers and not any(sign in str(error) for sign in _SHUT_DOWN):
        return None
    if java is None:
        return "ended"
    try:
        code = java.wait(timeout=_END_SECONDS)
    except subprocess.TimeoutExpired:
        return None
    number = -code if code < 0 else code - 128  # above 128: Java has ended itself in order
    return f"was ended by signal {number}" if number > 0 else f"ended with code {code}"


def _connected(java: Java) -> JavaGateway:
    """As if spark-submit had started it, whose variables name it; they are gone again before anybody else looks."""
    if (address := java.address()) is None:
        raise PySparkRuntimeError(errorClass="JAVA_GATEWAY_EXITED", messageParameters={})
    given = dict(zip(_GATEWAY, map(str, address), strict=True))
    os.environ.update(given)
    try:
        return launch_gateway()  # type: ignore[no-untyped-call]  # pyspark's
    finally:
        for name in given:
            del os.environ[name]


def _log_to_file_only(name: str, path: Path) -> None:
    """The bridge to Java logs each Python error with its trace: only to the file, since the supervisor tells it."""
    logger = logging.getLogger(name)
    logger.handlers[:] = [logging.FileHandler(path, delay=True)]
    logger.propagate = False


def _keep_quiet(context: SparkContext) -> None:
    """When Java goes away, the server of the tasks' counters would print a trace: it tells it to the log instead."""
    server: Any = context._accumulatorServer  # noqa: SLF001 (pyspark has no other way)
    server.handle_error = lambda *_: logging.getLogger("py4j").info("Java no longer sends its counters")
