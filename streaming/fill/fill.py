"""`stocketl fill`: works out from the lake what is missing of the past in the tables beside the wide ones.

Delivery: exactly once for each drop. Drops come in stretches, each in one transaction; what is there already is left
alone. The wide tables, the checkpoint and the receipts that are written are not touched.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

from streaming.database.transactions import Transactions
from streaming.errors import StockETLError
from streaming.fill.past import EndedDrop, Past
from streaming.fill.tables import tables_of
from streaming.home.database import database, reading, refuse_missing_database
from streaming.ledger import writer
from streaming.screen import many

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from psycopg2.extensions import cursor

    from streaming.fill.past import PastStretch
    from streaming.fill.tables import FilledTable
    from streaming.settings import Settings

_DROPS = """
    SELECT seq, key, rows_loaded FROM stocketl.drops WHERE status <> 'loading' AND seq <= %s ORDER BY seq
"""


def fill(settings: Settings, told: Callable[[str], object]) -> None:
    """Fills the tables that the settings name. told: gets a line about what is done.

    Raises StockETLError if the lake does not have every drop that is needed; nothing is written then.
    """
    tables = tables_of(settings.explain)
    refuse_missing_database(settings)
    with database(settings) as login:
        drops = _drops_to_work_out(settings, tables, told)
        if not drops:
            return
        if settings.lake is None:
            msg = (
                "there is no lake to fill from (--lake none). If you want the past, `stocketl rebuild` loads all files "
                "anew and fills everything"
            )
            raise StockETLError(msg)
        past = Past(settings.lake, drops)
        with contextlib.closing(Transactions(login, threading.Event())) as transactions:
            for stretch in past.stretches():
                transactions.run(lambda cur, stretch=stretch: _take(cur, tables, stretch))  # type: ignore[misc]
                told(f"up to drop {stretch.seqs[-1]} of {drops[-1].seq}")


def _drops_to_work_out(settings: Settings, tables: list[FilledTable], told: Callable[[str], object]) -> list[EndedDrop]:
    """From the first drop to the last one that a table lacks; none if nothing is missing."""
    with reading(settings) as connected, connected.cursor() as cur:
        _refuse_older(cur)
        missing = {table.name: table.lacks(cur) for table in tables}
        last = max((seq for seqs in missing.values() for seq in seqs), default=0)
        cur.execute(_DROPS, (last,))
        drops = [EndedDrop(*row) for row in cur.fetchall()]
    for name, seqs in missing.items():
        told(f"{name}: {many(len(seqs), 'drop')} missing" if seqs else f"{name}: nothing is missing")
    return drops


def _take(cur: cursor, tables: list[FilledTable], stretch: PastStretch) -> None:
    writer.alone_in_the_past(cur)
    lacking: Mapping[str, set[int]] = {table.name: table.lacks(cur).intersection(stretch.seqs) for table in tables}
    for table in tables:
        table.take(cur, stretch, lacking[table.name])


def _refuse_older(cur: cursor) -> None:
    cur.execute("SELECT to_regclass('stocketl.corrections') IS NULL")
    if cur.fetchall() == [(True,)]:
        msg = (
            "the database is older than the tables that are to be filled: start this version of `stocketl run` once, "
            "which brings it forward, then fill"
        )
        raise StockETLError(msg)
