"""Keeps the query up while that makes sense, ends it when the job is to end, and says plainly why it ended."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, Any, Protocol

from streaming.damage import told_by_spark
from streaming.errors import StockETLError, StorageError
from streaming.folder_errors import full_disks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.publish import Publish
    from streaming.stopping import Stop

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.1
_RESTARTS = 3
_RESTART_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
# Spark gives these only as text: a Python worker that died, a log file that another driver has written, a storage
# that did not answer.
_WORKER_DIED = ("Python worker exited unexpectedly", "Python worker failed to connect back")
_PYTHON_ERROR = re.compile(r"(?!pyspark|py4j)[\w.]+(Error|Exception|Exit|Interrupt): ")
_DISK_FULL = ("No space left on device", "Disk quota exceeded")  # where Java writes: the checkpoint, its own files
# what Java meets where the checkpoint is: a network's file system, S3 by Hadoop's client
_DISK_AWAY = ("Stale file handle", "Input/output error", "Transport endpoint is not connected", "Host is down")
_S3_AWAY = ("AWSClientIOException", "AWSServiceThrottledException", "AWSStatus500Exception", "AWSServiceIOException")
_S3_NOT_NOW = ("ExpiredToken", "RequestTimeTooSkewed", "SlowDown", "ServiceUnavailable")
_STORAGE_FAILED = ("StorageError", *_DISK_FULL, *_DISK_AWAY, *_S3_AWAY, *_S3_NOT_NOW)
_WORTH_A_RESTART = (*_WORKER_DIED, "CONCURRENT_STREAM_LOG_UPDATE", *_STORAGE_FAILED)


class Follower(Protocol):
    """A thread that does what follows the publication of a batch; `error` is what ended it early."""

    name: str
    error: BaseException | None

    def start(self) -> None:
        """Begins."""

    def join(self, timeout: float | None = None) -> None:
        """Waits for its end, so many seconds at most."""


class QueryFailedError(StockETLError):
    """Spark ended the query for a reason that is not one of ours."""


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
    """Runs the query until `stop` is set or `drained()` says that all is done; restarts it where that may help.

    start: begins the query, with drops parsed in isolation or not. Raises what `publish`, a follower or `superseded`
    raised, or QueryFailedError.
    """
    restarts = _Restarts(publish, isolate=isolate)
    query = start(isolate)
    for follower in followers:
        follower.start()
    reason: BaseException | None = None
    stop.now("the query")
    try:
        while not stop.wait(_LOOK_SECONDS) and not drained():
            _raise_error_of(followers)
            if not query.isActive:
                reason = reason or _reason(query, publish, superseded, spark_log)
                pause = restarts.pause_after(reason)
                log.warning("the batch is tried again in %.0f s: %s", pause, _first_line(reason))
                if stop.wait(pause):
                    break
                publish.error = reason = None
                try:
                    query = start(restarts.isolate)
                except StorageError as error:  # it does not answer yet
                    reason = error
    finally:
        stop.set()
        _end(query, followers, stop)


class _Restarts:
    """Counts the mishaps of one batch; `isolate`: whether the next start parses drops in isolation."""

    def __init__(self, publish: Publish, *, isolate: bool) -> None:
        self.isolate = isolate
        self._publish = publish
        self._count = self._others = self._published = 0

    def pause_after(self, reason: BaseException) -> float:
        """Seconds to wait before the next start. Raises the reason where that would not help."""
        if self._publish.batches > self._published:  # this is another mishap, not the last one again
            self._count = self._others = 0
            self._published = self._publish.batches
        if not _is_worth_a_restart(reason, self._others):
            raise reason
        self._count += 1
        self._others += not _is_of_the_storage(reason)
        if self._others > 1 and any(sign in str(reason) for sign in _WORKER_DIED):
            self.isolate = True
        doubled = min(self._count, 10)  # a storage may be away for days, and a float ends at 2 ** 1023
        return min(_RESTART_PAUSE_SECONDS * 2.0**doubled, _LONGEST_PAUSE_SECONDS)


def _raise_error_of(followers: Sequence[Follower]) -> None:
    for follower in followers:
        if follower.error is not None:
            raise follower.error


def _end(query: StreamingQuery, followers: Sequence[Follower], stop: Stop) -> None:
    """Ends the query; gives each follower, which has seen `stop`, some seconds for what it is doing."""
    stop.now("the end of the query")
    with contextlib.suppress(Exception):  # Java may be gone already; what matters is that nothing runs on
        query.stop()
    for follower in followers:
        stop.now(f"the thread {follower.name!r}")
        follower.join(timeout=10)


def _reason(query: StreamingQuery, publish: Publish, superseded: Callable[[], None], spark_log: Path) -> BaseException:
    """Why the query is no longer active: our own error if there is one, else Spark's in one line."""
    if isinstance(publish.error, StockETLError):
        return publish.error
    try:
        superseded()
    except StockETLError as error:
        return error
    told: Any = query.exception()
    text = str(publish.error or told or "it ended without a reason")
    if (damaged := told_by_spark(f"{text}\n{told}")) is not None:
        return damaged
    said = _first_line(text)
    signs = "".join(f" {sign}" for sign in _WORTH_A_RESTART if sign in str(told) and sign not in said)
    full = " and ".join(full_disks()) if any(sign in f"{said}{signs}" for sign in _DISK_FULL) else ""
    advice = f"; free some space on {full}" if full else ""
    return QueryFailedError(f"the query ended: {said}{signs}{advice} (details: {spark_log})")


def _is_worth_a_restart(reason: BaseException, restarts: int) -> bool:
    """A storage that does not answer is waited for; any other mishap gets a few tries."""
    few = restarts < _RESTARTS and any(sign in str(reason) for sign in _WORTH_A_RESTART)
    return few or _is_of_the_storage(reason)


def _is_of_the_storage(reason: BaseException) -> bool:
    """By its class where it is an error of ours; Spark hands on only the text."""
    own = isinstance(reason, StockETLError) and not isinstance(reason, QueryFailedError)
    return isinstance(reason, StorageError) if own else any(sign in str(reason) for sign in _STORAGE_FAILED)


def _first_line(text: object) -> str:
    """What a person needs of a text that may hold stack traces: Python's word on the error, else the first line."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    python = [line for line in lines if _PYTHON_ERROR.match(line)]
    return (python or lines or [""])[0][:300]
