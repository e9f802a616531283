"""Where tickers live: planned in order, taken by the batch that brings them, then only looked up."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from ledger_rows import Run, query

from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError
from streaming.ledger import tickers as placement
from streaming.ledger import writer
from streaming.ledger.tickers import UnplannedError, plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def place(database: str) -> Iterator[Callable[..., Any]]:
    """`place_tickers` in a transaction on a database with an empty ledger."""
    with closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        yield lambda *arguments: transactions.run(lambda cur: placement.place_tickers(cur, *arguments))


def test_places_are_planned_in_sorted_order_in_the_first_tables_with_room() -> None:
    """800 tickers a table; the next ones go to the next table."""
    assert plan(["b", "a"], {}) == {"a": ("stk_a", 1), "b": ("stk_b", 1)}
    many = plan([f"n{n:03}" for n in range(799)], {1: 2})
    assert (many["n797"], many["n798"]) == (("stk_n797", 1), ("stk_n798", 2))
    assert plan(["x", "y"], {1: 800, 2: 799}) == {"x": ("stk_x", 2), "y": ("stk_y", 3)}


def test_tables_that_take_no_more_columns_get_no_more_tickers() -> None:
    """However few live there: the next table is as good."""
    assert plan(["x"], {1: 5, 2: 3}, full={1}) == {"x": ("stk_x", 2)}
    assert plan(["x"], {1: 5}, full={1, 2}) == {"x": ("stk_x", 3)}


def test_a_place_is_taken_once_and_stays(place: Callable[..., Any]) -> None:
    """A plan that was made for a ticker that has a place by now is not looked at."""
    assert place(["b", "a", "b"], {"a": ("stk_a", 1), "b": ("stk_b", 1)}) == {"a": ("stk_a", 1), "b": ("stk_b", 1)}
    assert place(["a", "c"], {"a": ("stk_a", 7), "c": ("stk_c", 1)}) == {"a": ("stk_a", 1), "c": ("stk_c", 1)}
    assert place(["a"], {}) == {"a": ("stk_a", 1)}


def test_a_ticker_without_place_and_plan_is_an_error(place: Callable[..., Any]) -> None:
    """Nothing of the transaction stays."""
    with pytest.raises(UnplannedError, match="'b' first"):
        place(["a", "b"], {"a": ("stk_a", 1)})
    with pytest.raises(UnplannedError, match="2 tickers"):
        place(["a", "b"], {})


@pytest.mark.parametrize(
    ("tickers", "asked", "found"),
    [
        (["007"], "7", "007"),
        (["007"], " 07 ", "007"),
        (["12345"], "0012345", "12345"),
        (["000"], "0", "000"),
        (["50", "050"], "50", "50"),
        (["BRK.B"], "BRK.B", "BRK.B"),
    ],
)
def test_series_finds_a_ticker_the_way_it_is_written_in_files(
    run: Run, tickers: list[str], asked: str, found: str
) -> None:
    """As it stands first, then as a number of three digits."""
    run(lambda cur: placement.place_tickers(cur, tickers, placement.plan(tickers, {})))
    prices = ", ".join(f'"stk_{ticker}"' for ticker in tickers)
    for table, kind in (("prices", "double precision"), ("returns", "double precision"), ("volume", "bigint")):
        columns = prices.replace(",", f" {kind},")
        run(lambda cur, made=f"CREATE TABLE {table} (date date PRIMARY KEY, {columns} {kind})": cur.execute(made))
        run(lambda cur, filled=f"INSERT INTO {table} (date) VALUES ('2024-01-01')": cur.execute(filled))  # noqa: S608 - three constants
    numbers = ", ".join(f'"stk_{ticker}" = {number}' for number, ticker in enumerate(tickers))
    run(lambda cur: cur.execute(f"UPDATE prices SET {numbers}"))  # noqa: S608 - this test's own ids
    want = float(tickers.index(found))
    assert query(run, "SELECT * FROM stocketl.series(%s)", asked) == [(dt.date(2024, 1, 1), want, None, None)]


def test_series_of_an_unknown_ticker_is_an_error(run: Run) -> None:
    """An empty chart would look like a ticker without prices."""
    with pytest.raises(DatabaseError, match="no ticker 'nope'"):
        query(run, "SELECT * FROM stocketl.series('nope')")


def test_new_tickers_that_differ_from_another_one_only_in_case_are_found(run: Run) -> None:
    """From known ones and from each other; a ticker that is known already is not new."""
    run(lambda cur: placement.place_tickers(cur, ["AAPL"], {"AAPL": ("stk_AAPL", 1)}))
    assert run(lambda cur: placement.alike(cur, ["aapl", "MSFT", "Msft", "X"])) == [("Msft", "MSFT"), ("aapl", "AAPL")]
    assert run(lambda cur: placement.alike(cur, ["AAPL"])) == []
