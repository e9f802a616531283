"""The heartbeat of a job that is not there: what it says, what it does not wait for, and the marker beside it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streaming import __version__
from streaming.descriptors import Descriptors
from streaming.storage.locations import open_place
from streaming.telemetry.backlog import WaitingDrops
from streaming.telemetry.heartbeat import Heartbeat

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pytest


def _beating(
    folder: Path, waiting: Callable[[], WaitingDrops | None], stop: threading.Event, every: float
) -> Heartbeat:
    place = open_place(str(folder))
    held = Descriptors("java 4 on a", 90, 100)
    return Heartbeat(place, every, 7, committed=lambda: 3, drops=waiting, held=lambda: held, stop=stop)


def test_it_says_what_was_seen_last_without_waiting_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also before the first look at the input has ended, as long as that may take."""
    monkeypatch.setenv("EMR_STEP_ID", "s-1")
    stop, seen, documents = threading.Event(), [None, WaitingDrops(2, 500.04)], []

    def next_seen() -> WaitingDrops | None:
        documents.extend(json.loads(path.read_bytes()) for path in tmp_path.glob("heartbeat.json"))
        if not seen:
            stop.set()
            return None
        return seen.pop(0)

    heart = _beating(tmp_path, next_seen, stop, 0.001)
    heart.run()
    assert heart.error is None
    for document, drops, oldest in zip(documents, (None, 2), (None, 500.0), strict=True):
        age = (datetime.now(UTC) - datetime.fromisoformat(document.pop("time"))).total_seconds()
        assert -1 <= age < 300
        told = {"waiting": drops, "oldest_waiting_seconds": oldest, "held_up": []}
        told["descriptors"] = {"process": "java 4 on a", "open": 90, "limit": 100}
        assert document == told | {"epoch": 7, "batch": 3, "version": __version__, "step": "s-1"}


def test_the_marker_stops_the_job(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An empty object named `stop` beside the heartbeat: seen at the next beat, and only if it is there."""
    caplog.set_level("INFO", "streaming")
    stop, beats = threading.Event(), []

    def at_third_beat() -> None:
        beats.append(stop.is_set())
        if len(beats) == 3:
            (tmp_path / "stop").touch()

    heart = _beating(tmp_path, at_third_beat, stop, 0.001)
    heart.run()
    assert (heart.error, stop.is_set(), beats) == (None, True, [False] * 3)
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}/stop is there: the job ends"]


def test_a_storage_that_does_not_answer_costs_a_beat_and_no_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder of the heartbeat is a file: nothing can be written there."""
    (tmp_path / "beats").write_text("in the way")
    stop = threading.Event()
    stop.set()
    heart = _beating(tmp_path / "beats", lambda: None, stop, 1.0)
    heart.run()
    assert heart.error is None
    assert {record.levelname for record in caplog.records} == {"WARNING"}
