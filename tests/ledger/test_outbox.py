"""The outbox forgets no receipt and no move."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ledger_rows import Run, fact, record

from streaming.ledger import outbox
from streaming.ledger.drops import next_seq

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_outbox_keeps_a_drop_until_it_is_written_and_moved(run: Run) -> None:
    """By checkpoint and up to the batch that Spark has committed; the target of a move is kept before it begins."""

    def seqs(of: Callable[..., list[outbox.Receipt]], batch_id: int) -> list[tuple[int, str | None]]:
        return [(receipt.seq, receipt.moved_to) for receipt in run(lambda cur: of(cur, "c", batch_id))]

    record(run, 0, [fact(2, loaded=1), fact(1, failure="empty")])
    record(run, 1, [fact(3, loaded=1)])
    assert run(next_seq) == 4
    assert seqs(outbox.unwritten_receipts, 0) == [(1, None), (2, None)]
    assert run(lambda cur: outbox.unwritten_receipts(cur, "other", 9)) == []
    assert seqs(outbox.unmoved, 9) == []
    assert run(lambda cur: outbox.ended_versions(cur, ["2.csv", "3.csv"])) == set()
    run(lambda cur: outbox.receipt_written(cur, 2))
    assert run(lambda cur: outbox.ended_versions(cur, ["2.csv", "3.csv"])) == {("2.csv", "e", "v")}
    assert seqs(outbox.unwritten_receipts, 1) == [(1, None), (3, None)]
    run(lambda cur: outbox.move_intended(cur, 2, "2.csv.2"))
    assert seqs(outbox.unmoved, 0) == [(2, "2.csv.2")]
    run(lambda cur: outbox.moved(cur, 2))
    assert seqs(outbox.unmoved, 9) == []


def test_a_receipt_is_json(run: Run) -> None:
    """What is put beside the files can be read by anything."""
    [body] = record(run, 0, [fact(1, loaded=1, key="ä %s' \".csv")])
    [receipt] = run(lambda cur: outbox.unwritten_receipts(cur, "c", 0))
    assert json.loads(json.dumps(receipt.body)) == body
