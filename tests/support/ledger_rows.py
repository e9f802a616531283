"""Batches and drops of the ledger as the job would record them, without a job."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from streaming.corrections import Did
from streaming.ledger import batches
from streaming.ledger.corrections import Changed, write_runs
from streaming.ledger.drops import Reject, record_drops
from streaming.packets import Fact, Superseded

Run = Callable[[Callable[[Any], Any]], Any]

MODIFIED = "2024-01-02T03:04:05.000006+00:00"


def fact(seq: int, *, loaded: int = 0, duplicate: int = 0, rejected: int = 0, **others: Any) -> Fact:
    """Of a whole drop of ten bytes, unless told otherwise."""
    counts = {"rows_read": loaded + duplicate + rejected, "rows_loaded": loaded, "rows_duplicate": duplicate}
    values = {
        "key": f"{seq}.csv", "etag": "e", "version": "v", "size": 10, "modified": MODIFIED,
        "start": 0, "end": 10, "last": True, "whole": True, "lines": 1 + loaded + duplicate + rejected,
        "reasons": {"bad-price": rejected} if rejected else {}, "ignored": [], "first_date": None, "last_date": None,
        "content": "0", "failure": None,
    }  # fmt: skip
    return Fact(**{"seq": seq, **values, **counts, "rows_rejected": rejected, **others})


def record(  # noqa: PLR0917 (what a batch brings)
    run: Run,
    batch_id: int,
    facts: list[Fact],
    duplicates: dict[int, Superseded] | None = None,
    rejects: dict[int, list[Reject]] | None = None,
    did: dict[int, Did] | None = None,
    corrected: Changed | None = None,
) -> Any:
    """A batch with these drops; the receipts of those that end in it. Unless told otherwise, every cell is new."""
    again = duplicates or {}
    loaded: Counter[int] = Counter()
    for one in facts:
        loaded[one.seq] += one.rows_loaded
    loaded.subtract({seq: found.rows for seq, found in again.items()})
    all_new = {seq: Did(cells_new=rows) for seq, rows in loaded.items()}

    def work(cur: Any) -> Any:
        assert batches.begin_batch(cur, "c", batch_id, 1, f"digest {batch_id}", len(facts))
        if corrected is not None:
            write_runs(cur, corrected)
        finished = record_drops(
            cur,
            "c",
            batch_id,
            facts,
            duplicates=again,
            rejects=rejects or {},
            did=all_new if did is None else did,
            corrected=corrected,
        )
        batches.finish_batch(cur, "c", batch_id, 0)
        return finished

    return run(work)


def query(run: Run, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    def work(cur: Any) -> list[tuple[Any, ...]]:
        cur.execute(statement, values)
        return cur.fetchall()

    return run(work)
