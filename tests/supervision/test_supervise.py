"""Which mishaps of the query are worth another start, after which pause, and how; without Spark."""

from __future__ import annotations

import itertools
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.errors import StorageError
from streaming.supervision import supervise as supervision
from streaming.supervision.mishaps import QueryFailedError, signs_in
from streaming.supervision.stopping import Stop
from streaming.supervision.supervise import _Restarts, supervise

if TYPE_CHECKING:
    from collections.abc import Callable

WORKER_DIED = QueryFailedError("the query ended: Python worker exited unexpectedly")
NO_ANSWER = "streaming.errors.StorageError: no answer"


def _restarts() -> tuple[_Restarts, Any]:
    publish: Any = SimpleNamespace(batches=0)
    return _Restarts(publish, isolate=False), publish


def test_a_storage_that_does_not_answer_is_waited_for_as_long_as_it_takes() -> None:
    """Each pause twice as long as the one before, a minute at most; days later still."""
    restarts, _ = _restarts()
    pauses = [restarts.pause_after(StorageError("no answer")) for _ in range(3_000)]
    assert pauses[:6] == [2, 4, 8, 16, 32, 60]
    assert set(pauses[6:]) == {60}
    assert not restarts.isolate


def test_a_batch_that_ends_its_worker_gets_a_few_starts_the_later_ones_in_isolation() -> None:
    """However often the storage was away before; until a batch is published, then it is another mishap."""
    restarts, publish = _restarts()
    isolated = []
    for _ in range(2):
        for _ in range(3):
            restarts.pause_after(StorageError("no answer"))
        for _ in range(3):
            restarts.pause_after(WORKER_DIED)
            isolated.append(restarts.isolate)
        publish.batches += 1
    assert isolated == [False, True, True, True, True, True]
    for _ in range(3):
        restarts.pause_after(WORKER_DIED)
    with pytest.raises(QueryFailedError):
        restarts.pause_after(WORKER_DIED)


def test_what_a_start_does_not_mend_ends_the_job_at_once() -> None:
    """Whatever came before it."""
    for mishaps in itertools.product((StorageError("no answer"), WORKER_DIED), repeat=2):
        restarts, _ = _restarts()
        for mishap in mishaps:
            restarts.pause_after(mishap)
        with pytest.raises(QueryFailedError, match="disk full of errors"):
            restarts.pause_after(QueryFailedError("the query ended: disk full of errors"))


@pytest.mark.parametrize(
    "met",
    [
        "java.io.IOException: No space left on device", "java.io.IOException: Disk quota exceeded",
        "java.nio.file.FileSystemException: /nfs/checkpoint/offsets/7: Stale file handle",
        "java.io.IOException: Input/output error",
        "org.apache.hadoop.fs.s3a.AWSClientIOException: getFileStatus on s3a://b/c: Unable to execute HTTP request",
        "org.apache.hadoop.fs.s3a.AWSBadRequestException: put on c: The provided token has expired. (ExpiredToken)",
    ],
)  # fmt: skip
def test_what_java_meets_where_the_checkpoint_is_is_waited_for(met: str) -> None:
    """As long as it takes, like what the job's own Python meets there."""
    restarts, _ = _restarts()
    pauses = [restarts.pause_after(QueryFailedError(f"the query ended: {met}")) for _ in range(20)]
    assert (pauses[:3], pauses[-1], restarts.isolate) == ([2, 4, 8], 60, False)


SLOW = "org.apache.spark.SparkException: Python worker failed to connect back."


