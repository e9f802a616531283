"""The cells that are worth a look, if the job keeps them (`stocketl.suspects`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.ledger.explained import keeps

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.screen import Facts

MOST = 200


def suspects(cur: cursor) -> Facts:
    """The newest ones, newest first; `kept` is false if the database does not have them."""
    if not keeps(cur, "suspects"):
        return {"kept": False, "count": 0, "suspects": []}
    cur.execute("SELECT count(*) FROM stocketl.suspects")
    ((count,),) = cur.fetchall()
    cur.execute(
        "SELECT date, id, kind, price, level_date, level, ratio, swapped_with, cells FROM stocketl.suspects"
        ' ORDER BY date DESC, id COLLATE "C" NULLS FIRST, kind LIMIT %s',
        (MOST,),
    )
    names = [column.name for column in cur.description or ()]
    return {"kept": True, "count": count, "suspects": [dict(zip(names, row, strict=True)) for row in cur.fetchall()]}
