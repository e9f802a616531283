"""The sessions of an exchange, as they lie in the database."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from streaming.database.transactions import Transactions
from streaming.dates.calendar import check_calendar, keep_sessions, sessions, weekdays
from streaming.errors import SettingsError
from streaming.ledger import writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor

TODAY = dt.date(2024, 3, 4)


@pytest.fixture
def transactions(database: str) -> Iterator[Transactions]:
    with closing(Transactions(database, threading.Event())) as made:
        made.run(writer.create)
        yield made


def kept(cur: cursor) -> tuple[object, ...]:
    cur.execute("SELECT min(date), max(date), min(calendar), max(calendar) FROM stocketl.sessions")
    return cur.fetchall()[0]


def test_sessions_are_those_of_the_exchange() -> None:
    """No weekends and no holidays; a day that ends early is a session."""
    found = sessions("XNYS", dt.date(2024, 7, 1), dt.date(2024, 7, 8))
    assert [day.day for day in found] == [1, 2, 3, 5, 8]


def test_without_a_calendar_mondays_to_fridays_count() -> None:
    """Holidays too, since nobody says which days these are."""
    assert [day.day for day in weekdays(dt.date(2024, 7, 3), dt.date(2024, 7, 8))] == [3, 4, 5, 8]


def test_a_name_that_is_no_calendar_is_refused() -> None:
    """The message names some that are."""
    check_calendar("XNYS")
    with pytest.raises(SettingsError, match="such as XNYS, XLON or XETR, got 'NYSEX'"):
        check_calendar("NYSEX")


def test_the_table_follows_the_data_the_days_and_the_setting(transactions: Transactions) -> None:
    """It reaches from the oldest data to some weeks ahead, is made again for another calendar, and goes without one."""
    run = transactions.run
    assert run(lambda cur: keep_sessions(cur, "XNYS", TODAY))
    assert run(kept) == (dt.date(1990, 1, 2), dt.date(2024, 5, 31), "XNYS", "XNYS")
    assert not run(lambda cur: keep_sessions(cur, "XNYS", TODAY))
    assert run(lambda cur: keep_sessions(cur, "XNYS", TODAY + dt.timedelta(days=60)))
    run(lambda cur: cur.execute("INSERT INTO stocketl.date_facts VALUES ('1980-06-02', 1, 0, '1', '', 1, 1, 1, 0, 0)"))
    assert run(lambda cur: keep_sessions(cur, "XNYS", TODAY))
    assert run(kept)[0] == dt.date(1980, 6, 2)
    assert run(lambda cur: keep_sessions(cur, "XLON", TODAY))
    assert run(kept)[2:] == ("XLON", "XLON")
    assert run(lambda cur: keep_sessions(cur, None, TODAY))
    assert run(kept) == (None, None, None, None)