@pytest.mark.parametrize(
    "text",
    [
        SLOW,
        "java.io.EOFException",
        "Stream closed",
        'java.io.IOException: Cannot run program "python3": error=12, Cannot allocate memory',
        "ExecutorLostFailure (executor 3 exited caused by one of the running tasks) Reason: heartbeat timed out",
        "FetchFailed(BlockManagerId(2, node-2, 7337, None), shuffleId=1, mapId=7, reduceId=0)",
        "java.net.NoRouteToHostException: No route to host",
        "java.io.IOException: No space left on device",
    ],
)
def test_what_a_busy_or_broken_node_does_is_waited_for(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """It says nothing of the batch, however often it comes; the line names it and what to do."""
    restarts, _ = _restarts()
    pauses = [restarts.pause_after(QueryFailedError(f"the query ended: {text}")) for _ in range(50)]
    assert pauses[:7] == [2, 4, 8, 16, 32, 60, 60]
    (told,) = [record.getMessage() for record in caplog.records]  # the next lines are due later
    assert told.startswith("waiting for ")
    assert told.count("?") + told.count("df -h") >= 1


def test_a_wait_is_over_with_the_next_batch(caplog: pytest.LogCaptureFixture) -> None:
    """And said to be over, once."""
    restarts, publish = _restarts()
    restarts.pause_after(QueryFailedError(SLOW))
    publish.batches += 1
    for _ in range(2):
        restarts.look()
    assert [record.getMessage().partition(" is back")[1] for record in caplog.records] == ["", " is back"]
    assert restarts.pause_after(QueryFailedError(SLOW)) == 2


@pytest.mark.parametrize(
    "text", ["java.io.IOException: Too many open files", "java.net.BindException: Cannot assign requested address"]
)
def test_what_leaks_is_worth_a_few_starts_and_told_as_such(text: str, caplog: pytest.LogCaptureFixture) -> None:
    """Then the job ends: a new process has what this one lacks."""
    restarts, _ = _restarts()
    for _ in range(3):
        restarts.pause_after(QueryFailedError(text))
    with pytest.raises(QueryFailedError):
        restarts.pause_after(QueryFailedError(text))
    assert "start the job again" in caplog.messages[0]


def test_an_error_of_ours_in_a_worker_ends_the_job_at_once() -> None:
    """Whatever else is in Spark's text, which quotes the whole stack."""
    restarts, _ = _restarts()
    text = "Connection reset\nstreaming.errors.CheckpointError: batch 7 lists other drops\nFetchFailed"
    with pytest.raises(QueryFailedError):
        restarts.pause_after(QueryFailedError(text))
    assert signs_in(text) == ["streaming.errors.CheckpointError"]
    assert restarts.pause_after(QueryFailedError("streaming.errors.StorageError: no answer")) == 2


def test_slow_workers_are_no_sign_of_a_poison_drop() -> None:
    """Only a parser that dies is: parsing in processes of their own costs time."""
    restarts, _ = _restarts()
    for _ in range(5):
        restarts.pause_after(QueryFailedError(SLOW))
    assert not restarts.isolate


class Query:
    """One that ended with what it told, or goes on."""

    def __init__(self, told: str | None = None) -> None:
        self.isActive = told is not None and told == ""
        self._told = told

    def exception(self) -> str | None:
        return self._told

    def stop(self) -> None:
        self.isActive = False


GOES_ON = ""


def _supervised(
    monkeypatch: pytest.MonkeyPatch,
    fates: list[str | Exception],
    *,
    error: Exception | None = None,
    stop: Stop | None = None,
    pause: float = 0.001,
) -> tuple[list[bool], Callable[[], None]]:
    """The starts, each with whether it was told to stop by then; and what supervises queries that have these fates."""
    monkeypatch.setattr(supervision, "_RESTART_PAUSE_SECONDS", pause)
    monkeypatch.setattr(supervision, "_LOOK_SECONDS", 0.001)
    ends, starts = stop or Stop(), []
    publish: Any = SimpleNamespace(batches=0, error=error)

    def start(_isolate: bool) -> Any:  # noqa: FBT001 - as `supervise` has it
        starts.append(ends.is_set())
        fate = fates[min(len(starts), len(fates)) - 1]
        if isinstance(fate, Exception):
            raise fate
        if fate == GOES_ON:
            ends.set()
        return Query(fate)

    def run() -> None:
        supervise(
            start,
            isolate=False,
            publish=publish,
            followers=[],
            superseded=lambda: None,
            drained=lambda: False,
            stop=ends,
            spark_log=Path("spark.log"),
        )

    return starts, run


def test_a_start_that_spark_refuses_is_tried_again_as_the_end_of_a_query_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its planner was killed: once that ended the job with a stack trace. What a start cannot mend still ends it."""
    refused = RuntimeError("An error occurred while calling o1.load.\n: java.io.IOException: Stream closed")
    starts, run = _supervised(monkeypatch, [NO_ANSWER, refused, refused, GOES_ON])
    run()
    assert len(starts) == 4
    _, run = _supervised(monkeypatch, [NO_ANSWER, RuntimeError("no such column")])
    with pytest.raises(QueryFailedError, match="no such column"):
        run()


def test_a_storage_that_is_still_away_at_the_next_start_is_waited_for_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A start itself reads the checkpoint."""
    away = StorageError("cannot list s3://state/checkpoint/offsets: no answer")
    starts, run = _supervised(monkeypatch, [NO_ANSWER, away, away, NO_ANSWER, GOES_ON])
    run()
    assert len(starts) == 5


def test_an_error_of_an_earlier_batch_hides_no_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The storage failed while a batch was published; the next query ends for good before it publishes anything."""
    starts, run = _supervised(monkeypatch, [NO_ANSWER, "STATE_STORE_CORRUPT"], error=StorageError("no answer"))
    with pytest.raises(QueryFailedError, match="STATE_STORE_CORRUPT"):
        run()
    assert len(starts) == 2


def test_nothing_is_started_once_the_job_is_told_to_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pause may be long."""
    stop = Stop()
    starts, run = _supervised(monkeypatch, [NO_ANSWER], stop=stop, pause=30.0)
    threading.Timer(0.2, stop.set).start()
    run()
    assert starts == [False]
