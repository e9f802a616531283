"""A click on the chart: where the value of a date and ticker comes from, by the ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from streaming.ledger.fates import FATE
from streaming.ledger.tickers import placed
from streaming.page.panels.tables import has, wide_schema, wide_table

if TYPE_CHECKING:
    import datetime as dt

    from psycopg2.extensions import cursor

    from streaming.screen import Facts

_MOST_DROPS = 20
_DROPS = f"""
    SELECT d.seq, d.key, {FATE}, d.loaded_at AS ended_at, d.rows_loaded, d.first_date, d.last_date
      FROM stocketl.drops d
     WHERE d.rows_loaded > 0 AND %(day)s BETWEEN d.first_date AND d.last_date ORDER BY d.seq DESC LIMIT %(most)s
"""  # noqa: S608 (constants)
_CORRECTIONS = """
    SELECT c.seq, d.key, c.price_before, c.price_after, c.volume_before, c.volume_after,
           c.return_before, c.return_after, c.at
      FROM stocketl.corrections c LEFT JOIN stocketl.drops d USING (seq)
     WHERE c.id = %(ticker)s AND c.date = %(day)s ORDER BY c.seq DESC LIMIT %(most)s
"""


def explained(cur: cursor, day: dt.date, ticker: str) -> Facts | None:
    """The cell, the price before it, what corrected it, and the drops that may have given it; None: no such ticker."""
    places = placed(cur, [ticker])
    if ticker not in places:
        return None
    values = {"day": day, "ticker": ticker, "most": _MOST_DROPS}
    changed = _rows(cur, _CORRECTIONS, values) if has(cur, "stocketl.corrections") else None
    return {
        "date": day,
        "id": ticker,
        **_cell(cur, places[ticker], day),
        "corrections": changed,
        "drops": _rows(cur, _DROPS, values),
    }


def _cell(cur: cursor, place: tuple[str, int], day: dt.date) -> Facts:
    column, table_no = sql.Identifier(place[0]), place[1]
    schema = wide_schema(cur)
    prices, returns, volume = (wide_table(schema, kind, table_no) for kind in ("prices", "returns", "volume"))
    query = sql.SQL(
        "SELECT p.{c}, r.{c}, v.{c} FROM {p} p JOIN {r} r USING (date) JOIN {v} v USING (date) WHERE p.date = %s"
    ).format(c=column, p=prices, r=returns, v=volume)
    cur.execute(query, (day,))
    price, back, traded = next(iter(cur.fetchall()), (None, None, None))
    before_it = sql.SQL("SELECT date, {c} FROM {p} WHERE date < %s AND {c} IS NOT NULL ORDER BY date DESC LIMIT 1")
    cur.execute(before_it.format(c=column, p=prices), (day,))
    before, price_before = next(iter(cur.fetchall()), (None, None))
    return {
        "price": price,
        "return": back,
        "volume": traded,
        "previous_date": before,
        "previous_price": price_before,
    }


def _rows(cur: cursor, query: str, values: dict[str, object]) -> list[Facts]:
    with cur.connection.cursor(cursor_factory=RealDictCursor) as named:
        named.execute(query, values)
        return [dict(row) for row in named.fetchall()]
