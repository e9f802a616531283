"""Java begins first: while it starts, Python loads the rest of the job, and PostgreSQL starts.

So this module, and what it imports, is without pyspark and pandas.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
from typing import TYPE_CHECKING

from streaming.spark.jars import fetched_before
from streaming.spark.java import for_scripts, found_java
from streaming.spark.launch import launch
from streaming.spark.properties import jars_of, properties, under_spark_submit, worker_python

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.settings import Settings
    from streaming.spark.launch import Java

_M_ARENA_MAX = -8  # of malloc.h


@contextlib.contextmanager
def java_ahead(settings: Settings) -> Iterator[Java | None]:
    """A Java for `session`, on its way; ended with the context. None where `session` must begin it.

    A trouble is not told here: whoever needs the session meets it again, and in the order in which it is to be told.
    """
    java = None
    with contextlib.suppress(Exception):
        if not under_spark_submit() and fetched_before(**jars_of(settings)):
            logs, home = prepared(settings)
            java = launch(properties(settings, logs), home, logs / "spark.log") if home else None
    try:
        yield java
    finally:
        if java is not None:
            java.end()


def prepared(settings: Settings) -> tuple[Path, Path | None]:
    """The folder for logs, made, and the home of Java for this process to start; None under spark-submit."""
    logs = settings.home / "logs"
    logs.mkdir(parents=True, exist_ok=True)
    if under_spark_submit():
        return logs, None
    home = found_java()
    os.environ["JAVA_HOME"] = str(for_scripts(home))
    os.environ["PYSPARK_PYTHON"] = os.environ["PYSPARK_DRIVER_PYTHON"] = str(worker_python())
    _few_arenas()
    return logs, home


def _few_arenas() -> None:
    """Else each of the many threads keeps what was freed: with a file of 4 GB the peak was 3.2 instead of 3.0 GB.

    Of glibc, by whose variable the processes to come know it, and by its call this one, which has begun already.
    """
    arenas = os.environ.setdefault("MALLOC_ARENA_MAX", "2")
    with contextlib.suppress(AttributeError, ValueError):  # another C library, or a number that only glibc can read
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, int(arenas))
