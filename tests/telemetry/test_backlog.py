"""What waits in the input of a job that is not there, and who is told."""

from __future__ import annotations

import os
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from streaming.checkpoint.checkpoint import Checkpoint
from streaming.checkpoint.offset import EMPTY_OFFSET, Offset
from streaming.drops.admission import admit
from streaming.drops.options import Limits
from streaming.errors import StorageError
from streaming.settings import load
from streaming.storage.locations import open_place
from streaming.telemetry.backlog import Backlog, WaitingDrops

if TYPE_CHECKING:
    from pathlib import Path


class Told:
    """Metrics that remember, and stop the looking after so many flushes."""

    def __init__(self, stop: threading.Event, looks: int) -> None:
        self.waited: list[WaitingDrops] = []
        self.flushes = 0
        self._stop, self._looks = stop, looks

    def waiting(self, drops: int, oldest_seconds: float) -> None:
        self.waited.append(WaitingDrops(drops, oldest_seconds))

    def flush(self) -> None:
        self.flushes += 1
        if self.flushes >= self._looks:
            self._stop.set()


class OneBatchWithOneDrop:
    """A checkpoint whose batch 0 took what `place` held, and before it nothing."""

    def __init__(self, offset: Offset) -> None:
        self._offset = offset

    def offset(self, batch_id: int) -> Offset:
        assert batch_id == 0
        return self._offset


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """With an empty input."""
    (tmp_path / "input").mkdir()
    return tmp_path


def _file(folder: Path, name: str, age: float) -> None:
    path = folder / name
    path.write_bytes(b"x")
    modified = datetime.now(UTC).timestamp() - age
    os.utime(path, (modified, modified))


def _looked(home: Path, checkpoint: Any, committed: list[int]) -> tuple[Backlog, Told]:
    """After one look for each value of `committed`."""
    stop, left = threading.Event(), iter(committed)
    told = Told(stop, len(committed))
    settings = load(home=home, heartbeat_every="1ms", metrics="cloudwatch")
    backlog = Backlog(settings, checkpoint, committed=lambda: next(left), metrics=told, stop=stop)
    backlog.run()
    assert backlog.error is None
    return backlog, told


def test_it_tells_what_no_committed_batch_has_taken(home: Path) -> None:
    """Before the first batch both files wait, after it the one that came later."""
    _file(home / "input", "old.csv", 500)
    offset = admit(EMPTY_OFFSET, open_place(str(home / "input")), Limits(1 << 20, 1 << 20))
    _file(home / "input", "new.csv", 100)
    backlog, told = _looked(home, OneBatchWithOneDrop(offset), [-1, 0, 0])
    assert [seen.drops for seen in told.waited] == [2, 1, 1]
    assert all(at <= seen.oldest_seconds < at + 300 for seen, at in zip(told.waited, (500, 100, 100), strict=True))
    assert backlog.waiting == told.waited[-1]
    assert told.flushes == len(told.waited) + 1  # the last figures of a job that ends, too


def test_a_large_drop_that_goes_on_waits(home: Path) -> None:
    """It is admitted, but its receipt is still to come."""
    (home / "input" / "large.csv").write_bytes(b"date,id,price,trade_volume\n" * 10)
    offset = admit(EMPTY_OFFSET, open_place(str(home / "input")), Limits(100, 50))
    backlog, _ = _looked(home, OneBatchWithOneDrop(offset), [0])
    assert backlog.waiting == WaitingDrops(1, 0.0)


def test_a_look_that_fails_leaves_it_unknown(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """And ends nothing: the figures of the batches still go out."""

    class Unreadable:
        def offset(self, _batch_id: int) -> Offset:
            msg = "no answer"
            raise StorageError(msg)

    backlog, told = _looked(home, Unreadable(), [-1, 5])
    assert (told.waited, backlog.waiting, told.flushes) == ([WaitingDrops(0, 0.0)], None, 3)
    assert [record.getMessage() for record in caplog.records] == [
        "how many drops wait is not known this time: no answer"
    ]


def test_an_offset_that_spark_has_purged_leaves_it_unknown(home: Path) -> None:
    """Receipts were held up for more batches than it keeps: they come, and then it is known again."""
    (home / "checkpoint" / "offsets").mkdir(parents=True)
    backlog, told = _looked(home, Checkpoint(str(home / "checkpoint"), "id", 2, text_ids=False), [21])
    assert (backlog.waiting, told.waited) == (None, [])


def test_what_waiting_does_not_mend_is_kept_for_the_job(home: Path) -> None:
    """A checkpoint that is not the job's any more."""
    stop = threading.Event()
    stop.set()
    broken = Backlog(
        load(home=home),
        Checkpoint("nowhere", "id", 2, text_ids=False),
        committed=lambda: 1 // 0,
        metrics=Told(stop, 1),
        stop=stop,
    )
    broken.run()
    assert isinstance(broken.error, ZeroDivisionError)
