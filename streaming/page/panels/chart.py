"""The chart: ticker names as they are typed, and the values of a few tickers over time, whatever their group."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.ledger.tickers import placed
from streaming.page.panels.tables import has, wide_schema, wide_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
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
) -> Iterator[tuple[int, ...]]:
    """Days since 1970 on which a column has a price, then the prices of the columns, their returns, their volumes.

    One query a table: to plan a join of three tables of 801 columns takes 5 ms, a query of one 0.2 ms.
    """
    names = [sql.Identifier(column) for column in columns]
    tables = [wide_table(schema, kind, table_no) for kind in _KINDS]
    if first is not None:
        last = max([last or first, *_next_prices(cur, tables[0], names, last or first)])
    query = sql.SQL("SELECT date - DATE '1970-01-01', {} FROM {} WHERE {} ORDER BY date")
    within = sql.SQL("true") if first is None else sql.SQL("date BETWEEN %(first)s AND %(last)s")
    read = []
    for table in tables:
        cur.execute(query.format(sql.SQL(", ").join(names), table, within), {"first": first, "last": last})
        read.append({day: values for day, *values in cur.fetchall()})
    prices, returns, volumes = read
    for day, found in prices.items():
        if any(price is not None for price in found):
            yield (day, *found, *returns[day], *volumes[day])


def _next_prices(cur: cursor, prices: sql.Identifier, names: list[sql.Identifier], last: date) -> list[date]:
    """The first date after this one on which each column has a price, if there is one."""
    one = sql.SQL("(SELECT date FROM {} WHERE date > %(last)s AND {} IS NOT NULL ORDER BY date LIMIT 1)")
    cur.execute(sql.SQL(" UNION ALL ").join(one.format(prices, name) for name in names), {"last": last})
    return [day for (day,) in cur.fetchall()]
