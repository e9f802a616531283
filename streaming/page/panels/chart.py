"""The chart: ticker names as they are typed, and the values of a few tickers over time, whatever their group."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.ledger.tickers import placed
from streaming.page.panels.tables import has, wide_schema, wide_table

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from psycopg2.extensions import cursor

    from streaming.screen import Facts

MOST_TICKERS = 5
_MATCHES = 12
_KINDS = ("prices", "returns", "volume")


def matches(cur: cursor, typed: str) -> list[Facts]:
    """The first tickers that fit what was typed: the same first, then those that begin so, then those that hold it."""
    wanted = typed.strip()
    cur.execute(
        """
        SELECT t.id, l.date, l.price FROM stocketl.tickers t LEFT JOIN stocketl.latest l USING (id)
         WHERE strpos(lower(t.id), lower(%(wanted)s)) > 0
         ORDER BY t.id <> %(wanted)s, strpos(lower(t.id), lower(%(wanted)s)) > 1, length(t.id), t.id COLLATE "C"
         LIMIT %(most)s
        """,
        {"wanted": wanted, "most": _MATCHES},
    )
    return [{"id": ticker, "date": day, "price": price} for ticker, day, price in cur.fetchall()]


def first_ticker(cur: cursor) -> str | None:
    """The one to begin with: of the newest date, the one for which most money was paid."""
    cur.execute(
        "SELECT id FROM stocketl.latest WHERE date = (SELECT max(date) FROM stocketl.latest)"
        ' ORDER BY price * volume DESC NULLS LAST, id COLLATE "C" LIMIT 1'
    )
    return next((str(ticker) for (ticker,) in cur.fetchall()), None)


def series(cur: cursor, ids: Sequence[str], first: date | None = None, last: date | None = None) -> Facts:
    """Prices, returns and volumes of at most five tickers, in the order of the dates, which are days since 1970.

    first, last: only what drops with these dates may have changed, so each ticker's next price after `last` too: its
    return belongs to the one before.
    """
    places = placed(cur, ids[:MOST_TICKERS])
    schema = wide_schema(cur) if places else ""
    by_table: dict[int, list[str]] = defaultdict(list)
    for ticker, (_, table_no) in places.items():
        by_table[table_no].append(ticker)
    found: dict[int, dict[str, tuple[float | None, ...]]] = defaultdict(dict)
    for table_no, tickers in by_table.items():
        columns = [places[ticker][0] for ticker in tickers]
        for day, *values in _rows(cur, schema, table_no, columns, first, last):
            for at, ticker in enumerate(tickers):
                found[day][ticker] = tuple(values[at :: len(tickers)])
    days = sorted(found)
    empty = (None,) * len(_KINDS)
    told = {
        ticker: dict(
            zip(
                ("price", "return", "volume"),
                map(list, zip(*(found[day].get(ticker, empty) for day in days), strict=True)) if days else ([], [], []),
                strict=True,
            )
        )
        for ticker in places
    }
    return {"days": days, "tickers": told, "corrections": corrections(cur, list(places))}


def corrections(cur: cursor, ids: list[str]) -> dict[str, list[Facts]]:
    """The cells of these tickers that a later drop has changed, newest change last; nothing if none are kept."""
    if not ids or not has(cur, "stocketl.corrections"):
        return {}
    cur.execute(
        """
        SELECT id, date - DATE '1970-01-01', seq, price_before, price_after FROM stocketl.corrections
         WHERE id = ANY(%s)
           AND (price_before IS DISTINCT FROM price_after OR volume_before IS DISTINCT FROM volume_after)
         ORDER BY id, date, seq
        """,
        (ids,),
    )
    told: dict[str, list[Facts]] = defaultdict(list)
    for ticker, day, seq, before, after in cur.fetchall():
        told[ticker].append({"day": day, "seq": seq, "before": before, "after": after})
    return dict(told)


def _rows(  # noqa: PLR0917 - where and what
    cur: cursor, schema: str, table_no: int, columns: list[str], first: date | None, last: date | None
) -> list[tuple[int, ...]]:
    """Days since 1970, then the prices of the columns, their returns, their volumes."""
    names = [sql.Identifier(column) for column in columns]
    tables = {kind: wide_table(schema, kind, table_no) for kind in _KINDS}
    values = [sql.SQL("{}.{}").format(sql.SQL(kind[0]), name) for kind in _KINDS for name in names]
    next_prices = [
        sql.SQL(
            "(SELECT n.date FROM {} n WHERE n.date > %(last)s AND n.{} IS NOT NULL ORDER BY n.date LIMIT 1)"
        ).format(tables["prices"], name)
        for name in names
    ]
    wanted = sql.SQL(" OR ").join(sql.SQL("p.{} IS NOT NULL").format(name) for name in names)
    within = sql.SQL("p.date BETWEEN %(first)s AND GREATEST(%(last)s::date, {})").format(
        sql.SQL(", ").join(next_prices)
    )
    query = sql.SQL(
        "SELECT p.date - DATE '1970-01-01', {values} FROM {prices} p JOIN {returns} r USING (date)"
        " JOIN {volume} v USING (date) WHERE ({wanted}) AND {within} ORDER BY p.date"
    ).format(
        values=sql.SQL(", ").join(values),
        wanted=wanted,
        within=sql.SQL("true") if first is None else within,
        **tables,
    )
    cur.execute(query, {"first": first, "last": last or first})
    return cur.fetchall()
