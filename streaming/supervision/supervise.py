"""Keeps the query up while that makes sense, ends it when the job is to end, says plainly why it ended."""

from __future__ import annotations

import contextlib
import re
import time
from collections import Counter
from typing import TYPE_CHECKING, Any

from streaming.checkpoint.damage import told_by_spark
from streaming.errors import StockETLError, StorageError
from streaming.follower import raise_error_of
from streaming.storage.folder_errors import full_disks
from streaming.supervision.mishaps import DISK_FULL, Mishap, QueryFailedError, mishap_of, signs_in
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from pyspark.sql.streaming.query import StreamingQuery

    from streaming.follower import Follower
    from streaming.publish.foreach_batch import Publish
    from streaming.supervision.stopping import Stop

_LOOK_SECONDS = 0.1
_RESTART_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_WELL_SECONDS = 60.0  # if a query has lived for this long, it has not met what ended the one before
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
    restarts = _Restarts(publish, isolate=isolate)
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


class _Restarts:
    """Counts the mishaps of one batch and tells them. isolate: whether the next start parses drops in isolation."""

    def __init__(self, publish: Publish, *, isolate: bool) -> None:
        self.isolate = isolate
        self._publish = publish
        self._published = 0
        self._count = 0
        self._by_mishap: Counter[Mishap] = Counter()
        self._waits: dict[str, Waiting] = {}
        self._started = time.monotonic()

    def pause_after(self, reason: BaseException) -> float:
        """Seconds to wait before the next start. Raises the reason if that would not help."""
        self.look()
        mishap = mishap_of(reason)
        if mishap is None or (mishap.tries is not None and self._by_mishap[mishap] >= mishap.tries):
            raise reason
        self._by_mishap[mishap] += 1
        self._count += 1
        if mishap.isolates and self._by_mishap[mishap] > 1:
            self.isolate = True
        self._waits.setdefault(mishap.what, Waiting(mishap.what)).failed(_first_line(reason), mishap.advice)
        doubled = min(self._count, 10)  # a storage may be away for days, and a float ends at 2 ** 1023
        return min(_RESTART_PAUSE_SECONDS * 2.0**doubled, _LONGEST_PAUSE_SECONDS)

    def started(self) -> None:
        """A query has begun."""
        self._started = time.monotonic()

    def look(self) -> None:
        """If a batch has been published since, the waits are over, and the next mishap counts anew."""
        if self._publish.batches > self._published:
            self._count, self._published = 0, self._publish.batches
            self._by_mishap.clear()
        elif not self._waits or time.monotonic() - self._started < _WELL_SECONDS:
            return
        for wait in self._waits.values():
            wait.over()
        self._waits.clear()


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
    said = _first_line(text)
    signs = "".join(f" {sign}" for sign in signs_in(told) if sign not in said)
    full = " and ".join(full_disks()) if any(sign in f"{said}{signs}" for sign in DISK_FULL) else ""
    advice = f"; free some space on {full}" if full else ""
    return QueryFailedError(f"the query ended: {said}{signs}{advice} (details: {spark_log})")


def _told_by(query: StreamingQuery) -> str:
    """Spark's text. If an exception has no message (EOFException: the source is gone), its name is used."""
    error: Any = query.exception()
    text = str(error or "")
    return f"{error._cause}\n{text}" if text.startswith("null") else text  # noqa: SLF001 (pyspark shows it nowhere)


def _first_line(text: object) -> str:
    """The line for a person in a text that may hold stack traces: Python's error, else the first line."""
    lines = [line.strip() for line in str(text).splitlines() if line.strip()]
    python = [line for line in lines if _PYTHON_ERROR.match(line)]
    return (python or lines or [""])[0][:300]
