"""The rows of a batch on the driver: line numbers of the drop, and the list of drops as the offset has it."""

from __future__ import annotations

import json
from dataclasses import asdict
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import ledger_rows
import numpy as np
import pyarrow as pa

from streaming.checkpoint.handover import Handover
from streaming.checkpoint.offset import Span, batch_digest
from streaming.corrections import Corrections, Did, Values
from streaming.ledger import correction_runs
from streaming.packets import PACKET_COLUMNS, Changes, Fact, Rejects, Superseded, ipc_buffer
from streaming.publish.batch import (
    Batch,
    changed,
    collect,
    first_rejects,
    loaded_before_and_again,
    loaded_table,
    number_lines,
    rejects_table,
)

if TYPE_CHECKING:
    from pathlib import Path

SPLIT = ["etag", None, 30, "2024-01-02T03:04:05.000006+00:00"]


def fact(seq: int, start: int, end: int, lines: int, *, whole: bool = False, reading: str = "1") -> Fact:
    etag, version, size, modified = SPLIT
    span = {"start": start, "end": end, "size": size, "whole": whole, "lines": lines}
    return ledger_rows.fact(seq, etag=etag, version=version, modified=modified, reading=reading, **span)


def batch(facts: list[Fact], rejects: dict[tuple[int, int], Rejects], **more: Any) -> Batch:
    return Batch(Changes.empty(), facts, rejects, [], more.get("duplicates", {}))


def test_lines_of_rejects_are_counted_from_the_start_of_the_drop() -> None:
    """Through the splits of this batch and through what earlier batches have read."""
    of_batch = batch(
        [fact(1, 10, 20, 4), fact(1, 20, 30, 3), fact(2, 0, 30, 9, whole=True)],
        {
            (1, 10): Rejects([2], ["a"], ["bad-date"]),
            (1, 20): Rejects([1], ["b"], ["bad-id"]),
            (2, 0): Rejects([5], ["c"], ["bad-price"]),
        },
    )
    number_lines(of_batch, {1: 100})
    assert rejects_table(of_batch).to_pydict() == {
        "seq": [1, 1, 2],
        "key": ["1.csv", "1.csv", "2.csv"],
        "line": [102, 105, 5],
        "text": ["a", "b", "c"],
        "reason": ["bad-date", "bad-id", "bad-price"],
    }
    assert first_rejects(of_batch) == {
        1: [{"line": 102, "text": "a", "reason": "bad-date"}, {"line": 105, "text": "b", "reason": "bad-id"}],
        2: [{"line": 5, "text": "c", "reason": "bad-price"}],
    }


def test_a_receipt_shows_the_first_rejects_of_a_drop_only() -> None:
    """However many spans they come from."""
    many = [Rejects(list(range(15)), ["x"] * 15, ["bad-id"] * 15) for _ in range(2)]
    of_batch = batch([fact(1, 0, 10, 15), fact(1, 10, 20, 15)], {(1, 10): many[1], (1, 0): many[0]})
    number_lines(of_batch, {})
    assert [reject["line"] for reject in first_rejects(of_batch)[1]] == list(range(20))


def test_the_digest_is_that_of_the_offset_however_the_drop_was_split() -> None:
    """The ledger's digest must equal the one computed from the offset log at the next start."""
    facts = [fact(1, 0, 10, 1), fact(1, 10, 20, 1), fact(2, 0, 30, 1, whole=True)]
    of_batch = batch([*facts, fact(3, 0, 30, 1, whole=True, reading="2"), fact(4, 0, 30, 1, reading="0123")], {})
    etag, version, size, modified = SPLIT
    in_offset = [
        [1, "1.csv", etag, version, size, modified, 0, 20, False],
        [2, "2.csv", etag, version, size, modified, 0, 30, True],
        [3, "3.csv", etag, version, size, modified, 0, 30, True, "2"],
        [4, "4.csv", etag, version, size, modified, 0, 30, False, "0123"],
    ]
    assert of_batch.digest == batch_digest(map(Span.from_json, in_offset))


def test_only_a_drop_begun_in_an_earlier_batch_can_leave_stale_rows_in_the_lake() -> None:
    """Duplicates inside one batch never reach the lake's ticks."""
    again = {1: Superseded(3, 0, earlier=1), 2: Superseded(4, 0)}
    of_batch = batch([fact(1, 10, 20, 1), fact(2, 0, 10, 1), fact(2, 10, 20, 1)], {}, duplicates=again)
    assert loaded_before_and_again(of_batch) == {1}


def test_what_the_buckets_did_is_added_up_and_corrections_come_by_both_ways(tmp_path: Path) -> None:
    """Through Spark if they are few, as a file beside the checkpoint if they are many."""
    handover = Handover(str(tmp_path))
    few, many = corrections(3, "A"), corrections(4, "B")
    key = handover.write("7-1-corrections", many.to_table())
    runs = correction_runs.encoded(few, np.array([0, 1]))
    did = [{"3": asdict(Did(1, 2))}, {"3": asdict(Did(cells_changed=-1)), "4": asdict(Did(tickers_new=1))}]
    rows = [
        (0, 0, 0, "corrections", ipc_buffer(few.to_table())),
        (1, 0, 0, "corrections-file", key.encode()),
        (0, 0, 0, "correction-runs", ipc_buffer(runs)),
        *((bucket, 0, 0, "did", json.dumps(of_bucket).encode()) for bucket, of_bucket in enumerate(did)),
    ]
    frame: Any = SimpleNamespace(toArrow=lambda: pa.table(list(zip(*rows, strict=True)), PACKET_COLUMNS))
    found = collect(frame, handover)
    assert found.did == {3: Did(1, 1), 4: Did(tickers_new=1)}
    assert changed(found).rows.to_pylist() == [*few.to_table().to_pylist(), *many.to_table().to_pylist()]
    assert changed(found).runs.to_pylist() == runs.to_pylist()
    assert found.handed_over == [key]


def corrections(seq: int, ticker: str) -> Corrections:
    """One cell of the drop."""
    value = Values(np.array([1.0]), np.array([5]), np.array([0.5]))
    return Corrections(np.array([seq]), [ticker], np.zeros(1, np.int32), np.ones(1, np.int32), value, value)


def test_a_batch_of_failed_drops_has_a_table_without_rows() -> None:
    """No drop of it reached the state, so there is nothing to join."""
    assert loaded_table(batch([], {})).to_pydict() == {"seq": [], "date": [], "id": [], "price": [], "volume": []}
