"""A lock on a table, held by the test, so that a job stands still in the middle of its transaction."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterator

_WAITING = """
    SELECT pid, xact_start FROM pg_stat_activity
    WHERE datname = current_database() AND wait_event_type = 'Lock' AND pid <> pg_backend_pid()
"""


class Waiters:
    """Sees who waits for a lock in this database."""

    def __init__(self, watcher: psycopg2.extensions.connection) -> None:
        self._watcher = watcher

    def __call__(self) -> set[tuple[int, dt.datetime]]:
        """Process number and start of the transaction of each session that waits now."""
        with self._watcher.cursor() as cur:
            cur.execute(_WAITING)
            return set(cur.fetchall())

    def terminate(self) -> None:
        """Ends every session that waits, with `pg_terminate_backend`."""
        with self._watcher.cursor() as cur:
            for pid, _ in self():
                cur.execute("SELECT pg_terminate_backend(%s)", [pid])


@contextlib.contextmanager
def locked(database: str, table: str = "prices") -> Iterator[Waiters]:
    """Holds the table against everybody else until the block ends."""
    holder, watcher = psycopg2.connect(database), psycopg2.connect(database)
    watcher.autocommit = True
    try:
        with holder.cursor() as cur:
            cur.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
            yield Waiters(watcher)
    finally:
        holder.close()
        watcher.close()
