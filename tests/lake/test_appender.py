"""The way from a published batch to the lake: nothing twice, nothing lost, whatever fails."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from streaming.checkpoint.checkpoint import open_checkpoint
from streaming.errors import CheckpointError, StorageError, SupersededError
from streaming.lake import appender as lake_appender
from streaming.lake import keeping as lake_keeping
from streaming.lake import outbox as lake_outbox
from streaming.lake import rows as lake_files
from streaming.lake.appender import LakeAppender
from streaming.lake.keeping import LakeKeeping
from streaming.lake.rows import outbox_of
from streaming.storage.locations import open_place
from streaming.storage.place import discard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.storage.place import Place

DEADLINE = 30.0


class DeltaLike:
    """Reads what it is given, leaves out batches up to the last one that it has, as Delta does by `txnVersion`."""

    def __init__(self) -> None:
        self.appends: list[tuple[int, list[int]]] = []
        self.superseded: list[int] = []
        self.failures = 0
        self.fails_after_append = False
        self.compacted: list[tuple[str, int]] = []
        self.compaction_fails = False

    def append(self, batch_id: int, files: dict[str, list[str]]) -> None:
        if self.failures and not self.fails_after_append:
            self.failures -= 1
            raise ConnectionRefusedError
        if batch_id > max((last for last, _ in self.appends), default=-1):
            seqs = [seq for file in files["ticks"] for seq in pq.read_table(file).column("seq").to_pylist()]
            self.appends.append((batch_id, seqs))
        if self.failures:
            self.failures -= 1
            raise ConnectionResetError

    def forget_superseded(self, seq: int) -> None:
        self.superseded.append(seq)

    def compact(self, name: str) -> None:
        self.compacted.append((name, len(self.appends)))
        if self.compaction_fails:
            raise ConnectionRefusedError

    def clean(self, *_: object) -> None:
        raise AssertionError

    @property
    def seqs(self) -> list[int]:
        return [seq for _, seqs in self.appends for seq in seqs]


@pytest.fixture
def checkpoint(tmp_path: Path) -> Checkpoint:
    return open_checkpoint(str(tmp_path / "checkpoint"), buckets=1, text_ids=False)


@contextlib.contextmanager
def running(
    lake: DeltaLike,
    checkpoint: Checkpoint,
    still_writer: Callable[[], None] = int,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[LakeAppender]:
    stop = threading.Event()
    keeping = LakeKeeping(lake, f"{checkpoint.url}-lake", retention=None, clock=clock)
    outbox = LakeAppender(lake, keeping, checkpoint, still_writer, stop)
    try:
        yield outbox
    finally:
        stop.set()
        if outbox.ident is not None:
            outbox.join(DEADLINE)


def put(outbox: LakeAppender, batch_id: int, superseded: set[int] | None = None) -> None:
    """A batch with one tick, whose seq is its own id."""
    outbox.put(batch_id, {"ticks": pa.table({"seq": [batch_id]})}, superseded=superseded or set(), files=[])


def wait_for(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.01)


def drain(outbox: LakeAppender) -> None:
    outbox.start()
    wait_for(lambda: outbox.idle)


def left(checkpoint: Checkpoint) -> list[str]:
    return open_place(outbox_of(checkpoint.url)).keys()


def test_batches_that_wait_go_together_in_order(checkpoint: Checkpoint) -> None:
    """One append for all that are certainly new, and then nothing is left."""
    lake = DeltaLike()
    with running(lake, checkpoint) as outbox:
        for batch_id in (0, 1, 2):
            put(outbox, batch_id, superseded={7} if batch_id == 1 else None)
        drain(outbox)
    assert lake.appends == [(2, [0, 1, 2])]
    assert lake.superseded == [7]
    assert left(checkpoint) == []


def test_what_a_crash_left_is_appended_one_batch_at_a_time(checkpoint: Checkpoint) -> None:
    """Delta may have the first of them already: together with the second it would be there twice."""
    lake = DeltaLike()
    with running(lake, checkpoint) as outbox:
        put(outbox, 0)
        put(outbox, 1)
    for batch_id in (0, 1):  # what the crashed job had planned
        open_place(checkpoint.url).put(f"offsets/{batch_id}", b"")
    lake.appends.append((0, [0]))
    with running(lake, checkpoint) as outbox:
        put(outbox, 1)  # the replay of the open batch
        put(outbox, 2)
        drain(outbox)
    assert lake.appends == [(0, [0]), (1, [1]), (2, [2])]
    assert left(checkpoint) == []


def test_what_cannot_be_removed_from_the_outbox_for_a_moment_is_removed_later_and_not_appended_again(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The storage of the checkpoint fails just after the append."""
    lake, refused = DeltaLike(), []

    def discard_later(place: Place, key: str) -> None:
        refused.append(key)
        if len(refused) == 1:
            msg = "SlowDown"
            raise StorageError(msg)
        discard(place, key)

    monkeypatch.setattr(lake_outbox, "discard", discard_later)
    with running(lake, checkpoint) as outbox:
        put(outbox, 0)
        drain(outbox)
        assert outbox.error is None
    assert (lake.appends, left(checkpoint)) == ([(0, [0])], [])


