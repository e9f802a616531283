"""Drops, batch by batch, into real wide tables and into what explains them; no Spark."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from history_oracle import Bucket, Packet

from streaming.ledger import tickers
from streaming.publish import wide
from streaming.publish.batch import Batch
from streaming.publish.explained import Explained
from streaming.publish.widening import Widening
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.database.transactions import Transactions


class ExplainedRun:
    """One job after the other on one database. `restart`: the next batch belongs to a new job."""

    def __init__(self, transactions: Transactions, **options: Any) -> None:
        self.transactions = transactions
        self.bucket = Bucket(chunk_cells=500)
        self.batches = 0
        self.restart(**options)

    def restart(self, **options: Any) -> None:
        self.explained = Explained(load(environment=False, **options))
        self.widening = Widening(self.transactions, 0)
        self.transactions.run(lambda cur: self.explained.prepare(cur, 0))

    def batch(self, packets: list[Packet], open_seq: int | None = None, *, fail_first: bool = False) -> None:
        applied = self.bucket.apply(packets, open_seq)
        changes, attempts = applied.changes, iter([True] if fail_first else [])
        batch = Batch(changes, [], {}, [], {}, dated=[applied.dated])

        def work(cur: Any, planned: Any) -> None:
            places = tickers.place_tickers(cur, changes.ids, planned)
            with self.explained.around(cur, self.batches, batch, places, planned.keys()):
                wide.write(cur, changes, places)
            if next(attempts, False):
                cur.execute("SELECT pg_terminate_backend(pg_backend_pid())")

        self.widening.run(changes.ids, work)
        self.batches += 1

    def ask(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        def work(cur: Any) -> list[tuple[Any, ...]]:
            cur.execute(statement, values)
            return cur.fetchall()

        return self.transactions.run(work)


def batches(packets: list[Packet], cuts: set[int]) -> Iterator[tuple[list[Packet], int | None]]:
    """The packets cut into batches, each with the drop that goes on in the next one."""
    borders = [0, *sorted(cut for cut in cuts if 0 < cut < len(packets)), len(packets)]
    for begin, end in itertools.pairwise(borders):
        following = packets[end][0] if end < len(packets) else None
        is_open = begin < end and packets[end - 1][0] == following
        yield packets[begin:end], following if is_open else None
