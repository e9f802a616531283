"""The ledger, schema `stocketl`: what was loaded from what, by which writer, and what is still to be told and moved.

Every function works in the caller's transaction and commits nothing; `take_over` alone has a transaction of its own.

Least rights of the job's role: CONNECT and TEMPORARY on the database; CREATE on the first schema of its search_path
but stocketl (for the wide tables; `public` gives it to nobody but the owner since PostgreSQL 15); and either CREATE on
the database or a schema made for it: `CREATE SCHEMA stocketl AUTHORIZATION <role>`. Jobs that may replace each other
use one role.
A role that only looks at the data needs USAGE on both schemas and SELECT on their tables, best given by `ALTER DEFAULT
PRIVILEGES FOR ROLE <job's role> GRANT SELECT ON TABLES TO <reader>`, since tables are added as tickers appear.
"""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

from psycopg2 import errors

from streaming.database.transactions import Transactions
from streaming.errors import CheckpointError, DatabaseError, SupersededError
from streaming.ledger import migrations
from streaming.ledger.drops import (
    Receipt,
    ended_versions,
    lines_before,
    move_intended,
    moved,
    next_seq,
    receipt_written,
    record_drops,
    recorded_fates,
    unmoved,
    unwritten_receipts,
)

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.database.login import Login

__all__ = [
    "Receipt",
    "batch_digests",
    "begin_batch",
    "check_epoch",
    "create",
    "ended_versions",
    "finish_batch",
    "last_batch",
    "lines_before",
    "migrate",
    "move_intended",
    "moved",
    "next_seq",
    "receipt_written",
    "record_drops",
    "recorded_fates",
    "take_over",
    "unmoved",
    "unwritten_receipts",
]

# Advisory locks (per database): visible in pg_locks with their holders, which row locks are not.
_LOCKS = 0x73746F63
_WRITER, _SCHEMA = 1, 2


def create(cur: cursor) -> None:
    """Makes the ledger if it is not there; safe beside other creators.

    An existing one is not touched at all: a frozen writer may hold its tables, and must not hold up a takeover.
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
    """Brings the schema one version further, by the newest writer only; False if it is the newest already."""
    check_epoch(cur, epoch)
    cur.execute("SELECT pg_advisory_xact_lock(%s, %s)", (_LOCKS, _SCHEMA))
    return migrations.apply_next(cur)


def take_over(login: str | Login, stop: threading.Event | None = None) -> int:
    """The next epoch: from here on every older writer is refused.

    A writer that is in the middle of a transaction gets `lock_timeout` to end it, then its session is ended: it may be
    frozen, and the newest writer wins anyway.
    """
    transactions = Transactions(login, stop or threading.Event())
    try:
        return transactions.run(_next_epoch)
    finally:
        transactions.close()


def check_epoch(cur: cursor, epoch: int) -> None:
    """Keeps takeovers out until the transaction ends; raises SupersededError if there has been one."""
    cur.execute("SELECT pg_advisory_xact_lock_shared(%s, %s)", (_LOCKS, _WRITER))
    cur.execute("SELECT epoch, host, process_id, started_at FROM stocketl.writer")
    (newest, host, process_id, started_at), *_ = cur.fetchall()
    if newest < epoch:
        msg = (
            f"the database has lost this job's start (epoch {epoch}, found {newest}): a standby that did not have it "
            "became the writer, or an older copy was restored. Start the job again: it compares the two."
        )
        raise DatabaseError(msg)
    if newest != epoch:
        msg = (
            f"a newer job took over the database: epoch {newest}, process {process_id} on {host} since "
            f"{started_at:%Y-%m-%d %H:%M:%S %Z}. This one (epoch {epoch}) has stopped and writes nothing more. "
            "One job per database: if it is this one that should run, stop the other and start it again."
        )
        raise SupersededError(msg)


def begin_batch(  # noqa: PLR0917 - the columns of `batches`, in order
    cur: cursor, checkpoint_id: str, batch_id: int, epoch: int, digest: str, drops: int
) -> bool:
    """True: the batch is new. False: it is there already, with the same list of drops (a replay).

    drops: their number. Raises CheckpointError if the batch is there with another list.
    """
    cur.execute(
        "INSERT INTO stocketl.batches (checkpoint_id, batch_id, epoch, drops, digest) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING",
        (checkpoint_id, batch_id, epoch, drops, digest),
    )
    if cur.rowcount == 1:
        return True
    cur.execute(
        "SELECT digest, drops FROM stocketl.batches WHERE checkpoint_id = %s AND batch_id = %s",
        (checkpoint_id, batch_id),
    )
    (recorded, number), *_ = cur.fetchall()
    if recorded != digest:
        msg = (
            f"batch {batch_id} of checkpoint {checkpoint_id} is in the database with another list of drops: expected "
            f"digest {recorded!r} ({number} drops), got {digest!r} ({drops} drops). Two jobs may have used one "
            "checkpoint, and a file could be missing from the tables: check with `stocketl verify` before going on."
        )
        raise CheckpointError(msg)
    return False


def finish_batch(cur: cursor, checkpoint_id: str, batch_id: int, cells: int) -> None:
    """The batch's last statements; listeners on the channel `stocketl` get its id when it is committed."""
    cur.execute(
        "UPDATE stocketl.batches SET cells = %s, committed_at = clock_timestamp()"
        " WHERE checkpoint_id = %s AND batch_id = %s",
        (cells, checkpoint_id, batch_id),
    )
    cur.execute("SELECT pg_notify('stocketl', %s)", (str(batch_id),))


def last_batch(cur: cursor) -> tuple[str, int, str] | None:
    """(checkpoint_id, batch_id, digest) of the newest batch in the database, None if there is none."""
    cur.execute(
        "SELECT checkpoint_id, batch_id, digest FROM stocketl.batches ORDER BY epoch DESC, batch_id DESC LIMIT 1"
    )
    return next(iter(cur.fetchall()), None)


def batch_digests(cur: cursor, checkpoint_id: str, last_n: int) -> dict[int, str]:
    """Batch id -> digest of its list of drops, for the newest batches of a checkpoint."""
    cur.execute(
        "SELECT batch_id, digest FROM stocketl.batches WHERE checkpoint_id = %s ORDER BY batch_id DESC LIMIT %s",
        (checkpoint_id, last_n),
    )
    return dict(cur.fetchall())


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
