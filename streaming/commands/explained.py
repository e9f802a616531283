"""Whether the job keeps a table that explains the wide ones; a command that reads it says so if it does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.ledger.explained import keeps

if TYPE_CHECKING:
    from psycopg2.extensions import connection


def refuse_unless_kept(connected: connection, part: str) -> None:
    """Raises StockETLError if no job has kept this part of `--explain`, or the last one did not."""
    with connected.cursor() as cur:
        kept = keeps(cur, part)
    if kept:
        return
    msg = (
        f"the database has no stocketl.{part} yet: start the job with this version of stocketl, which makes it"
        if kept is None
        else f"the job does not keep stocketl.{part}: start it with {part} in --explain, and it is made from the tables"
    )
    raise StockETLError(msg)
