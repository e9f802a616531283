"""Which mishaps of the query are worth another start, after which pause, and how; without Spark."""

from __future__ import annotations

import itertools
import re
from types import SimpleNamespace
from typing import Any

import pytest

from streaming.errors import StorageError
from streaming.supervision.mishaps import QueryFailedError, mishap_of, signs_in
from streaming.supervision.restarts import Restarts

WORKER_DIED = QueryFailedError("the query ended: Python worker exited unexpectedly")


def _restarts() -> tuple[Restarts, Any]:
    publish: Any = SimpleNamespace(batches=0)
    return Restarts(publish, isolate=False), publish


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
    mishap = mishap_of(QueryFailedError(text))
    assert mishap is not None
    assert told.endswith(mishap.advice)


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
    assert re.search("start the job again|restart the job", caplog.messages[0])


def test_an_error_of_ours_in_a_worker_ends_the_job_at_once() -> None:
    """Whatever else is in Spark's text, which quotes the whole stack."""
    restarts, _ = _restarts()
    text = "Connection reset\nstreaming.errors.CheckpointError: batch 7 lists other drops\nFetchFailed"
    with pytest.raises(QueryFailedError):
        restarts.pause_after(QueryFailedError(text))
    assert signs_in(text) == ["streaming.errors.CheckpointError"]
    assert restarts.pause_after(QueryFailedError("streaming.errors.StorageError: no answer")) == 2


@pytest.mark.parametrize("sign", ["Python worker exited unexpectedly", "java.io.EOFException", "Stream closed"])
def test_a_parser_that_dies_twice_is_isolated(sign: str) -> None:
    """A task of Spark, or the source, which parses small batches itself."""
    restarts, _ = _restarts()
    restarts.pause_after(QueryFailedError(sign))
    assert not restarts.isolate
    restarts.pause_after(QueryFailedError(sign))
    assert restarts.isolate


def test_slow_workers_are_no_sign_of_a_poison_drop() -> None:
    """Only a parser that dies is: parsing in processes of their own costs time."""
    restarts, _ = _restarts()
    for _ in range(5):
        restarts.pause_after(QueryFailedError(SLOW))
    assert not restarts.isolate
