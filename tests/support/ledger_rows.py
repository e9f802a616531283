"""Batches and drops of the ledger as the job would record them, without a job."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from streaming.ledger import batches
from streaming.ledger.drops import record_drops

Run = Callable[[Callable[[Any], Any]], Any]

MODIFIED = "2024-01-02T03:04:05.000006+00:00"


def fact(seq: int, *, loaded: int = 0, duplicate: int = 0, rejected: int = 0, **others: Any) -> dict[str, Any]:
    reasons = {"bad-price": rejected} if rejected else {}
    values = {"part": 0, "last": True, "whole": True, "key": f"{seq}.csv", "etag": "e", "version": "v", "size": 10}
    values |= {"modified": MODIFIED, "start": 0, "end": 10, "lines": 1 + loaded + duplicate + rejected}
    values |= {"first_date": None, "last_date": None, "failure": None, "ignored": [], "rejects": [], "content": "0"}
    counts = {"rows_read": loaded + duplicate + rejected, "rows_loaded": loaded, "rows_duplicate": duplicate}
    return {"seq": seq, **values, **counts, "rows_rejected": rejected, "reasons": reasons, **others}


def record(run: Run, batch_id: int, facts: list[dict[str, Any]], duplicates: dict[int, int] | None = None) -> Any:
    def work(cur: Any) -> Any:
        assert batches.begin_batch(cur, "c", batch_id, 1, f"digest {batch_id}", len(facts))
        finished = record_drops(cur, "c", batch_id, facts, duplicates or {})
        batches.finish_batch(cur, "c", batch_id, 0)
        return finished

    return run(work)


def query(run: Run, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    def work(cur: Any) -> list[tuple[Any, ...]]:
        cur.execute(statement, values)
        return cur.fetchall()

    return run(work)
