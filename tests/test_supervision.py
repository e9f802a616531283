"""Which mishaps of the query are worth another start, after which pause, and how."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import pytest

from streaming.errors import StorageError
from streaming.supervision import QueryFailedError, _Restarts

WORKER_DIED = QueryFailedError("the query ended: Python worker exited unexpectedly")


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
    """Until a batch is published: what comes then is another mishap."""
    restarts, publish = _restarts()
    isolated = []
    for _ in range(2):
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
