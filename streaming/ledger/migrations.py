"""The schema of the ledger by version: numbered SQL files, applied only forwards, each in its own transaction.

Delivery: exactly once for each database. A file runs once the job has its epoch, so there is no other writer. If a
crash undoes it, the next start runs it again.
"""

from __future__ import annotations

import importlib.resources
from typing import TYPE_CHECKING

from streaming.errors import DatabaseError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


def latest() -> int:
    """The version that this code needs: the number of the last file."""
    return len(_files())


def version(cur: cursor) -> int:
    """The version of a database that has a ledger."""
    cur.execute("SELECT to_regclass('stocketl.schema_version') IS NULL")
    if cur.fetchall() == [(True,)]:
        return 1  # made before the versions were counted
    cur.execute("SELECT max(version) FROM stocketl.schema_version")
    (found,), *_ = cur.fetchall()
    return int(found)


def refuse_newer(cur: cursor) -> None:
    """Raises DatabaseError if a newer stocketl has used the database."""
    found = version(cur)
    if found > latest():
        msg = (
            f"the database has version {found} of the schema stocketl, and this stocketl knows versions up to "
            f"{latest()}: a newer one has used it. Start that one."
        )
        raise DatabaseError(msg)


def apply_next(cur: cursor) -> bool:
    """Applies the next file, if there is one. Call it, each time in a new transaction, until it returns False."""
    found = version(cur)
    if found >= latest():
        return False
    apply(cur, found + 1)
    return True


def apply(cur: cursor, number: int) -> None:
    """Runs one file and notes its number."""
    cur.execute(_files()[number - 1])
    cur.execute(
        "CREATE TABLE IF NOT EXISTS stocketl.schema_version"
        " (version integer PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT clock_timestamp())"
    )
    cur.execute("INSERT INTO stocketl.schema_version (version) VALUES (%s)", (number,))


def _files() -> list[str]:
    folder = importlib.resources.files("streaming.ledger") / "versions"
    names = sorted(entry.name for entry in folder.iterdir() if entry.name.endswith(".sql"))
    return [folder.joinpath(name).read_text(encoding="utf-8") for name in names]
