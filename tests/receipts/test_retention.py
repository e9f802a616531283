"""What ledger and receipts forget, and what they never forget."""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest
from ledger_rows import fact, query, record

from streaming.database.transactions import Transactions
from streaming.errors import SettingsError, StorageError, SupersededError
from streaming.ledger import writer
from streaming.ledger.outbox import receipt_name
from streaming.receipts import retention
from streaming.receipts.retention import Retention
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DAY = 86_400.0
KEPT = 90 * DAY
_SEQS = {
    "drops": "SELECT seq FROM stocketl.drops ORDER BY seq",
    "receipts": "SELECT seq FROM stocketl.receipts ORDER BY seq",
}


class Desk:
    """A ledger with drops, their receipts in a folder, and a retention that looks at a clock of the test."""

    def __init__(self, database: str, folder: Path) -> None:
        self.transactions = Transactions(database, threading.Event())
        self.place = open_place(str(folder))
        self.now = 0.0
        self.epoch = writer.take_over(database) if self.transactions.run(writer.create) is None else 0

    def drop(self, seq: int, *, moved: float | None, written: float | None = None, **what: Any) -> None:
        """A drop in a batch of its own; moved, written: days ago."""
        rejects = {seq: what.pop("rejects", [])}
        record(self.transactions.run, seq, [fact(seq, **what)], rejects=rejects)
        self.place.put(receipt_name(seq), b"{}")
        query(
            self.transactions.run,
            "UPDATE stocketl.receipts SET written_at = clock_timestamp() - make_interval(secs => %s),"
            " moved_at = clock_timestamp() - make_interval(secs => %s) WHERE seq = %s RETURNING seq",
            DAY * (written or moved or 0),
            None if moved is None else DAY * moved,
            seq,
        )

    def sweep(self, keep: float | None = KEPT, *, moves: bool = True, steps: int = 1) -> None:
        made = Retention(self.place, self.epoch, keep, moves=moves, clock=lambda: self.now)
        for _ in range(steps):
            made.step(self.transactions, receipt_name)

    @property
    def receipts(self) -> list[str]:
        return self.place.keys()

    def seqs(self, table: str) -> list[int]:
        return [seq for (seq,) in query(self.transactions.run, _SEQS[table])]


@pytest.fixture
def desk(database: str, tmp_path: Path) -> Iterator[Desk]:
    made = Desk(database, tmp_path / "receipts")
    with contextlib.closing(made.transactions):
        yield made


def test_by_default_every_drop_and_receipt_stays(desk: Desk) -> None:
    """Ten years old, loaded or failed."""
    desk.drop(1, moved=4000, loaded=1)
    desk.drop(2, moved=4000, failure="empty")
    desk.sweep(None)
    assert desk.receipts == ["000000001.json", "000000002.json"]
    assert desk.seqs("receipts") == [1, 2]


def test_old_receipts_go_and_the_order_of_the_files_stays(desk: Desk) -> None:
    """The first one stays too: by it a new checkpoint knows that the place is taken."""
    bad = {"rejected": 1, "rejects": [{"line": 2, "text": "x", "reason": "bad-price"}]}
    for seq, moved in ((1, 100), (2, 91), (3, 100), (4, 89), (5, None)):
        desk.drop(seq, moved=moved, written=100, loaded=1, **(bad if seq == 2 else {}))
    desk.sweep()
    assert desk.receipts == ["000000001.json", "000000004.json", "000000005.json"]
    assert desk.seqs("drops") == desk.seqs("receipts") == [1, 2, 3, 4, 5]
    (body,), *_ = query(desk.transactions.run, "SELECT body FROM stocketl.receipts WHERE seq = 2")
    assert "rejects" not in body
    assert body["reasons"] == {"bad-price": 1}


def test_what_failed_and_loaded_nothing_is_forgotten_as_a_whole(desk: Desk) -> None:
    """But not a drop of which rows are in the tables, nor the newest one, whose number must not be given again."""
    desk.drop(1, moved=1, loaded=1)
    desk.drop(2, moved=100, failure="empty")
    desk.drop(3, moved=100, loaded=5, failure="a part vanished")
    desk.drop(4, moved=100, failure="empty")
    desk.sweep()
    assert desk.seqs("drops") == desk.seqs("receipts") == [1, 3, 4]
    assert desk.receipts == ["000000001.json"]


def test_behind_a_monitor_only_what_it_has_done_goes(desk: Desk) -> None:
    """It moves files by the pending receipts: one that waits for a year stays, and is looked at again."""
    for seq in (1, 2, 3):
        desk.drop(seq, moved=None, written=365, loaded=1)
    desk.place.put("done/000000002.json", b"{}")
    (desk_pending,) = [key for key in desk.receipts if key == "000000002.json"]
    retention.discard(desk.place, desk_pending)
    desk.sweep(moves=False)
    assert desk.receipts == ["000000001.json", "000000003.json"]
    desk.place.put("done/000000003.json", b"{}")
    retention.discard(desk.place, "000000003.json")
    desk.sweep(moves=False)
    assert desk.receipts == ["000000001.json"]


