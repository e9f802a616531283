"""Frees the space that rewritten rows leave in the wide tables, before autovacuum looks.

PostgreSQL writes a whole row anew for each cell that changes: 6 KB for 800 tickers. A small drop over many dates
rewrites them all, and autovacuum looks once a minute. So after some rewritten rows the job itself vacuums a table,
between two batches. It reads the pages that changed since the last time, and their space takes the next rows.

100 drops of one ticker each, over 200 dates of 500 tickers (`python -m bench.bloat 100`): a table has 5 MB, not 83,
and with room on its pages 2.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from streaming.database.transactions import Transactions

# 8 MB at most, of a large table a tenth. If rewritten rows lie all over a table, a vacuum reads it whole.
REWRITTEN_ROWS, REWRITTEN_SHARE = 1000, 0.1

# If the next version of a row fits on its own page, no index is touched, and the log has only the changed bytes:
# 40 drops over 200 dates of 300 tickers write 6 MB of it, not 64. 50 gives no more, and 800 tickers fill a page anyway.
FILLFACTOR = 70


class Upkeep:
    """Counts rewritten rows by table (a quoted name), also those of transactions that failed."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.rewritten: Counter[str] = Counter()

    def vacuum(self) -> None:
        """Vacuums what has many rewritten rows, and gives a table of an older version its fill factor.

        If somebody else has locked a table, or if anything fails, it is left to the next time or to autovacuum.
        TRUNCATE false: to give pages back to the disk, a vacuum would need the table for itself.
        """
        for table, rows in list(self.rewritten.items()):
            if rows >= REWRITTEN_ROWS:
                with contextlib.suppress(psycopg2.Error):
                    if rows >= REWRITTEN_SHARE * self._rows(table):
                        del self.rewritten[table]
                        self._transactions.outside(_fillfactor(table))
                        self._transactions.outside(sql.SQL(f"VACUUM (SKIP_LOCKED, TRUNCATE false) {table}"))

    def _rows(self, table: str) -> float:
        """About how many there were at the last vacuum."""
        asked = sql.SQL("SELECT reltuples FROM pg_class WHERE oid = to_regclass({})").format(sql.Literal(table))
        found = self._transactions.outside(asked)
        return float(found[0][0]) if found else 0.0


def _fillfactor(table: str) -> sql.Composed:
    """Sets the fill factor, unless a person has set one."""
    body = sql.SQL(
        "BEGIN IF EXISTS (SELECT FROM pg_class WHERE oid = {}::regclass"
        " AND coalesce(reloptions::text, '') !~ 'fillfactor')"
        " THEN SET LOCAL lock_timeout = '100ms'; ALTER TABLE {} SET (fillfactor = {}); END IF; END"
    ).format(sql.Literal(table), sql.SQL(table), sql.Literal(FILLFACTOR))
    return sql.SQL("DO $stocketl$ {} $stocketl$").format(body)
