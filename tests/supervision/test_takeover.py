"""A start beside another job: who is asked, and by what it is seen."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from streaming.home.running import Job
from streaming.supervision import takeover
from streaming.supervision.takeover import OtherJobError, refuse_beside

if TYPE_CHECKING:
    from collections.abc import Callable

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(("alive", "word"), [(True, "runs"), (None, "may run")])
def test_a_job_that_may_run_is_named_with_the_way_out(alive: bool | None, word: str) -> None:  # noqa: FBT001
    """Process, host, since when, by what it is seen, and what to type."""
    other = Job(alive, "it uses its sessions", process_id=12, host="node-1", started_at=SINCE)
    said = rf"another job {word} on this database: process 12 on node-1 since 2026-01-02 03:04:05 UTC .*--take-over"
    with pytest.raises(OtherJobError, match=said):
        refuse_beside(other)


@pytest.mark.parametrize("other", [None, Job(alive=False, why="its process is not on this machine")])
def test_a_job_that_has_ended_is_in_nobodys_way(other: Job | None) -> None:
    """Also one that was killed and said nothing."""
    refuse_beside(other)


@pytest.mark.parametrize(
    ("stdin", "stderr", "gateway", "asked"),
    [(True, True, None, True), (False, True, None, False), (True, False, None, True), (True, True, "1", False)],
)
def test_only_a_person_at_a_terminal_is_asked(
    stdin: bool,  # noqa: FBT001 - columns of the table
    stderr: bool,  # noqa: FBT001
    gateway: str | None,
    asked: bool,  # noqa: FBT001
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Also one who keeps the log; a service manager and spark-submit start a job to replace a dead one."""

    def terminal(yes: bool) -> Callable[[], bool]:  # noqa: FBT001 - the one fact of a stream
        return lambda: yes

    monkeypatch.setattr("sys.stdin.isatty", terminal(stdin), raising=False)
    monkeypatch.setattr("sys.stderr.isatty", terminal(stderr), raising=False)
    monkeypatch.delenv("PYSPARK_GATEWAY_PORT", raising=False)
    if gateway:
        monkeypatch.setenv("PYSPARK_GATEWAY_PORT", gateway)
    assert takeover.started_by_a_person() is asked
