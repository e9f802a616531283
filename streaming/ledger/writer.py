"""One writer: the schema of the ledger, its versions, and the epoch that keeps older writers out."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

from psycopg2 import errors

from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError, SupersededError
from streaming.ledger import migrations

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.database.login import Login


# Advisory locks (per database): visible in pg_locks with their holders, which row locks are not.
_LOCKS = 0x73746F63


_WRITER, _SCHEMA, _FILL = 1, 2, 3


def create(cur: cursor) -> None:
    """Makes the ledger if it is not there; safe beside other creators.

    If there is one, it is not touched: a frozen writer may hold its tables, and must not hold up a takeover.
    """
    cur.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCKS, _SCHEMA))
    cur.execute("SELECT to_regnamespace('stocketl') IS NOT NULL, to_regclass('stocketl.writer') IS NOT NULL")
    (schema_exists, complete), *_ = cur.fetchall()
    if complete:
        migrations.refuse_newer(cur)
        return
    cur.execute("SELECT current_schemas(false)")
    (path,), *_ = cur.fetchall()
    wide_schema = next((name for name in path if name != "stocketl"), None)  # a role may be called stocketl too
    if wide_schema is None:
        msg = (
            f"no schema of the role's search_path exists (expected one beside stocketl, got {path}): "
            "ALTER ROLE ... SET search_path"
        )
        raise DatabaseError(msg)
    if not schema_exists:
        cur.execute("CREATE SCHEMA stocketl")
    for number in range(1, migrations.latest() + 1):
        migrations.apply(cur, number)
    cur.execute("INSERT INTO stocketl.writer (epoch, wide_schema) VALUES (0, %s)", (wide_schema,))


def migrate(cur: cursor, epoch: int) -> bool:
    """Brings the schema one version further, for the newest writer only. False: it is up to date."""
    check_epoch(cur, epoch)
    cur.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCKS, _SCHEMA))
    return migrations.apply_next(cur)


def take_over(login: str | Login, stop: threading.Event | None = None) -> int:
    """The next epoch: from here on every older writer is refused.

    If a writer is in the middle of a transaction, it gets `lock_timeout` to end it. Then its session is ended: it may
    be frozen, and the newest writer wins anyway.
    """
    transactions = Transactions(login, stop or threading.Event())
    try:
        return transactions.run(_next_epoch)
    finally:
        transactions.close()


def alone_in_the_past(cur: cursor) -> None:
    """Keeps takeovers and other fills out until the transaction ends. A job goes on beside it."""
    cur.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", (_LOCKS, _WRITER))
    cur.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCKS, _FILL))


def check_epoch(cur: cursor, epoch: int) -> None:
    """Keeps takeovers out until the transaction ends. Raises SupersededError if there has been one."""
    cur.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", (_LOCKS, _WRITER))
    cur.execute("SELECT epoch, host, process_id, started_at FROM stocketl.writer")
    (newest, host, process_id, started_at), *_ = cur.fetchall()
    if newest < epoch:
        msg = (
            f"the database has lost this job's start (epoch {epoch}, found {newest}): a standby that did not have it "
            "became the writer, or an older copy was restored. Start the job again: it compares database and "
            "checkpoint."
        )
        raise DatabaseError(msg)
    if newest != epoch:
        msg = (
            f"a newer job took over the database: epoch {newest}, process {process_id} on {host} since "
            f"{started_at:%Y-%m-%d %H:%M:%S %Z}. This one (epoch {epoch}) has stopped and writes nothing more. "
            "A database has one job: if this one should run, stop the other and start this one again."
        )
        raise SupersededError(msg)


def _next_epoch(cur: cursor) -> int:
    try:
        cur.execute("SAVEPOINT before_lock")
        cur.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCKS, _WRITER))
    except errors.LockNotAvailable:
        cur.execute("ROLLBACK TO SAVEPOINT before_lock")
        cur.execute(
            """
            SELECT pg_terminate_backend(pid) FROM pg_locks
             WHERE locktype = 'advisory' AND classid = %s AND objid = %s AND objsubid = 2 AND granted
               AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
            """,
            (_LOCKS, _WRITER),
        )
        cur.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCKS, _WRITER))
    cur.execute(
        "UPDATE stocketl.writer SET epoch = epoch + 1, host = %s, process_id = %s, started_at = clock_timestamp()"
        " RETURNING epoch",
        (socket.gethostname(), os.getpid()),
    )
    (epoch,), *_ = cur.fetchall()
    return int(epoch)
