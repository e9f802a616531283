"""Keeps the query up while that makes sense, ends it when the job is to end, says plainly why it ended."""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any

from streaming.checkpoint.damage import told_by_spark
from streaming.errors import StockETLError, StorageError
from streaming.follower import raise_error_of
from streaming.masking import first_line
from streaming.storage.folder_errors import full_disks
from streaming.supervision.mishaps import DISK_FULL, QueryFailedError, signs_in
from streaming.supervision.restarts import Restarts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.follower import Follower
    from streaming.publish.foreach_batch import Publish
    from streaming.supervision.stopping import Stop

_LOOK_SECONDS = 0.1

_PYTHON_ERROR = re.compile(r"(?!pyspark|py4j)[\w.]+(Error|Exception|Exit|Interrupt): ")


def supervise(
    start: Callable[[bool], StreamingQuery],
    *,
    isolate: bool,
    publish: Publish,
    followers: Sequence[Follower],
    superseded: Callable[[], None],
    drained: Callable[[], bool],
    stop: Stop,
    spark_log: Path,
) -> None:
    """Runs the query until `stop` is set or `drained()` says that all is done. If that may help, restarts it.

    start: begins the query; its argument says whether drops are parsed in isolation. Raises what `publish`, a follower
    or `superseded` raised, or QueryFailedError.
    """
    restarts = Restarts(publish, isolate=isolate)
    query = start(isolate)
    for follower in followers:
        follower.start()
    reason: BaseException | None = None
    stop.now("the query")
    try:
        while not stop.wait(_LOOK_SECONDS) and not drained():
            raise_error_of(followers)
            if not query.isActive:
                reason = reason or _reason(query, publish, superseded, spark_log)
                pause = restarts.pause_after(reason)
                if stop.wait(pause):
                    break
                publish.error = reason = None
                try:
                    query = start(restarts.isolate)
                except StorageError as error:  # it does not answer yet
                    reason = error
                except StockETLError:
                    raise
                except Exception as error:  # noqa: BLE001 (Spark's errors have no common class)
                    reason = _query_failed(str(error), str(error), spark_log)
                restarts.started()
            else:
                restarts.look()
    finally:
        stop.set()
        _end(query, followers, stop)


def _end(query: StreamingQuery, followers: Sequence[Follower], stop: Stop) -> None:
    """Ends the query. Each follower has seen `stop`, and gets some seconds to finish."""
    stop.now("the end of the query")
    with contextlib.suppress(Exception):  # Java may be gone already; nothing may go on running, that is all
        query.stop()
    for follower in followers:
        stop.now(f"the thread {follower.name!r}")
        follower.join(timeout=10)


def _reason(query: StreamingQuery, publish: Publish, superseded: Callable[[], None], spark_log: Path) -> BaseException:
    """Why the query is no longer active: our own error if there is one, else one line of Spark's."""
    if isinstance(publish.error, StockETLError):
        return publish.error
    try:
        superseded()
    except StockETLError as error:
        return error
    told = _told_by(query)
    text = str(publish.error or told or "it ended without a reason")
    if (damaged := told_by_spark(f"{text}\n{told}")) is not None:
        return damaged
    return _query_failed(text, told, spark_log)


def _query_failed(text: str, told: str, spark_log: Path) -> QueryFailedError:
    """text: has the line for a person; told: has the signs of the mishap."""
    said = _words(text)
    signs = "".join(f" {sign}" for sign in signs_in(told) if sign not in said)
    full = " and ".join(full_disks()) if any(sign in f"{said}{signs}" for sign in DISK_FULL) else ""
    advice = f"; free some space on {full}" if full else ""
    return QueryFailedError(f"the query ended: {said}{signs}{advice} (details: {spark_log})")


def _told_by(query: StreamingQuery) -> str:
    """Spark's text. If an exception has no message (EOFException: the source is gone), its name is used."""
    error: Any = query.exception()
    text = str(error or "")
    return f"{error._cause}\n{text}" if text.startswith("null") else text  # noqa: SLF001 (pyspark shows it nowhere)


def _words(text: str) -> str:
    """The line for a person in a text that may hold stack traces: Python's error, else the first line."""
    python = [line for line in map(str.strip, text.splitlines()) if _PYTHON_ERROR.match(line)]
    return first_line(python[0] if python else text)