@pytest.mark.parametrize("fails_after_append", [False, True], ids=["not appended", "answer lost"])
def test_a_failed_append_is_tried_again_and_adds_nothing_twice(
    checkpoint: Checkpoint, *, fails_after_append: bool
) -> None:
    """Whether Delta has the rows of the failed append or not."""
    lake = DeltaLike()
    lake.failures, lake.fails_after_append = 1, fails_after_append
    with running(lake, checkpoint) as outbox:
        put(outbox, 0)
        put(outbox, 1)
        drain(outbox)
        put(outbox, 2)
        wait_for(lambda: outbox.idle)
    assert lake.seqs == [0, 1, 2]
    assert left(checkpoint) == []


def test_a_replay_of_an_appended_batch_in_the_same_process_adds_nothing(checkpoint: Checkpoint) -> None:
    """The query was restarted after a mishap of a worker; the next batch must not bring the replayed one along."""
    lake = DeltaLike()
    with running(lake, checkpoint) as outbox:
        put(outbox, 0)
        drain(outbox)
        put(outbox, 0)
        wait_for(lambda: outbox.idle)
        put(outbox, 1)
        wait_for(lambda: outbox.idle)
    assert lake.appends == [(0, [0]), (1, [1])]


def test_a_replayed_batch_that_waits_with_a_newer_one_is_not_appended_along_with_it(checkpoint: Checkpoint) -> None:
    """Both were put before the thread looked: an append of the two would hold the first one twice."""
    lake = DeltaLike()
    with running(lake, checkpoint) as outbox:
        put(outbox, 0)
        drain(outbox)
        with outbox.batch_under_way():
            put(outbox, 0)
            put(outbox, 1)
        wait_for(lambda: outbox.idle)
    assert lake.appends == [(0, [0]), (1, [1])]


def test_files_that_the_workers_wrote_are_appended_too(checkpoint: Checkpoint) -> None:
    """Many ticks do not pass the driver: it gets the name of their file."""
    lake = DeltaLike()
    with running(lake, checkpoint) as outbox:
        file = lake_files.write(open_place(outbox_of(checkpoint.url)), "ticks-1", 5, pa.table({"seq": [11, 12]}))
        assert (file.key, file.rows) == ("5-ticks-1.parquet", 2)
        outbox.put(5, {"ticks": pa.table({"seq": [13]})}, superseded=set(), files=[file])
        drain(outbox)
    assert lake.appends == [(5, [11, 12, 13])]
    assert left(checkpoint) == []


def test_nothing_is_appended_while_a_batch_is_under_way(checkpoint: Checkpoint) -> None:
    """It would take a core from it; the rows follow once it has ended."""
    lake = DeltaLike()
    with running(lake, checkpoint) as outbox:
        outbox.start()
        with outbox.batch_under_way():
            put(outbox, 0)
            assert not threading.Event().wait(0.6)  # six looks of the thread
            assert lake.appends == []
            put(outbox, 1)
        wait_for(lambda: outbox.idle)
    assert lake.appends == [(1, [0, 1])]


