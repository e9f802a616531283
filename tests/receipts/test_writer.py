"""The thread that follows the batches to their receipts: what holds it up, and what does not; without a database."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, BinaryIO

import pytest

from streaming.checkpoint.checkpoint import Checkpoint
from streaming.errors import SettingsError, StockETLError, StorageError, UnreadableDropError
from streaming.ledger.outbox import Receipt
from streaming.receipts import moves
from streaming.receipts.writer import ReceiptWriter
from streaming.settings import load
from streaming.storage.folder import Folder
from streaming.storage.locations import open_place
from streaming.supervision.drained import Drained

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streaming.storage.place import Version

DEADLINE = 60.0


class NoReceipts:
    """A database whose outbox is always empty."""

    def run(self, _work: Any) -> list[Any]:
        return []


@contextlib.contextmanager
def _following(checkpoint: Any, outbox: Any = None, retention: Any = None) -> Iterator[ReceiptWriter]:
    stop, to = threading.Event(), SimpleNamespace(move=False, receipts=None)
    writer = ReceiptWriter(outbox or NoReceipts(), 1, checkpoint, to, stop, retention=retention)  # type: ignore[arg-type]
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
    assert writer._delivery._names(rows) == (names, {})  # noqa: SLF001 - before anything is moved


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
    monkeypatch.setattr("streaming.receipts.writer.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("streaming.receipts.delivery.RETRY_SECONDS", 0.01)
    with _following(HardToSee(str(tmp_path), "id", 2, text_ids=False)) as writer:
        writer.published(0)
        assert _done(writer, 0), writer.error
    told = [record.getMessage() for record in caplog.records]
    told_first = f"waiting for the checkpoint {tmp_path}, nothing is lost: whether batch 0 is committed is not known: "
    assert told[0] == f"{told_first}no answer"
    assert "is back after" in told[1]


class Outbox:
    """A ledger with these finished drops, whose statements are done here."""

    def __init__(self, *rows: Receipt) -> None:
        self.rows = {row.seq: row for row in rows}
        self.moved: list[int] = []

    def run(self, work: Callable[[Any], Any]) -> Any:
        return work(self)

    def attach(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Takes the place of the ledger's functions."""
        does = {
            "unmoved": lambda *_: [row for seq, row in self.rows.items() if seq not in self.moved],
            "unwritten_receipts": lambda *_: [],
            "move_intended": lambda _, seq, name: self.rows.update({seq: replace(self.rows[seq], moved_to=name)}),
            "moved": lambda _, seq: self.moved.append(seq),
        }
        for name, function in does.items():
            monkeypatch.setattr(f"streaming.ledger.outbox.{name}", function)
        monkeypatch.setattr("streaming.ledger.writer.check_epoch", lambda *_: None)


def _lying(folder: Path, fates: dict[str, str]) -> list[Receipt]:
    """A claimed file for each key, seq from 1, and its finished drop."""
    place, rows = open_place(str(folder)), []
    for key in fates:
        (folder / key).write_bytes(key.encode())
    for seq, version in enumerate(sorted(place.versions(), key=lambda version: version.key), start=1):
        place.claim(version, seq)
        rows.append(Receipt(seq, version.key, fates[version.key], {}, version, None))
    return rows


def _eventually(condition: Callable[[], object], writer: ReceiptWriter) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert writer.error is None, writer.error
        assert time.monotonic() < end
        time.sleep(0.01)


