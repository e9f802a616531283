"""Drops in the ledger: counts that reconcile, parts that add up, and a fate."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from ledger_rows import MODIFIED, Run, fact, query, record

from streaming.errors import CheckpointError, DatabaseError
from streaming.ledger import outbox
from streaming.ledger.drops import Reject, lines_before
from streaming.packets import Superseded
from streaming.storage.place import Version
from streaming.ticks.expected import expected

if TYPE_CHECKING:
    from streaming.packets import Fact


CONFLICT = {"lines": [2, 3], "date": "2024-01-01", "id": "A", "prices": [1.0, 2.0], "volumes": [None, 5]}
DROPS = (
    "SELECT seq, status, reason, rows_read, rows_loaded, rows_duplicate, rows_rejected FROM stocketl.drops ORDER BY 1"
)


def test_a_drop_of_one_part_is_one_row_and_one_receipt(run: Run) -> None:
    """The row holds the facts, the receipt the same and its fate, reasons, ignored columns and first rejects."""
    reject = {"line": 3, "text": "x,y\x00\ud800", "reason": "bad-price"}
    given = fact(
        4,
        loaded=5,
        duplicate=2,
        rejected=1,
        version=None,
        ignored=["note"],
        first_date="2024-01-01",
        last_date="2024-02-01",
        rows_passed_over=3,
        conflicts=1,
        volume_unreadable=1,
        notes=[{"kind": "volume-unreadable", "line": 2, "text": "a\0"}, {"kind": "conflict", **CONFLICT}],
        reading="2",
    )
    [body] = record(run, 0, [given], rejects={4: [reject]})
    assert {**body, "loaded_at": None} == {
        "seq": 4,
        "key": "4.csv",
        "etag": "e",
        "version_id": None,
        "size": 10,
        "last_modified": MODIFIED,
        "fate": "success",
        "status": "loaded",
        "reason": None,
        "rows_read": 8,
        "rows_loaded": 5,
        "rows_duplicate": 2,
        "rows_rejected": 1,
        "rows_passed_over": 3,
        "cells_new": 5,
        "cells_changed": 0,
        "cells_same": 0,
        "returns_rewritten": 0,
        "tickers_new": 0,
        "corrections": None,
        "conflicts": 1,
        "repeats": 1,
        "volume_unreadable": 1,
        "reasons": {"bad-price": 1},
        "reading": "2",
        "unreadable_volumes": [{"line": 2, "text": "a\\x00"}],
        "first_conflicts": [CONFLICT],
        "ignored": ["note"],
        "rejects": [{"line": 3, "text": "x,y\\x00\\ud800", "reason": "bad-price", "expected": expected("bad-price")}],
        "first_date": "2024-01-01",
        "last_date": "2024-02-01",
        "content": "0000000000000000",
        "checkpoint_id": "c",
        "batch_id": 0,
        "loaded_at": None,
    }
    modified = dt.datetime.fromisoformat(MODIFIED)
    assert query(run, "SELECT * FROM stocketl.drops") == [
        (
            *(4, "4.csv", "e", None, 10, modified, "loaded", None, 8, 5, 2, 1),
            *(dt.date(2024, 1, 1), dt.date(2024, 2, 1), "c", 0, dt.datetime.fromisoformat(body["loaded_at"])),
            *("0000000000000000", "2", 1, 1, 3),
            *(5, 0, 0, 0, 0, None),
        )
    ]
    assert run(lambda cur: outbox.unwritten_receipts(cur, "c", 0)) == [
        outbox.Receipt(4, "4.csv", "success", body, Version("4.csv", "e", None, 10, modified), None)
    ]


def _rejects(lines: range) -> list[Reject]:
    return [{"line": line, "text": "t", "reason": "r"} for line in lines]


def test_the_parts_of_a_drop_add_up_over_batches(run: Run) -> None:
    """It is `loading` until its last part; rows given again move from loaded to duplicate; lines are kept by batch."""
    first = fact(
        1, loaded=3, rejected=1, last=False, whole=False, first_date="2024-01-05", last_date="2024-01-09", ignored=["a"]
    )
    middle = fact(1, loaded=2, last=False, whole=False, start=10, first_date="2024-01-02", last_date="2024-01-03")
    last = fact(1, loaded=4, rejected=2, whole=False, start=20, ignored=["a", "b"])
    assert record(run, 0, [first, middle], rejects={1: _rejects(range(15))}) == []
    assert query(run, DROPS) == [(1, "loading", None, 6, 5, 0, 1)]
    assert run(lambda cur: outbox.unwritten_receipts(cur, "c", 9)) == []
    assert run(lambda cur: lines_before(cur, "c", 1, {1, 2})) == {1: 8}
    [body] = record(run, 1, [last], {1: Superseded(2, 1, earlier=2)}, {1: _rejects(range(100, 115))})
    assert query(run, DROPS) == [(1, "loaded", None, 12, 7, 2, 3)]
    assert (body["first_date"], body["last_date"]) == ("2024-01-02", "2024-01-09")
    assert (body["reasons"], body["ignored"], body["batch_id"]) == ({"bad-price": 3}, ["a", "b"], 1)
    assert [reject["line"] for reject in body["rejects"]] == [*range(15), *range(100, 105)]
    assert run(lambda cur: lines_before(cur, "c", 1, {1})) == {1: 8}
    assert run(lambda cur: lines_before(cur, "c", 2, {1})) == {1: 15}


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (fact(1, failure="no-header: the first line is data"), "failed", "no-header: the first line is data"),
        (fact(1, rejected=3), "failed", "every row was rejected, 3 in all: bad-price 3"),
        (fact(1, rejected=3, duplicate=1, loaded=1), "loaded", None),
        (fact(1), "loaded", None),
    ],
)
def test_the_fate_of_a_drop(run: Run, given: Fact, status: str, reason: str | None) -> None:
    """Failed with its reason, failed when it has rows and each was rejected, else loaded, also with no rows."""
    [body] = record(run, 0, [given])
    assert (body["status"], body["reason"]) == (status, reason)
    assert body["fate"] == ("success" if status == "loaded" else "failed")
    assert query(run, "SELECT status, reason FROM stocketl.drops") == [(status, reason)]


def test_a_part_that_does_not_fit_the_ledger_is_refused(run: Run) -> None:
    """A seq that is finished already, and a drop that goes on without having begun."""
    record(run, 0, [fact(1, loaded=1)])
    with pytest.raises(CheckpointError, match=r"drop 1 .*part 0: expected nothing .*found loaded \(checkpoint c\)"):
        record(run, 1, [fact(1, loaded=1)])
    with pytest.raises(CheckpointError, match=r"drop 2 .*part 10: expected loading \(checkpoint c\).*found nothing"):
        record(run, 1, [fact(2, loaded=1, start=10)])
    assert query(run, DROPS) == [(1, "loaded", None, 1, 1, 0, 0)]


def test_counts_that_do_not_reconcile_are_refused_by_the_table(run: Run) -> None:
    """rows read = loaded + duplicate + rejected, whoever writes."""
    with pytest.raises(DatabaseError, match="rows_reconcile"):
        record(run, 0, [fact(1, loaded=1, rows_read=2)])


def test_ten_thousand_drops_are_recorded_by_a_handful_of_statements(run: Run) -> None:
    """A folder full of one-row drops is one batch like any other."""
    assert len(record(run, 0, [fact(seq, loaded=1) for seq in range(1, 10_001)])) == 10_000
    assert query(run, "SELECT count(*), sum(rows_loaded) FROM stocketl.drops") == [(10_000, 10_000)]
    assert len(run(lambda cur: outbox.unwritten_receipts(cur, "c", 0))) == 10_000
