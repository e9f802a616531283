"""The thread that follows the batches to their receipts: what holds it up, and what does not; without a database."""

from __future__ import annotations

import contextlib
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from streaming.checkpoint import Checkpoint
from streaming.draining import Drained
from streaming.errors import StorageError
from streaming.receipts import ReceiptWriter
from streaming.settings import load
from streaming.storage import open_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pytest

DEADLINE = 60.0


class NoReceipts:
    """A database whose outbox is always empty."""

    def run(self, _work: Any) -> list[Any]:
        return []


@contextlib.contextmanager
def _following(checkpoint: Any) -> Iterator[ReceiptWriter]:
    stop = threading.Event()
    writer = ReceiptWriter(NoReceipts(), 1, checkpoint, SimpleNamespace(move=False, receipts=None), stop)
    writer.start()
    try:
        yield writer
    finally:
        stop.set()
        writer.join(DEADLINE)


def _done(writer: ReceiptWriter, batch_id: int) -> bool:
    end = time.monotonic() + DEADLINE
    while writer.done < batch_id and writer.error is None and time.monotonic() < end:
        time.sleep(0.01)
    return writer.error is None and writer.done == batch_id


def test_drops_of_one_batch_never_get_the_same_name(tmp_path: Path) -> None:
    """Two versions of a key and a file that is called as the second one would be; nor one that was chosen before."""
    place = open_place(str(tmp_path / "success"))
    checkpoint = Checkpoint(str(tmp_path), "id", 2, text_ids=False)
    to: Any = SimpleNamespace(move=True, receipts=None, success=place, failed=open_place(str(tmp_path / "failed")))
    writer = ReceiptWriter(NoReceipts(), 1, checkpoint, to, threading.Event())
    rows: Any = [
        SimpleNamespace(seq=seq, key=key, fate=fate, moved_to=moved_to)
        for seq, key, fate, moved_to in (
            (5, "a.7.csv", "success", None), (6, "a.csv", "success", None), (7, "a.csv", "success", None),
            (8, "a.csv", "failed", None), (9, "b.csv", "success", None), (10, "x.csv", "success", "b.csv"),
        )
    ]  # fmt: skip
    names = {5: "a.7.csv", 6: "a.csv", 7: "a.7-2.csv", 8: "a.csv", 9: "b.9.csv", 10: "b.csv"}
    assert writer._names(rows) == names  # noqa: SLF001 - before anything is moved


class HardToSee(Checkpoint):
    """Its storage does not answer at first."""

    looks = 0

    def is_committed(self, _batch_id: int) -> bool:
        self.looks += 1
        if self.looks == 1:
            msg = "no answer"
            raise StorageError(msg)
        return True


def test_a_checkpoint_that_cannot_be_looked_at_for_a_moment_ends_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether Spark has committed a batch is asked again."""
    monkeypatch.setattr("streaming.receipts._RETRY_SECONDS", 0.01)
    with _following(HardToSee(str(tmp_path), "id", 2, text_ids=False)) as writer:
        writer.published(0)
        assert _done(writer, 0), writer.error
    assert [record.getMessage() for record in caplog.records] == [
        "whether batch 0 is committed is not known: no answer"
    ]


def test_receipts_that_were_held_up_for_longer_than_spark_keeps_its_commits_still_come(tmp_path: Path) -> None:
    """It keeps the last 100; a batch that is published says that those before it are committed."""
    (tmp_path / "commits").mkdir()
    for batch_id in range(50, 151):
        (tmp_path / "commits" / str(batch_id)).write_text("v1\n{}")
    with _following(Checkpoint(str(tmp_path), "id", 2, text_ids=False)) as writer:
        writer._done = 20  # noqa: SLF001 - as far as it had come when it was held up
        writer.published(150)
        assert _done(writer, 150), writer.error


def test_a_checkpoint_that_cannot_be_looked_at_for_a_moment_does_not_end_a_job_that_drains(tmp_path: Path) -> None:
    """It is not known yet whether all is done."""
    (tmp_path / "input").mkdir()

    answers: list[bool | StorageError] = [StorageError("no answer"), False]

    def is_open() -> bool:
        answer = answers.pop(0)
        if isinstance(answer, StorageError):
            raise answer
        return answer

    checkpoint: Any = SimpleNamespace(is_open=is_open)
    idle: Any = SimpleNamespace(delivering=True, idle=True)
    drained = Drained(load(home=tmp_path), checkpoint, NoReceipts(), idle, None)
    assert not drained()
    drained._next_look = 0.0  # noqa: SLF001 - it looks four times a second
    assert drained()
