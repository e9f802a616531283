"""The queries of `docs/ten-queries.md` beside the same ones on a plain long table, and beside SQL written by hand.

    python -m bench.queries URI

URI: a database that the job has filled with the S&P 500 set. The plain table is made in a schema of its own, which is
dropped in the end. Each time is the best of five; the client's part of it is the same for all three.
"""

from __future__ import annotations

import contextlib
import re
import sys
import time
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql
from rich.console import Console
from rich.table import Table

from bench import ROOT
from streaming.client import connect

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from psycopg2.extensions import cursor

PAGE = ROOT / "docs/ten-queries.md"
REPEATS = 5

PLAIN = {
    "1": """
        SELECT id, price, return FROM plain.ticks WHERE date = '2016-06-24' AND return IS NOT NULL
         ORDER BY abs(return) DESC, id LIMIT 10""",
    "2": "SELECT id FROM plain.ticks WHERE date = '2016-06-24' ORDER BY id",
    "3": """
        SELECT date, max(return) FILTER (WHERE id = 'AAPL'), max(return) FILTER (WHERE id = 'MSFT'),
               max(return) FILTER (WHERE id = 'JPM'), max(return) FILTER (WHERE id = 'XOM'),
               max(return) FILTER (WHERE id = 'GE')
          FROM plain.ticks WHERE id IN ('AAPL', 'MSFT', 'JPM', 'XOM', 'GE')
           AND date BETWEEN '2016-06-01' AND '2016-06-30' GROUP BY date ORDER BY date""",
    "4": """
        SELECT id, sum(price * volume) / sum(volume) AS vwap FROM plain.ticks
         WHERE date BETWEEN '2016-06-01' AND '2016-06-30' AND volume > 0 GROUP BY id ORDER BY id""",
    "5": """
        SELECT id, new.price / old.price - 1 AS momentum FROM plain.ticks new JOIN plain.ticks old USING (id)
         WHERE new.date = '2017-06-23' AND old.date = '2016-06-24' ORDER BY momentum DESC, id""",
    "6": """
        SELECT id, stddev_samp(return) * sqrt(252) AS volatility
          FROM (SELECT id, return, row_number() OVER (PARTITION BY id ORDER BY date DESC) AS back FROM plain.ticks
                 WHERE date BETWEEN date '2017-06-23' - 120 AND '2017-06-23' AND return IS NOT NULL) r
         WHERE back <= 63 GROUP BY id ORDER BY id""",
    "7": """
        SELECT date, id, return FROM plain.ticks WHERE date BETWEEN '2016-06-24' AND '2017-06-23'
           AND return IS NOT NULL ORDER BY date, id""",
    "8": """
        SELECT (SELECT max(date) FROM plain.ticks) AS newest_date,
               (SELECT max(loaded_at) FROM plain.ticks WHERE date = (SELECT max(date) FROM plain.ticks))""",
    "9": """
        SELECT id, date, price, key, loaded_at FROM plain.ticks WHERE id = 'AAPL' ORDER BY date DESC LIMIT 1""",
    "10": "SELECT date, id, price, return, volume FROM plain.ticks",
}
"""By the number of its heading. The plain table also has the file that gave each row, and when."""

_MADE = """
    DROP SCHEMA IF EXISTS plain CASCADE;
    CREATE SCHEMA plain;
    CREATE TABLE plain.ticks AS
    SELECT t.*, d.key, d.loaded_at FROM stocketl.ticks() t
      LEFT JOIN LATERAL (SELECT key, loaded_at FROM stocketl.drops
                          WHERE status = 'loaded' AND t.date BETWEEN first_date AND last_date
                          ORDER BY seq DESC LIMIT 1) d ON true;
    ALTER TABLE plain.ticks ADD PRIMARY KEY (date, id);
    CREATE INDEX ON plain.ticks (id, date);
    ANALYZE plain.ticks;
"""


def asked() -> dict[str, tuple[str, str]]:
    """The titles and the SQL of the page, by number; of the seventh, what stands for its Python."""
    found = re.findall(r"^## (\d+)\. (.+?)\n.*?^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return {number: (title, query if kind == "sql" else "") for number, title, kind, query in found}


def by_hand(cur: cursor) -> dict[str, sql.Composable]:
    """The best SQL for exactly these columns, as a program would write it that knows them all."""
    cur.execute("SELECT id, column_name FROM stocketl.tickers WHERE table_no = 1 ORDER BY id")
    ids, columns = zip(*cur.fetchall(), strict=True)

    def cells(table: str) -> sql.Composable:
        names = sql.SQL(", ").join(sql.Identifier(table, column) for column in columns)
        return sql.SQL("(SELECT ARRAY[{}] FROM {} WHERE {}.date = p.date)").format(
            names, sql.Identifier(table), sql.Identifier(table)
        )

    own = sql.SQL(", ").join(sql.Identifier("p", column) for column in columns)
    rows = sql.SQL(
        "SELECT p.date, u.* FROM prices p CROSS JOIN LATERAL unnest({}, ARRAY[{}], {}, {})"
        " u (id, price, return, volume) WHERE u.price IS NOT NULL"
    ).format(sql.Literal(list(ids)), own, cells("returns"), cells("volume"))
    day = sql.SQL("({} AND p.date = {})")
    first, last = (day.format(rows, sql.Literal(date)) for date in ("2016-06-24", "2017-06-23"))
    month = sql.SQL("({} AND p.date BETWEEN '2016-06-01' AND '2016-06-30')").format(rows)
    movers = "SELECT id, price, return FROM {} d ORDER BY abs(return) DESC NULLS LAST, id LIMIT 10"
    momentum = "SELECT id, n.price / o.price - 1 FROM {} n JOIN {} o USING (id) ORDER BY 2 DESC"
    return {
        "1": sql.SQL(movers).format(first),
        "2": sql.SQL("SELECT id FROM {} d ORDER BY id").format(first),
        "4": sql.SQL("SELECT id, sum(price * volume) / sum(volume) FROM {} m GROUP BY id ORDER BY id").format(month),
        "5": sql.SQL(momentum).format(last, first),
        "10": rows,
    }


def make_plain(cur: cursor) -> None:
    """The plain table, with the indexes that a person would give it."""
    cur.execute(_MADE)


def correlation(uri: str) -> pd.DataFrame:
    """The seventh query, as the page has it."""
    block = re.search(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    known: dict[str, object] = {"uri": uri, "connect": connect}
    exec(block[1] if block else "", known)  # noqa: S102 (the page's own lines)
    found: pd.DataFrame = known["correlation"]  # type: ignore[assignment]  # what the block makes
    return found


def main() -> None:
    """Prints the table."""
    uri = sys.argv[1]
    shown = Table("", "query", "ours, s", "by hand, s", "ratio", "plain table, s")
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection.cursor() as cur:
        make_plain(cur)
        hand = by_hand(cur)
        for number, (title, query) in asked().items():
            ours = _best(cur, query) if query else _best_call(lambda: correlation(uri))
            best = _best(cur, hand[number]) if number in hand else None
            plain = _best(cur, PLAIN[number])
            ratio = "" if best is None else f"{ours / best:.2f}"
            shown.add_row(number, title, f"{ours:.4f}", f"{best:.4f}" if best else "", ratio, f"{plain:.4f}")
        connection.rollback()
    Console().print(shown)


def _best(cur: cursor, query: str | sql.Composable) -> float:
    def work() -> None:
        cur.execute(query)
        cur.fetchall()

    return _best_call(work)


def _best_call(work: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return min(times)


if __name__ == "__main__":
    main()
