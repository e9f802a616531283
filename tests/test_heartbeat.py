"""The heartbeat of a job that is not there: what it says of the input, and when it stops."""

from __future__ import annotations

import json
import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streaming import __version__
from streaming.admission import EMPTY_OFFSET, Limits, admit
from streaming.checkpoint import Checkpoint
from streaming.heartbeat import Heartbeat
from streaming.settings import load
from streaming.storage import open_place

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


class Told:
    """Metrics that remember."""

    def __init__(self) -> None:
        self.waited: list[tuple[int, float]] = []
        self.flushes = 0

    def waiting(self, drops: int, oldest_seconds: float) -> None:
        self.waited.append((drops, oldest_seconds))

    def flush(self) -> None:
        self.flushes += 1


class OneBatchWithOneDrop:
    """A checkpoint whose batch 0 took what `place` held, and before it nothing."""

    def __init__(self, offset: dict[str, Any]) -> None:
        self._offset = offset

    def offset(self, batch_id: int) -> dict[str, Any]:
        assert batch_id == 0
        return self._offset


def _file(folder: Path, name: str, age: float) -> None:
    path = folder / name
    path.write_bytes(b"x")
    modified = datetime.now(UTC).timestamp() - age
    os.utime(path, (modified, modified))


def _beats(home: Path, checkpoint: Any, committed: list[int], told: Told) -> list[Any]:
    """The documents of a heart that beats once for each value of `committed`."""
    settings = load(home=home, heartbeat=str(home / "beats"), heartbeat_every="1ms")
    stop, documents, left = threading.Event(), [], iter(committed)
    (home / "beats").mkdir()

    def next_committed() -> int:
        if (home / "beats" / "heartbeat.json").exists():
            documents.append(json.loads((home / "beats" / "heartbeat.json").read_bytes()))
        batch = next(left, None)
        if batch is None:
            stop.set()
            return committed[-1]
        return batch

    heart = Heartbeat(settings, checkpoint, 7, committed=next_committed, metrics=told, stop=stop)
    heart.start()
    heart.join(60)
    assert heart.error is None
    return documents


def test_it_tells_what_no_committed_batch_has_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the first batch both files wait, after it the one that came later."""
    (tmp_path / "input").mkdir()
    place = open_place(str(tmp_path / "input"))
    _file(tmp_path / "input", "old.csv", 500)
    offset = admit(EMPTY_OFFSET, place, Limits(1 << 20, 1 << 20))
    _file(tmp_path / "input", "new.csv", 100)
    monkeypatch.setenv("EMR_STEP_ID", "s-1")
    told = Told()
    first, second = _beats(tmp_path, OneBatchWithOneDrop(offset), [-1, 0], told)
    for document, batch, waiting, oldest in ((first, -1, 2, 500), (second, 0, 1, 100)):
        age = (datetime.now(UTC) - datetime.fromisoformat(document.pop("time"))).total_seconds()
        assert -1 <= age < 300
        assert oldest <= document.pop("oldest_waiting_seconds") < oldest + 300
        assert document == {"epoch": 7, "batch": batch, "waiting": waiting, "version": __version__, "step": "s-1"}
    assert [drops for drops, _ in told.waited] == [2, 1, 1]
    assert told.flushes == len(told.waited) + 1


def test_a_large_drop_that_goes_on_waits(tmp_path: Path) -> None:
    """It is admitted, but its receipt is still to come."""
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "large.csv").write_bytes(b"date,id,price,trade_volume\n" * 10)
    offset = admit(EMPTY_OFFSET, open_place(str(tmp_path / "input")), Limits(100, 50))
    (document,) = _beats(tmp_path, OneBatchWithOneDrop(offset), [0], Told())
    assert (document["waiting"], document["oldest_waiting_seconds"]) == (1, 0.0)


def test_a_storage_that_does_not_answer_costs_a_beat_and_no_job(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The folder of the heartbeat is a file: nothing can be written there."""
    (tmp_path / "input").mkdir()
    (tmp_path / "beats").write_text("in the way")
    settings = load(home=tmp_path, heartbeat=str(tmp_path / "beats"))
    stop = threading.Event()
    stop.set()
    told = Told()
    checkpoint = Checkpoint("nowhere", "id", 2, text_ids=False)
    heart = Heartbeat(settings, checkpoint, 1, committed=lambda: -1, metrics=told, stop=stop)
    heart.run()
    assert heart.error is None
    assert told.waited == [(0, 0.0)]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
