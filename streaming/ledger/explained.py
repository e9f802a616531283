"""Which tables beside the wide ones the job keeps, as `--explain` said at its last start."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from psycopg2.extensions import cursor


def keeps(cur: cursor, part: str) -> bool | None:
    """Whether the job keeps this part (`corrections`, `dates`, `suspects`). None: the database is older than that."""
    cur.execute("SELECT to_regclass('stocketl.explained') IS NOT NULL")
    if cur.fetchall() != [(True,)]:
        return None
    cur.execute("SELECT EXISTS (SELECT FROM stocketl.explained WHERE part = %s)", (part,))
    return cur.fetchall() == [(True,)]
