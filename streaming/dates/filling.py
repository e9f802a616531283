"""`stocketl.date_facts` made from the wide tables.

What drops did on each date is then not known, and said to be so, until `stocketl fill` counts it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from psycopg2.extras import execute_values

from streaming.audit.grid import read_grid
from streaming.dates.bits import NEVER, DateBits, count_drops, joined, pieces
from streaming.dates.kept import rows_of, write
from streaming.ledger.tickers import wide_name

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.packets import Dated, Int32

_COUNT = """
    UPDATE stocketl.date_facts f
       SET drops = c.drops, first_seq = c.first_seq, last_seq = c.last_seq, late_cells = c.late,
           restated_cells = c.restated, counted = true,
           first_load = (SELECT loaded_at FROM stocketl.drops d WHERE d.seq = c.first_seq),
           last_load = (SELECT loaded_at FROM stocketl.drops d WHERE d.seq = c.last_seq)
      FROM (VALUES %s) AS c (day, drops, first_seq, last_seq, late, restated)
     WHERE f.date = DATE '1970-01-01' + c.day AND NOT f.counted AND f.last_seq <= {up_to:d}
"""


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
        write(cur, rows_of(found, None, counted=False), counted=False)


def count(cur: cursor, dated: list[Dated], *, up_to: int) -> None:
    """Counts what drops did on dates that were made from the tables.

    dated: of all drops from the first one to `up_to`, in their order. A date that has a later drop is left alone.
    """
    every = joined(dated)
    if not len(every):
        return
    counts = count_drops(every, (NEVER, NEVER), {})
    columns = (counts.date, counts.drops, counts.first_seq, counts.last_seq, counts.late, counts.restated)
    rows = list(zip(*(column.tolist() for column in columns), strict=True))
    execute_values(cur, _COUNT.format(up_to=up_to), rows, page_size=1000)


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
