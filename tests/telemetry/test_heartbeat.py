"""The heartbeat of a job that is not there: what it says, what it does not wait for, and the marker beside it."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from streaming import __version__
from streaming.descriptors import Descriptors
from streaming.storage.locations import open_place
from streaming.telemetry.backlog import WaitingDrops
from streaming.telemetry.heartbeat import Heartbeat, step_id

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


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


def test_an_older_job_ends_when_a_newer_one_beats(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """An orphaned driver looked alive until its next batch was refused; now it ends, and its beat is the other's."""
    stop = threading.Event()
    (tmp_path / "heartbeat.json").write_text(_beat_of(8, datetime.now(UTC) + timedelta(seconds=1)))
    _beating(tmp_path, lambda: None, stop, 0.001).run()
    assert (stop.is_set(), json.loads((tmp_path / "heartbeat.json").read_bytes())["epoch"]) == (True, 8)
    assert [record.getMessage() for record in caplog.records] == [
        "a newer job beats (epoch 8, this one 7): this one ends"
    ]


@pytest.mark.parametrize("there", ["older epoch", "of before", "garbage", "[]"])
def test_what_lies_there_from_before_ends_no_job(tmp_path: Path, there: str) -> None:
    """A database that was made anew counts its epochs from one again; the last beat of the old one may lie there."""
    now = datetime.now(UTC)
    known = {"older epoch": _beat_of(6, now), "of before": _beat_of(57, now - timedelta(minutes=1))}
    (tmp_path / "heartbeat.json").write_text(known.get(there, there))
    (tmp_path / "stop").touch()
    _beating(tmp_path, lambda: None, threading.Event(), 0.001).run()
    assert json.loads((tmp_path / "heartbeat.json").read_bytes())["epoch"] == 7


def _beat_of(epoch: int, time: datetime) -> str:
    return json.dumps({"epoch": epoch, "time": time.isoformat(timespec="seconds"), "step": "s-2"})


@pytest.mark.parametrize(
    ("folder", "variable", "found"),
    [
        ("steps/s-0ABC", "s-1", "s-1"),
        ("steps/s-0ABC", None, "s-0ABC"),
        ("steps/other", None, None),
        ("home/s-0ABC", None, None),
    ],
)
def test_the_step_is_known_by_its_working_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str, variable: str | None, found: str | None
) -> None:
    """The trigger must know whose heartbeat it reads, also where EMR sets no variable."""
    (tmp_path / folder).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / folder)
    if variable is None:
        monkeypatch.delenv("EMR_STEP_ID", raising=False)
    else:
        monkeypatch.setenv("EMR_STEP_ID", variable)
    assert step_id() == found


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
