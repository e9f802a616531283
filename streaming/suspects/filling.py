"""`stocketl.suspect_cells` made from the wide tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.suspects.kept import insert, pair
from streaming.suspects.loading import everything
from streaming.suspects.watch import Examined

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.suspects.moves import SuspectLimits

_TICKERS_AT_ONCE = 100


def fill(cur: cursor, limits: SuspectLimits) -> None:
    """Fills the empty table, some tickers at once."""
    cur.execute("SELECT id, column_name, table_no FROM stocketl.tickers ORDER BY table_no, id")
    rows = cur.fetchall()
    for number in sorted({number for _, _, number in rows}):
        of_group = [(ticker, column) for ticker, column, table in rows if table == number]
        for start in range(0, len(of_group), _TICKERS_AT_ONCE):
            some = of_group[start : start + _TICKERS_AT_ONCE]
            series, found = everything(cur, number, dict(some)), Examined()
            found.add([ticker for ticker, _ in some], series, np.ones(len(series), bool), limits)
            insert(cur, found.suspects)
    pair(cur, None)
