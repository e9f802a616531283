"""`stocketl.date_facts` made from the wide tables. What drops did on each date is then not known, and said to be so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streaming.audit.grid import read_grid
from streaming.dates.bits import DateBits, pieces
from streaming.dates.kept import write
from streaming.ledger.tickers import wide_name

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.packets import Int32


def fill(cur: cursor) -> None:
    """Fills the empty table, a few megabytes of cells at once."""
    cur.execute("SELECT id, column_name, table_no FROM stocketl.tickers ORDER BY table_no, id")
    groups: dict[int, dict[str, str]] = {}
    for ticker, column, number in cur.fetchall():
        groups.setdefault(number, {})[ticker] = column
    cur.execute(
        "INSERT INTO stocketl.ticker_bits (id, bit)"
        " SELECT id, row_number() OVER (ORDER BY table_no, id) - 1 FROM stocketl.tickers"
    )
    cur.execute("SELECT id, bit FROM stocketl.ticker_bits")
    bits = dict(cur.fetchall())
    for dates in pieces(_dates(cur, groups), len(bits)):
        found = DateBits.of_texts(dates, len(bits), {})
        for number, columns in groups.items():
            of_group = np.fromiter((bits[ticker] for ticker in columns), np.int64, len(columns))
            _take_in(cur, number, columns, of_group, found)
        write(cur, found, None, counted=False)


def _dates(cur: cursor, groups: dict[int, dict[str, str]]) -> Int32:
    every = [read_grid(cur, wide_name("prices", number), {}, np.float64)[0].date for number in groups]
    return np.unique(np.concatenate([np.empty(0, np.int32), *every]))


def _take_in(cur: cursor, number: int, columns: dict[str, str], bits: np.ndarray, found: DateBits) -> None:
    days = int(found.date[0]), int(found.date[-1])
    prices, _ = read_grid(cur, wide_name("prices", number), columns, np.float64, days)
    returns = read_grid(cur, wide_name("returns", number), columns, np.float64, days)[0].on(prices.date)
    row, column = np.nonzero(prices.there)
    values = np.where(returns.there, returns.values, np.nan)[row, column]
    found.take_in(np.searchsorted(found.date, prices.date)[row], bits[column], values)
