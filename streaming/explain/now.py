"""What the tables hold now for one cell, and for the dates of its ticker around it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import sql

from streaming.database.days import date_of, day_of
from streaming.ledger.tickers import placed, wide_name
from streaming.packets import UNKNOWN_VOLUME

if TYPE_CHECKING:
    import datetime as dt

    from psycopg2.extensions import cursor

_CELL = "SELECT p.date, p.{c}, r.{c}, v.{c} FROM {p} p JOIN {r} r USING (date) JOIN {v} v USING (date)"


@dataclass(frozen=True, slots=True)
class CellNow:
    """A cell: price, its return, volume, None where there is none. before_…: the ticker's date before; next_date."""

    ticker: str
    date: dt.date
    price: float | None = None
    change: float | None = None
    volume: int | None = None
    before_date: dt.date | None = None
    before_price: float | None = None
    before_volume: int | None = None
    next_date: dt.date | None = None

    @property
    def days(self) -> list[int]:
        """The days whose prices make the cell, days since 1970-01-01, the cell's own last."""
        dates = [self.date] if self.before_date is None else [self.before_date, self.date]
        return [day_of(date) for date in dates]

    @property
    def held(self) -> tuple[float, int] | None:
        """Price and volume, `UNKNOWN_VOLUME` = none; None: there is no price."""
        return _held(self.price, self.volume)

    @property
    def held_before(self) -> tuple[float, int] | None:
        """The same of the date before."""
        return _held(self.before_price, self.before_volume)


def cell_now(cur: cursor, ticker: str, day: int) -> CellNow:
    """The cell of a ticker of the tables. day: days since 1970-01-01."""
    column, number = placed(cur, [ticker])[ticker]
    cur.execute("SELECT wide_schema FROM stocketl.writer")
    ((schema,), *_) = cur.fetchall()
    names = {
        "c": sql.Identifier(column),
        **{kind[0]: sql.Identifier(schema, wide_name(kind, number)) for kind in ("prices", "returns", "volume")},
    }
    date = date_of(day)
    up_to = _CELL + " WHERE p.{c} IS NOT NULL AND p.date <= {d} ORDER BY p.date DESC LIMIT 2"
    cur.execute(sql.SQL(up_to).format(d=sql.Literal(date), **names))
    found = cur.fetchall()
    _, price, change, volume = found[0] if found and found[0][0] == date else (date, None, None, None)
    before = next((row for row in found if row[0] < date), (None, None, None, None))
    after = "SELECT min(p.date) FROM {p} p WHERE p.{c} IS NOT NULL AND p.date > {d}"
    cur.execute(sql.SQL(after).format(d=sql.Literal(date), c=names["c"], p=names["p"]))
    ((next_date,), *_) = cur.fetchall()
    return CellNow(ticker, date, price, change, volume, before[0], before[1], before[3], next_date)


def _held(price: float | None, volume: int | None) -> tuple[float, int] | None:
    return None if price is None else (price, UNKNOWN_VOLUME if volume is None else volume)
