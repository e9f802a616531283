"""Disk and WAL that many small drops cost: one ticker a drop over the same dates, each its own batch.

    python -m bench.bloat [drops] [dates] [tickers there before] [vacuum after rewritten rows]

The job's own writes on a PostgreSQL of its own, without Spark.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from rich.console import Console

from streaming.database import embedded
from streaming.database.transactions import Transactions
from streaming.ledger import writer
from streaming.ledger.tickers import place_tickers
from streaming.packets import Changes
from streaming.publish import upkeep, wide
from streaming.publish.upkeep import Upkeep
from streaming.publish.widening import Widening

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor

    from streaming.ledger.tickers import Place

_console = Console()
_FIRST_DAY = 19_000
_SIZES = """
    SELECT relname, pg_total_relation_size(oid) / 1e6 FROM pg_class
     WHERE relname IN ('prices', 'returns', 'volume', 'latest') AND relkind = 'r' ORDER BY relname
"""


def main() -> None:
    """Prints the sizes of the tables, their peak, the WAL and the time."""
    logging.basicConfig(level=logging.WARNING)
    defaults = (300, 200, 500, upkeep.REWRITTEN_ROWS)
    drops, dates, before, upkeep.REWRITTEN_ROWS = (*map(int, sys.argv[1:]), *defaults[len(sys.argv) - 1 :])
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "postgres"
        uri = embedded.start(data)
        try:
            with contextlib.closing(Transactions(uri, threading.Event())) as transactions:
                _load(transactions, drops, dates, before)
        finally:
            embedded.stop(data)


def _load(transactions: Transactions, drops: int, dates: int, there: int) -> None:
    transactions.run(writer.create)
    widening, care = Widening(transactions, 0), Upkeep(transactions)

    def batch(ids: list[str]) -> None:
        changes = _changes(ids, dates)
        widening.run(ids, lambda cur, planned: _write(cur, changes, planned, care))

    batch([f"T{number:04}" for number in range(there)])
    before, peak, since = _wal(transactions), 0.0, time.monotonic()
    for number in range(drops):
        batch([f"T{number:04}"])
        care.vacuum()
        if number % 10 == 0:
            peak = max(peak, sum(size for _, size in _asked(transactions, _SIZES)))
    seconds = time.monotonic() - since
    for name, size in _asked(transactions, _SIZES):
        _console.print(f"{name:8} {size:8.1f} MB")
    _console.print(f"peak     {peak:8.1f} MB")
    _console.print(f"WAL      {(_wal(transactions) - before) / 1e6:8.1f} MB")
    _console.print(f"{seconds / drops * 1000:.1f} ms a drop")
    for row in _asked(
        transactions,
        "SELECT relname, n_tup_upd, n_tup_hot_upd, n_dead_tup, autovacuum_count, vacuum_count FROM pg_stat_user_tables"
        " WHERE relname IN ('prices', 'latest')",
    ):
        _console.print(*row)


def _changes(ids: list[str], dates: int) -> Changes:
    rng = np.random.default_rng(len(ids))
    days = np.arange(_FIRST_DAY, _FIRST_DAY + dates, dtype=np.int32)
    cells = len(ids) * dates
    code = np.repeat(np.arange(len(ids), dtype=np.int32), dates)
    values = rng.random(cells) * 100, rng.normal(size=cells), rng.integers(0, 1 << 40, cells)
    return Changes(ids, code, np.tile(days, len(ids)), *values, np.full(cells, 7, np.uint8))


def _write(cur: cursor, changes: Changes, planned: Mapping[str, Place], care: Upkeep) -> int:
    writer.check_epoch(cur, 0)
    return wide.write(cur, changes, place_tickers(cur, changes.ids, planned), care.rewritten)


def _wal(transactions: Transactions) -> int:
    return int(_asked(transactions, "SELECT pg_current_wal_insert_lsn() - '0/0'::pg_lsn")[0][0])


def _asked(transactions: Transactions, query: str) -> list[tuple[Any, ...]]:
    def ask(cur: cursor) -> list[tuple[Any, ...]]:
        cur.execute(query)
        return cur.fetchall()

    return transactions.run(ask)


if __name__ == "__main__":
    main()
