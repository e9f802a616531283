"""Names for people in SQL: they say the same as the wide tables, over all groups of tickers, for readers too."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg2
import pytest
from outcome import rows
from psycopg2 import errors, sql

from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError
from streaming.ledger import tickers as placement
from streaming.ledger import writer
from streaming.packets import Changes
from streaming.publish import wide
from streaming.publish.widening import Widening

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy.typing as npt

DAY = dt.date(2024, 1, 1)
HOSTILE = ['"; DROP TABLE prices; --', "%s%I", "a\\b'c", "{x,y}", "é" * 29 + "x", "NULL", "date", "007"]

Row = tuple[dt.date, str, float, float | None, int | None]


class Loaded:
    """A database to which rows are published as a batch does it, with three tickers in a table."""

    def __init__(self, database: str, transactions: Transactions) -> None:
        self.uri = database
        self._transactions = transactions
        self._widening = Widening(transactions, 0)

    def publish(self, new: list[Row]) -> None:
        """Rows in order of date, as new cells."""
        changes = _changes(sorted(new, key=lambda row: row[:2]))
        self._widening.run(changes.ids, lambda cur, planned: _write(cur, changes, planned))

    def ask(self, query: str | sql.Composed, *values: Any) -> list[tuple[Any, ...]]:
        """What a reader gets."""
        with contextlib.closing(psycopg2.connect(self.uri)) as connection, connection.cursor() as cur:
            cur.execute(query, values or None)
            return cur.fetchall()

    def change(self, statement: str) -> None:
        """What a person does by hand."""
        with contextlib.closing(psycopg2.connect(self.uri)) as person, person, person.cursor() as cur:
            cur.execute(statement)

    def cells(self) -> dict[tuple[dt.date, str], tuple[float | None, float | None, int | None]]:
        """The wide tables, read column by column."""
        found: dict[tuple[dt.date, str], list[Any]] = {}
        for ticker, column, number in self.ask("SELECT id, column_name, table_no FROM stocketl.tickers"):
            for at, kind in enumerate(("prices", "returns", "volume")):
                query = sql.SQL("SELECT date, {} FROM {}").format(
                    sql.Identifier(column), sql.Identifier(placement.wide_name(kind, number))
                )
                for day, value in self.ask(query):
                    found.setdefault((day, ticker), [None] * 3)[at] = value
        return {key: tuple(values) for key, values in found.items() if values[0] is not None}  # type: ignore[misc]


def _changes(new: list[Row]) -> Changes:
    codes = {ticker: code for code, ticker in enumerate(dict.fromkeys(row[1] for row in new))}
    epoch = dt.date(1970, 1, 1).toordinal()

    def column(values: list[Any], kind: type) -> npt.NDArray[Any]:
        return np.array(values, kind)

    return Changes(
        list(codes),
        column([codes[row[1]] for row in new], np.int32),
        column([row[0].toordinal() - epoch for row in new], np.int32),
        column([row[2] for row in new], np.float64),
        column([np.nan if row[3] is None else row[3] for row in new], np.float64),
        column([-1 if row[4] is None else row[4] for row in new], np.int64),
        column([7] * len(new), np.uint8),
    )


def _write(cur: Any, changes: Changes, planned: dict[str, placement.Place]) -> None:
    wide.write(cur, changes, placement.place_tickers(cur, changes.ids, planned))


def row(day: int, ticker: str, price: float = 1.0) -> Row:
    return (DAY + dt.timedelta(day), ticker, price, None, None)


@pytest.fixture
def loaded(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loaded]:
    monkeypatch.setattr(placement, "TICKERS_PER_TABLE", 3)
    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        yield Loaded(database, transactions)


def random_rows(seed: int) -> list[Row]:
    """Some dates of hostile tickers, with values that a text of 15 digits would not hold."""
    rng = np.random.default_rng(seed)
    return [
        (
            DAY + dt.timedelta(day),
            ticker,
            float(rng.random() * 10.0 ** rng.integers(-8, 12)),
            float(rng.normal()) if rng.random() < 0.7 else None,
            int(rng.integers(0, 2**63 - 1)) if rng.random() < 0.7 else None,
        )
        for day in range(12)
        for ticker in HOSTILE
        if rng.random() < 0.6
    ]


def test_every_way_to_ask_gives_what_stands_in_the_wide_tables(loaded: Loaded) -> None:
    """Day, ticks, series and the long views, bit by bit, over three groups of hostile tickers."""
    loaded.publish(random_rows(1)[:20])
    loaded.publish(random_rows(2))
    cells = loaded.cells()
    everything = sorted((day, ticker, *values) for (day, ticker), values in cells.items())
    assert {number for (number,) in loaded.ask("SELECT table_no FROM stocketl.tickers")} == {1, 2, 3}
    assert sorted(loaded.ask("SELECT * FROM stocketl.ticks()")) == everything
    for day in (DAY + dt.timedelta(days) for days in range(-1, 13)):
        assert sorted(loaded.ask("SELECT * FROM stocketl.day(%s)", day)) == [
            found[1:] for found in everything if found[0] == day
        ]
    for ticker in HOSTILE:
        assert loaded.ask("SELECT * FROM stocketl.series(%s)", ticker) == [
            (found[0], *found[2:]) for found in everything if found[1] == ticker
        ]
    for at, view in enumerate(("long_prices", "long_returns", "long_volume"), 2):
        long = loaded.ask(sql.SQL("SELECT * FROM stocketl.{}").format(sql.Identifier(view)))
        assert sorted(long) == [(*found[:2], found[at]) for found in everything if found[at] is not None]


def test_some_tickers_over_some_dates(loaded: Loaded) -> None:
    """Both dates count, an id may be given twice and in another case, no id gives no row."""
    loaded.publish([row(day, ticker, day + 1.0) for day in range(5) for ticker in ("A", "B", "C", "D", "E")])
    days = [DAY + dt.timedelta(day) for day in range(5)]
    asked = "SELECT date, id, price FROM stocketl.ticks(%s, %s, %s) ORDER BY date, id"
    assert loaded.ask(asked, ["e", "A", "A"], days[1], days[2]) == [
        (days[1], "A", 2.0), (days[1], "E", 2.0), (days[2], "A", 3.0), (days[2], "E", 3.0)
    ]  # fmt: skip
    assert len(loaded.ask(asked, ["D"], None, days[1])) == 2
    assert len(loaded.ask(asked, ["D"], days[1], None)) == 4
    assert loaded.ask(asked, [], None, None) == []
    with pytest.raises(errors.NoDataFound, match="no ticker 'F'"):
        loaded.ask(asked, ["A", "F"], None, None)


@pytest.mark.parametrize(
    ("asked", "found"),
    [("AAPL", "AAPL"), ("aapl", "AAPL"), (" Aapl ", "AAPL"), ("brk.b", "BRK.B"), ("7", "007"), ("Msft", "Msft")],
)
def test_a_ticker_is_found_as_it_is_typed(loaded: Loaded, asked: str, found: str) -> None:
    """Its own spelling comes first; another case will do if one ticker alone fits."""
    loaded.publish([row(0, ticker) for ticker in ("AAPL", "BRK.B", "007", "MSFT", "Msft")])
    assert loaded.ask("SELECT stocketl.ticker(%s)", asked) == [(found,)]
    assert loaded.ask("SELECT count(*) FROM stocketl.series(%s)", asked) == [(1,)]


def test_a_ticker_that_several_could_be_is_an_error_that_names_them(loaded: Loaded) -> None:
    """Nothing is chosen for the reader."""
    loaded.publish([row(0, "MSFT"), row(0, "Msft")])
    with pytest.raises(errors.NoDataFound, match="no ticker 'msft', but there are MSFT and Msft"):
        loaded.ask("SELECT * FROM stocketl.series('msft')")


def test_before_the_first_ticker_there_are_no_rows(loaded: Loaded) -> None:
    """A dashboard may be opened before the first drop."""
    assert loaded.ask("SELECT * FROM stocketl.day('2024-01-01')") == []
    assert loaded.ask("SELECT * FROM stocketl.ticks()") == []
    assert loaded.ask("SELECT * FROM stocketl.long_prices") == []


def test_a_view_that_was_dropped_by_hand_comes_back_with_the_next_ticker_of_its_group(loaded: Loaded) -> None:
    """The part and the whole, which went with it."""
    loaded.publish([row(0, ticker) for ticker in ("A", "B", "C", "D")])
    loaded.change("DROP VIEW stocketl.long_prices_2 CASCADE")
    loaded.publish([row(0, "E")])
    assert sorted(loaded.ask("SELECT id FROM stocketl.long_prices")) == [("A",), ("B",), ("C",), ("D",), ("E",)]


def test_a_reader_with_the_rights_that_the_readme_gives_may_ask(loaded: Loaded) -> None:
    """Also for tables and views that were made after the grants."""
    loaded.change(
        """
        DROP ROLE IF EXISTS names_reader;
        CREATE ROLE names_reader LOGIN;
        GRANT USAGE ON SCHEMA stocketl, public TO names_reader;
        GRANT SELECT ON ALL TABLES IN SCHEMA stocketl, public TO names_reader;
        ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO names_reader;
        """
    )
    loaded.publish([row(0, ticker) for ticker in ("A", "B", "C", "D")])
    loaded.uri = loaded.uri.replace("postgres@", "names_reader@")
    for what in ("day('2024-01-01')", "ticks(ARRAY['a', 'd'])", "series('d')", "long_returns", "latest"):
        loaded.ask(f"SELECT * FROM stocketl.{what}")  # noqa: S608 - five constants
    with pytest.raises(errors.InsufficientPrivilege):
        loaded.ask("SELECT stocketl.keep_long_view('prices', 1); CREATE VIEW stocketl.mine AS SELECT 1")


def test_everything_has_a_comment(loaded: Loaded) -> None:
    """Each table, view, column and function of the schema, and each wide table."""
    loaded.publish([row(0, ticker) for ticker in ("A", "B", "C", "D")])
    assert (
        rows(
            loaded.uri,
            """
        SELECT c.relname AS name, a.attname AS part
          FROM pg_class c LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         WHERE c.relnamespace = 'stocketl'::regnamespace AND c.relkind IN ('r', 'v')
           AND (obj_description(c.oid, 'pg_class') IS NULL OR col_description(c.oid, a.attnum) IS NULL)
        UNION ALL
        SELECT proname, NULL FROM pg_proc
         WHERE pronamespace = 'stocketl'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
        UNION ALL
        SELECT relname, NULL FROM pg_class
         WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND obj_description(oid, 'pg_class') IS NULL
        """,
        )
        == []
    )


def test_an_unknown_ticker_is_no_transient_error(loaded: Loaded) -> None:
    """A transaction of the job would not be tried again for ever."""
    with (
        contextlib.closing(Transactions(loaded.uri, threading.Event())) as transactions,
        pytest.raises(DatabaseError, match="no ticker 'nope'"),
    ):
        transactions.run(lambda cur: cur.execute("SELECT stocketl.ticker('nope')"))
