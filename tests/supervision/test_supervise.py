"""Queries that end are started again until the job is told to stop; without Spark."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.errors import StorageError
from streaming.supervision import restarts
from streaming.supervision import supervise as supervision
from streaming.supervision.mishaps import QueryFailedError
from streaming.supervision.stopping import Stop
from streaming.supervision.supervise import supervise

if TYPE_CHECKING:
    from collections.abc import Callable
NO_ANSWER = "streaming.errors.StorageError: no answer"


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
    monkeypatch.setattr(restarts, "_FIRST_PAUSE_SECONDS", pause)
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
    """A planner that was killed does not end the job (once it did), but what a start cannot mend still does."""
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