def test_many_go_in_portions_over_steps_and_then_there_is_a_day_of_rest(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No new receipt waits for long, and an idle database is left alone."""
    monkeypatch.setattr(retention, "_RECEIPTS_AT_ONCE", 2)
    for seq in range(1, 7):
        desk.drop(seq, moved=100, loaded=1)
    ticking = itertools.count()
    made = Retention(desk.place, desk.epoch, KEPT, moves=True, clock=lambda: next(ticking))
    for left in (4, 2, 1):
        made.step(desk.transactions, receipt_name)
        assert len(desk.receipts) == left
    made = Retention(desk.place, desk.epoch, KEPT, moves=True, clock=lambda: desk.now)
    made.step(desk.transactions, receipt_name)
    desk.transactions.close()
    made.step(None, receipt_name)  # type: ignore[arg-type] - asks nobody
    desk.now += DAY + 1
    desk.drop(7, moved=100, loaded=1)
    made.step(desk.transactions, receipt_name)
    assert desk.receipts == ["000000001.json"]


def test_between_drops_that_never_pause_a_step_comes_only_now_and_then(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nothing would ever be removed from a job that is never idle."""
    monkeypatch.setattr(retention, "_RECEIPTS_AT_ONCE", 1)
    monkeypatch.setattr(retention, "_STEP_SECONDS", 0.0)
    for seq in (1, 2, 3, 4):
        desk.drop(seq, moved=100, loaded=1)
    made = Retention(desk.place, desk.epoch, KEPT, moves=True, clock=lambda: desk.now)
    seen = []
    for desk.now in (0.0, 4.9, 5.0, 9.9, 10.0):
        made.step(desk.transactions, receipt_name, quiet=False)
        seen.append(len(desk.receipts))
    assert seen == [4, 4, 3, 3, 2]


def test_a_crash_between_object_and_row_is_made_good(desk: Desk) -> None:
    """The object is gone, the row does not say so yet."""
    desk.drop(1, moved=100, loaded=1)
    desk.drop(2, moved=100, loaded=1)
    retention.discard(desk.place, receipt_name(2))
    desk.sweep()
    (rows,) = query(
        desk.transactions.run, "SELECT count(*) FROM stocketl.receipts WHERE NOT jsonb_exists(body, 'rejects')"
    )
    assert rows == (1,)


@pytest.mark.parametrize("refusal", [StorageError, SettingsError])
def test_a_storage_that_does_not_let_go_ends_nothing_and_is_told(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, refusal: type[Exception]
) -> None:
    """The rows stay as they are, and it is tried again a minute later."""
    for seq in (1, 2):
        desk.drop(seq, moved=100, loaded=1)

    def refuse(*_: object) -> None:
        msg = "AccessDenied"
        raise refusal(msg)

    with monkeypatch.context() as patched:
        patched.setattr(retention, "discard", refuse)
        made = Retention(desk.place, desk.epoch, KEPT, moves=True, clock=lambda: desk.now)
        made.step(desk.transactions, receipt_name)
    assert "waiting for the removal of old receipts, nothing is lost: AccessDenied. " in caplog.text
    made.step(desk.transactions, receipt_name)
    assert len(desk.receipts) == 2
    desk.now += 61
    made.step(desk.transactions, receipt_name)
    assert desk.receipts == ["000000001.json"]


def test_an_older_job_removes_nothing(desk: Desk, database: str) -> None:
    """A newer one has taken over."""
    for seq in (1, 2):
        desk.drop(seq, moved=100, loaded=1)
    writer.take_over(database)
    with pytest.raises(SupersededError):
        desk.sweep()
    assert len(desk.receipts) == 2


def test_batches_are_forgotten_after_a_month_but_never_the_last_thousand(desk: Desk) -> None:
    """Whatever their age: a job that was away for a year finds what it compares itself with."""

    def insert(cur: Any) -> None:
        cur.execute(
            "INSERT INTO stocketl.batches (checkpoint_id, batch_id, epoch, drops, digest, committed_at)"
            " SELECT c, n, 1, 1, 'd', clock_timestamp() - interval '31 days'"
            " FROM generate_series(1, 1500) n, (VALUES ('a'), ('b')) v (c) WHERE c = 'a' OR n <= 900"
        )
        cur.execute("UPDATE stocketl.batches SET committed_at = clock_timestamp() WHERE batch_id = 3")
        cur.execute(
            "INSERT INTO stocketl.audits (audited_at, batch_id, cells, seconds, problem)"
            " SELECT clock_timestamp() - make_interval(days => 30 + n), n, 1, 1, CASE n WHEN 3 THEN 'drift' END"
            " FROM generate_series(1, 4) n"
        )
        cur.execute("UPDATE stocketl.batches SET committed_at = NULL WHERE batch_id = 4")

    desk.transactions.run(insert)
    desk.sweep(None)
    left = query(
        desk.transactions.run,
        "SELECT checkpoint_id, count(*), min(batch_id) FROM stocketl.batches GROUP BY 1 ORDER BY 1",
    )
    assert left == [("a", 1002, 3), ("b", 900, 1)]
    assert query(desk.transactions.run, "SELECT batch_id FROM stocketl.audits ORDER BY 1") == [(1,), (3,)]


def test_a_receipt_that_is_gone_is_still_shown_by_its_counts(desk: Desk) -> None:
    """The ledger has the rest."""
    desk.drop(1, moved=100, loaded=1)
    desk.drop(2, moved=100, loaded=1, rejected=2)
    desk.sweep()
    ((body,),) = query(desk.transactions.run, "SELECT body FROM stocketl.receipts WHERE seq = 2")
    assert json.loads(json.dumps(body))["rows_rejected"] == 2
