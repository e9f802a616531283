"""The ledger, schema `stocketl`: what was loaded from what, by which writer, and what is still to be done.

Every function works in the caller's transaction and commits nothing; `take_over` of `writer` alone has its own.

Least rights of the job's role: CONNECT and TEMPORARY on the database; CREATE on the first schema of its search_path
but stocketl (for the wide tables; `public` gives it to nobody but the owner since PostgreSQL 15); and either CREATE on
the database or a schema made for it: `CREATE SCHEMA stocketl AUTHORIZATION <role>`. Jobs that may replace each other
use one role.
A role that only looks at the data needs USAGE on both schemas and SELECT on their tables, best given by `ALTER DEFAULT
PRIVILEGES FOR ROLE <job's role> GRANT SELECT ON TABLES TO <reader>`, since tables are added as tickers appear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.errors import CheckpointError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


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
            "checkpoint, and a file could be missing from the tables: run `stocketl verify` before you go on."
        )
        raise CheckpointError(msg)
    return False


def finish_batch(cur: cursor, checkpoint_id: str, batch_id: int, cells: int) -> None:
    """The batch's last statements. Once it is committed, listeners on the channel `stocketl` get its number."""
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
