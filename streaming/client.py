"""The tables as frames, for programs that read: `connect(uri).returns(["AAPL", "BRK.B"], start, end)`.

A frame has one column for each ticker, whatever the wide tables are. The URI is what `stocketl database` prints, or
that of a role that may only read.

>>> from streaming.client import connect
>>> with connect(uri) as stocks:
...     print(stocks.tickers())
...     print(stocks.prices(["AAPL", "msft"]))
...     print(stocks.volume(["AAPL"], end="2024-01-02"))
...     print(stocks.day("2024-01-03"))
['AAPL', 'MSFT']
             AAPL   MSFT
date
2024-01-02  128.0    NaN
2024-01-03  130.0  370.1
            AAPL
date
2024-01-02  5000
      price    return  volume
id
AAPL  130.0  0.015625    <NA>
MSFT  370.1       NaN    1200
>>> connect(uri, frame="arrow").returns().to_pylist()
[{'date': datetime.date(2024, 1, 3), 'AAPL': 0.015625, 'MSFT': None}]
>>> connect(uri).prices(["APPL"])
Traceback (most recent call last):
    ...
streaming.frames.names.UnknownTickerError: no ticker 'APPL'; the nearest are AAPL
"""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar, overload

import psycopg2
import pyarrow as pa
from psycopg2 import sql

from streaming.database.connect import TimeLimits, begin
from streaming.database.connect import connect as opened
from streaming.database.sqlstates import plain
from streaming.errors import SettingsError
from streaming.frames import shapes, tables
from streaming.frames.changes import changes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from types import TracebackType

    import pandas as pd
    import polars as pl
    from psycopg2.extensions import connection, cursor

    from streaming.frames.changes import BatchSeen

Frame = TypeVar("Frame")
Read = TypeVar("Read")
Day = dt.date | str

_VALUES = {"price": pa.float64(), "return": pa.float64(), "volume": pa.int64()}
_NO_LIMITS = TimeLimits(idle_in_transaction_session_timeout=0, statement_timeout=0)


class Client(Generic[Frame]):
    """Reads one database. Each call is a transaction of its own, and sees whole batches only. Not for several threads.

    A date is a `date`, a `datetime` or a text such as `2024-01-02`. Tickers are found as `stocketl.ticker` finds them:
    `aapl` is `AAPL` if it alone fits. Raises UnknownTickerError for others, DatabaseError if PostgreSQL refuses.
    """

    def __init__(self, uri: str, made: Callable[[pa.Table, str], Frame]) -> None:
        self._uri = uri
        self._made = made
        self._connection: connection | None = None

    def prices(
        self, tickers: Iterable[str] | str | None = None, start: Day | None = None, end: Day | None = None
    ) -> Frame:
        """One row a date, one column a ticker; None: all. Both limits are included. NaN or null: no price.

        A date is there if one of the tickers has a value on it.
        """
        return self._wide("prices", tickers, start, end)

    def returns(
        self, tickers: Iterable[str] | str | None = None, start: Day | None = None, end: Day | None = None
    ) -> Frame:
        """As `prices`. A return is the price divided by the ticker's one before, minus 1."""
        return self._wide("returns", tickers, start, end)

    def volume(
        self, tickers: Iterable[str] | str | None = None, start: Day | None = None, end: Day | None = None
    ) -> Frame:
        """As `prices`, in whole numbers; null: unknown."""
        return self._wide("volume", tickers, start, end)

    def day(self, day: Day) -> Frame:
        """`id`, `price`, `return`, `volume` of each ticker with a price on this day."""
        query = sql.SQL("SELECT id, price, return, volume FROM stocketl.day({})").format(sql.Literal(_day(day)))
        return self._long(query, {"id": pa.string(), **_VALUES})

    def latest(self) -> Frame:
        """`id`, `date`, `price`, `return`, `volume`: the newest date of each ticker."""
        query = sql.SQL('SELECT id, date, price, return, volume FROM stocketl.latest ORDER BY id COLLATE "C"')
        return self._long(query, {"id": pa.string(), "date": pa.date32(), **_VALUES})

    def tickers(self) -> list[str]:
        """All tickers, sorted."""
        return self._read(tables.tickers)

    def changes(self, timeout: float | None = None) -> Iterator[BatchSeen]:
        """Yields each batch once it can be seen, from now on. It waits by LISTEN and does not poll.

        Ends if none has come for `timeout` seconds. LISTEN does not work through a pooler.
        """
        return changes(lambda: opened(self._uri, read_only=True), timeout)

    def close(self) -> None:
        """Ends the connection. The next call opens another one."""
        connected, self._connection = self._connection, None
        if connected is not None:
            connected.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _wide(self, kind: str, tickers: Iterable[str] | str | None, start: Day | None, end: Day | None) -> Frame:
        asked = [tickers] if isinstance(tickers, str) else tickers
        first, last = (None if limit is None else _day(limit) for limit in (start, end))
        if first is not None and last is not None and first > last:
            msg = f"start: expected a date that is not after end, {last}, got {first}"
            raise SettingsError(msg)
        return self._made(self._read(lambda cur: tables.wide(cur, kind, asked, first, last)), tables.DATE)

    def _long(self, query: sql.Composable, types: dict[str, pa.DataType]) -> Frame:
        return self._made(self._read(lambda cur: tables.copied(cur, query, types)), "id")

    def _read(self, work: Callable[[cursor], Read]) -> Read:
        try:
            if self._connection is None or self._connection.closed:
                self._connection = opened(self._uri, read_only=True)
                self._connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with self._connection.cursor() as cur:
                begin(cur, _NO_LIMITS, read_only=True)
                found = work(cur)
            self._connection.rollback()
        except psycopg2.Error as error:
            self.close()
            raise plain(error) from None
        except BaseException:
            self.close()
            raise
        return found


@overload
def connect(uri: str, frame: Literal["pandas"] = "pandas") -> Client[pd.DataFrame]: ...
@overload
def connect(uri: str, frame: Literal["polars"]) -> Client[pl.DataFrame]: ...
@overload
def connect(uri: str, frame: Literal["arrow"]) -> Client[pa.Table]: ...
def connect(uri: str, frame: shapes.Shape = "pandas") -> Client[pd.DataFrame] | Client[pl.DataFrame] | Client[pa.Table]:
    """A client of this database. frame: what its calls return. The connection is made by the first call."""
    if frame == "pandas":
        return Client(uri, shapes.as_pandas)
    if frame == "polars":
        return Client(uri, shapes.as_polars)
    if frame == "arrow":
        return Client(uri, shapes.as_arrow)
    msg = f"frame: expected 'pandas', 'polars' or 'arrow', got {frame!r}"
    raise SettingsError(msg)


def _day(given: Day) -> dt.date:
    if isinstance(given, dt.datetime):
        return given.date()
    if isinstance(given, dt.date):
        return given
    try:
        return dt.date.fromisoformat(given)
    except (TypeError, ValueError):
        msg = f"expected a date such as 2024-01-02, got {given!r}"
        raise SettingsError(msg) from None