def test_under_way_without_a_pause_no_batch_waits_longer_than_the_limit(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are: each append takes some, and those that are left have waited as long."""
    lake, clock = DeltaLike(), SimpleNamespace(now=0.0)
    monkeypatch.setattr(lake_appender, "time", SimpleNamespace(monotonic=lambda: clock.now))
    monkeypatch.setattr(lake_appender, "_BATCHES_AT_ONCE", 2)
    with running(lake, checkpoint) as outbox, outbox.batch_under_way():
        for batch_id in range(5):
            put(outbox, batch_id)
        clock.now = 10.0
        put(outbox, 5)
        outbox.start()
        clock.now = 31.0
        wait_for(lambda: lake.appends == [(1, [0, 1]), (3, [2, 3]), (5, [4, 5])])


def test_the_lake_is_looked_at_though_no_moment_is_quiet(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an earlier process has left is joined, even if this one has never been idle."""
    lake, clock = DeltaLike(), SimpleNamespace(now=0.0)
    monkeypatch.setattr(lake_appender, "time", SimpleNamespace(monotonic=lambda: clock.now))
    open_place(f"{checkpoint.url}-lake").put("ticks/_delta_log/_last_checkpoint", b'{"version": 400}')
    with running(lake, checkpoint, clock=lambda: clock.now) as outbox, outbox.batch_under_way():
        put(outbox, 0)
        outbox.start()
        clock.now = 31.0
        wait_for(lambda: lake.seqs == [0])
        assert lake.compacted == []
        put(outbox, 1)
        clock.now = 62.0
        wait_for(lambda: lake.compacted)


def test_an_older_job_appends_nothing(checkpoint: Checkpoint) -> None:
    """A newer one has taken over and will bring the rows itself: they stay."""

    def superseded() -> None:
        msg = "a newer job took over"
        raise SupersededError(msg)

    lake = DeltaLike()
    with running(lake, checkpoint, superseded) as outbox:
        put(outbox, 0)
        outbox.start()
        wait_for(lambda: outbox.error)
        assert isinstance(outbox.error, SupersededError)
    assert lake.appends == []
    assert json.loads((open_place(outbox_of(checkpoint.url)).get("0.json") or b"").decode())["batch_id"] == 0


def test_a_compaction_that_fails_costs_no_append_and_sends_no_batch_alone(
    checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It was part of the append before, which then counted as failed and sent the next batches one by one."""
    monkeypatch.setattr(lake_keeping, "_COMMITS", 2)
    lake = DeltaLike()
    lake.compaction_fails = True
    with running(lake, checkpoint) as outbox:
        outbox.start()
        for batch_id in range(3):
            put(outbox, batch_id)
            wait_for(lambda: not left(checkpoint))
        with outbox.batch_under_way():
            put(outbox, 3)
            put(outbox, 4)
        wait_for(lambda: outbox.idle)
        assert outbox.error is None
    assert lake.appends == [(0, [0]), (1, [1]), (2, [2]), (4, [3, 4])]
    assert lake.compacted == [("ticks", 2)]
    assert "waiting for the lake's housekeeping" in caplog.text


def test_a_lake_that_is_away_is_told_with_what_to_do(checkpoint: Checkpoint, caplog: pytest.LogCaptureFixture) -> None:
    """How many batches wait and where, and when it is over."""
    lake = DeltaLike()
    lake.failures = 1
    with running(lake, checkpoint) as outbox:
        put(outbox, 0)
        drain(outbox)
    assert (
        f"waiting for the lake, nothing is lost: ConnectionRefusedError (1 batches are kept in {checkpoint.url}"
        in caplog.text
    )
    assert "may the job write there" in caplog.text
    assert "the lake is back after" in caplog.text


def test_the_lake_is_in_order_before_it_counts_as_idle(checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that is started every hour with --once ends only then: else nothing would ever be joined."""
    monkeypatch.setattr(lake_keeping, "_COMMITS", 3)
    lake = DeltaLike()
    for batch_id in range(4):
        with running(lake, checkpoint) as outbox:
            open_place(f"{checkpoint.url}-lake").put(
                "ticks/_delta_log/_last_checkpoint", json.dumps({"version": batch_id}).encode()
            )
            put(outbox, batch_id)
            drain(outbox)
    assert lake.compacted == [("ticks", 3)]


@pytest.mark.parametrize("damage", [b"", b'{"batch_id": 0, "fi', b"[]", b"\xff"])
def test_a_damaged_entry_is_named_unless_its_batch_will_be_put_again(checkpoint: Checkpoint, damage: bytes) -> None:
    """Rows that are in the tables would be missing in the lake; the open batch writes its own entry anew."""
    with running(DeltaLike(), checkpoint) as outbox:
        put(outbox, 0)
    open_place(outbox_of(checkpoint.url)).put("0.json", damage)
    open_place(checkpoint.url).put("offsets/0", b"")
    lake = DeltaLike()
    with running(lake, checkpoint) as outbox:
        drain(outbox)
    assert lake.appends == []
    open_place(checkpoint.url).put("commits/0", b"")
    with pytest.raises(CheckpointError, match=r"lake-outbox/0\.json cannot be read.*stocketl rebuild"):
        running(DeltaLike(), checkpoint).__enter__()


@pytest.mark.parametrize("damage", ["halved", "emptied", "deleted"])
def test_damaged_rows_end_the_job_with_their_name(checkpoint: Checkpoint, damage: str) -> None:
    """Waiting would not help, and would look like a lake that does not answer."""
    place = open_place(outbox_of(checkpoint.url))
    with running(DeltaLike(), checkpoint) as outbox:
        put(outbox, 0)
        data = place.get("0-ticks.parquet") or b""
        if damage == "deleted":
            discard(place, "0-ticks.parquet")
        else:
            place.put("0-ticks.parquet", data[: len(data) // 2] if damage == "halved" else b"")
        lake = DeltaLike()
        lake.failures = 1
        outbox._lake = lake  # noqa: SLF001 (Spark notices what this Delta does not)
        outbox.start()
        wait_for(lambda: outbox.error)
        assert isinstance(outbox.error, CheckpointError)
        assert "lake-outbox/0-ticks.parquet cannot be read" in str(outbox.error)