@pytest.mark.parametrize("error", [SettingsError("AccessDenied"), StorageError("taken"), UnreadableDropError("theirs")])
def test_a_file_that_may_not_be_moved_holds_up_no_other(
    error: StockETLError, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Others of its batch and later ones are moved; it is told, tried again, and moved once that is possible."""
    monkeypatch.setattr("streaming.receipts.writer.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("streaming.receipts.delivery.RETRY_SECONDS", 0.01)
    for name in ("in", "success", "failed"):
        (tmp_path / name).mkdir()
    rows = _lying(tmp_path / "in", dict.fromkeys(("a.csv", "b.csv", "c.csv", "d.csv"), "success") | {"e.csv": "failed"})
    outbox = Outbox(*rows[:3], rows[4])
    outbox.attach(monkeypatch)
    refused, move = {"a.csv", "e.csv"}, moves.move

    def moving(source: Any, version: Version, *rest: Any) -> bool:
        if version.key in refused:
            raise error
        return move(source, version, *rest)

    monkeypatch.setattr("streaming.receipts.moves.move", moving)
    places = {name: open_place(str(tmp_path / name)) for name in ("in", "success", "failed")}
    to = SimpleNamespace(move=True, receipts=None, input=places["in"], **{n: places[n] for n in ("success", "failed")})
    stop, checkpoint = threading.Event(), Checkpoint(str(tmp_path / "checkpoint"), "id", 2, text_ids=False)
    writer = ReceiptWriter(outbox, 1, checkpoint, to, stop)
    monkeypatch.setattr(writer, "_is_committed", lambda _: True)
    writer.start()
    try:
        writer.published(0)
        _eventually(lambda: outbox.moved == [2, 3], writer)
        outbox.rows[4] = rows[3]
        writer.published(1)
        _eventually(lambda: outbox.moved == [2, 3, 4] and writer.done == 1, writer)
        assert writer.idle is not isinstance(error, StorageError)
        assert {key for key, _, _ in writer.refused} == (set() if isinstance(error, StorageError) else refused)
        refused.clear()
        _eventually(lambda: sorted(outbox.moved) == [1, 2, 3, 4, 5] and writer.idle, writer)
    finally:
        stop.set()
        writer.join(DEADLINE)
    assert (places["success"].keys(), places["failed"].keys()) == (["a.csv", "b.csv", "c.csv", "d.csv"], ["e.csv"])
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == (
        f"waiting for the move of files, nothing is lost: drop 1 (2 files in all): {error}. "
        "The others are moved meanwhile."
    )
    assert told[-1].startswith("the move of files is back")


def test_a_target_that_does_not_answer_holds_up_the_other_one_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No name can be given there now; files of the other fate are moved."""
    (tmp_path / "in").mkdir()
    rows = _lying(tmp_path / "in", {"a.csv": "failed", "b.csv": "success"})
    outbox = Outbox(*rows)
    outbox.attach(monkeypatch)
    success, failed = open_place(str(tmp_path / "success")), open_place(str(tmp_path / "failed"))

    def away(_key: str) -> bool:
        msg = "no answer"
        raise StorageError(msg)

    monkeypatch.setattr(failed, "free", away)
    to: Any = SimpleNamespace(move=True, input=open_place(str(tmp_path / "in")), success=success, failed=failed)
    checkpoint = Checkpoint(str(tmp_path), "id", 2, text_ids=False)
    writer = ReceiptWriter(outbox, 1, checkpoint, to, threading.Event())
    writer._delivery.move(0)  # noqa: SLF001 - one round
    assert (outbox.moved, success.keys(), writer.idle) == ([2], ["b.csv"], False)
    writer._delivery.close()  # noqa: SLF001 - as its thread does at its end


def test_receipts_wait_for_a_place_that_refuses_them_meanwhile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its check at the start was answered: a right that was taken away may be given back, and ends no job."""
    monkeypatch.setattr("streaming.receipts.writer.RETRY_SECONDS", 0.01)
    monkeypatch.setattr("streaming.receipts.delivery.RETRY_SECONDS", 0.01)
    outbox = Outbox()
    outbox.attach(monkeypatch)
    answers: list[Any] = [SettingsError("AccessDenied"), StorageError("no answer"), []]

    def answered(*_: Any) -> Any:
        answer = answers.pop(0) if answers else []
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr("streaming.ledger.outbox.unwritten_receipts", answered)
    with _following(Checkpoint(str(tmp_path), "id", 2, text_ids=False), outbox) as writer:
        _eventually(lambda: writer.delivering, writer)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == ("waiting for the place of the receipts, nothing is lost: receipts of batch -1: AccessDenied")


def test_receipts_that_were_held_up_for_longer_than_spark_keeps_its_commits_still_come(tmp_path: Path) -> None:
    """It keeps the last 100; a batch that is published says that those before it are committed."""
    (tmp_path / "commits").mkdir()
    for batch_id in range(50, 151):
        (tmp_path / "commits" / str(batch_id)).write_text("v1\n{}")
    with _following(Checkpoint(str(tmp_path), "id", 2, text_ids=False)) as writer:
        writer._done = 20  # noqa: SLF001 - as far as it had come when it was held up
        writer.published(150)
        assert _done(writer, 150), writer.error


def test_what_is_old_is_looked_for_though_drops_follow_each_other_without_a_pause(tmp_path: Path) -> None:
    """It used to wait for a second in which nothing came."""
    asked: list[bool] = []

    class Busy(Checkpoint):
        """Its next batch is published soon after the last one was committed."""

        def is_committed(self, batch_id: int) -> bool:
            threading.Timer(0.05, writer.published, [batch_id + 1]).start()
            return True

    retention: Any = SimpleNamespace(step=lambda *_, quiet: asked.append(quiet))
    with _following(Busy(str(tmp_path), "id", 2, text_ids=False), retention=retention) as writer:
        writer.published(0)
        _eventually(lambda: asked.count(False) > 3, writer)


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
    idle: Any = SimpleNamespace(delivering=True, idle=True, refused=frozenset())
    drained = Drained(load(home=tmp_path), checkpoint, NoReceipts(), idle, None)
    assert not drained()
    drained._next_look = 0.0  # noqa: SLF001 - it looks four times a second
    assert drained()


class Locked(Folder):
    """A folder in which some files may not be read."""

    locked = frozenset({"b.csv", "c.csv"})

    def open(self, version: Version, seq: int | None) -> BinaryIO:
        if version.key in self.locked:
            msg = f"cannot read {version.key!r} in {self.url}: Permission denied (EACCES)"
            raise StorageError(msg)
        return super().open(version, seq)


def test_a_job_that_drains_leaves_what_may_not_be_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It ends once the rest is moved, and says once what it leaves; a file that can be read again is waited for."""
    (tmp_path / "input").mkdir()
    for name in ("a.csv", "b.csv", "c.csv"):
        (tmp_path / "input" / name).write_bytes(b"x")
    monkeypatch.setattr("streaming.supervision.drained.open_place", Locked)
    checkpoint: Any = SimpleNamespace(is_open=lambda: False)
    idle: Any = SimpleNamespace(delivering=True, idle=True, refused=frozenset())
    drained = Drained(load(home=tmp_path), checkpoint, NoReceipts(), idle, None)

    def looks() -> bool:
        drained._next_look = 0.0  # noqa: SLF001 - as above
        return drained()

    assert not looks()
    (tmp_path / "input" / "a.csv").unlink()
    assert (looks(), looks()) == (True, True)
    told = f"'b.csv' in {tmp_path}/input: Permission denied (EACCES) (and 1 more)"
    assert caplog.messages == [f"left in the input, for the next run: cannot read {told}"]
    monkeypatch.setattr(Locked, "locked", frozenset({"b.csv"}))
    assert not looks()
