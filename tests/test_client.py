"""The client as a program uses it: its examples, its types, its errors."""

from __future__ import annotations

import contextlib
import datetime as dt
import doctest
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from asked_home import README, AskedHome

from streaming import client
from streaming.client import connect
from streaming.errors import DatabaseError, SettingsError
from streaming.frames import names

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AskedHome]:
    with contextlib.closing(AskedHome(database, tmp_path, monkeypatch)) as made:
        made.drop(README)
        yield made


def test_the_examples_of_the_client_run(home: AskedHome) -> None:
    """What the docstrings show is what comes out, with the README's three rows loaded."""
    for module in (client, names):
        found = doctest.testmod(module, extraglobs={"uri": home.uri}, optionflags=doctest.NORMALIZE_WHITESPACE)
        assert found.attempted > 0
        assert found.failed == 0


@pytest.mark.parametrize("day", ["2024-01-03", dt.date(2024, 1, 3), dt.datetime(2024, 1, 3, 18, tzinfo=dt.UTC)])
def test_a_day_may_be_a_date_a_datetime_or_a_text(home: AskedHome, day: Any) -> None:
    """All three mean the same day."""
    with connect(home.uri, frame="polars") as stocks:
        assert stocks.day(day).rows() == [("AAPL", 130.0, 0.015625, None), ("MSFT", 370.1, None, 1200)]
        assert stocks.prices("MSFT", day, day).rows() == [(dt.date(2024, 1, 3), 370.1)]


def test_the_newest_row_of_each_ticker(home: AskedHome) -> None:
    """In one frame, with types."""
    with connect(home.uri, frame="polars") as stocks:
        latest = stocks.latest()
    assert latest.rows() == [
        ("AAPL", dt.date(2024, 1, 3), 130.0, 0.015625, None),
        ("MSFT", dt.date(2024, 1, 3), 370.1, None, 1200),
    ]
    assert latest.schema == {
        "id": pl.String, "date": pl.Date, "price": pl.Float64, "return": pl.Float64, "volume": pl.Int64
    }  # fmt: skip


def test_a_call_after_an_error_has_a_connection_of_its_own(home: AskedHome) -> None:
    """A cut connection costs one call, and an unknown ticker costs none."""
    with connect(home.uri) as stocks:
        with pytest.raises(names.UnknownTickerError, match="the nearest are AAPL"):
            stocks.returns(["AAPPL"])
        assert stocks.tickers() == ["AAPL", "MSFT"]
        home.change(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        with pytest.raises(DatabaseError):
            stocks.tickers()
        assert stocks.tickers() == ["AAPL", "MSFT"]


def test_changes_end_after_a_time_without_a_batch(home: AskedHome) -> None:
    """The wait has a connection of its own, so the client may be used meanwhile."""
    with connect(home.uri) as stocks:
        assert list(stocks.changes(timeout=0.1)) == []


@pytest.mark.parametrize(
    ("use", "said"),
    [
        (lambda uri: connect(uri, frame="spark"), "expected 'pandas', 'polars' or 'arrow', got 'spark'"),
        (lambda uri: connect(uri).day("03/01/2024"), "expected a date such as 2024-01-02, got '03/01/2024'"),
        (
            lambda uri: connect(uri).prices(start="2024-02-01", end="2024-01-01"),
            "not after end, 2024-01-01, got 2024-02",
        ),
        (lambda uri: connect(uri).prices(start="soon"), "expected a date such as 2024-01-02, got 'soon'"),
    ],
)
def test_a_wrong_argument_is_told_with_what_was_expected(home: AskedHome, use: Any, said: str) -> None:
    """Before PostgreSQL is asked."""
    with pytest.raises(SettingsError, match=said):
        use(home.uri)
