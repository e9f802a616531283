"""Batches as a listener gets them: each once, in order, also over a broken connection."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from queue import Queue
from typing import TYPE_CHECKING

import psycopg2
import pytest
from asked_home import README, AskedHome
from conditions import until
from outcome import rows

from streaming.errors import DatabaseError
from streaming.frames.changes import BatchSeen, changes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LISTENS = """
    SELECT pid FROM pg_stat_activity
     WHERE application_name = 'listener' AND state = 'idle' AND query ~ 'min.d.first_date'
       AND datname = current_database()
"""


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[AskedHome]:
    with contextlib.closing(AskedHome(database, tmp_path, monkeypatch)) as made:
        made.drop(README)
        yield made


@pytest.fixture
def heard(home: AskedHome) -> Iterator[Queue[BatchSeen]]:
    """What a listener in a thread hears, from when it listens; it ends with its database."""
    found: Queue[BatchSeen] = Queue()

    def listen() -> None:
        with contextlib.suppress(DatabaseError):
            for batch in changes(lambda: psycopg2.connect(home.uri, application_name="listener"), None):
                found.put(batch)
                if batch.keys == ("last.csv",):
                    return

    thread = threading.Thread(target=listen)
    thread.start()
    until(lambda: rows(home.uri, LISTENS))
    yield found
    home.load("last.csv", "date,id,price\n2024-03-01,AAPL,9\n")
    thread.join()


def test_each_batch_from_now_on_is_told_once(home: AskedHome, heard: Queue[BatchSeen]) -> None:
    """With its drops, cells and dates; what was loaded before is not told."""
    home.drop("date,id,price\n2024-02-01,AAPL,1\n2024-02-02,AAPL,2\n")
    home.drop("date,id,price\n2024-02-05,BRK.B,1\n")
    first, second = heard.get(), heard.get()
    assert (first.keys, first.cells, first.first_date, first.last_date) == (
        ("2.csv",), 4, dt.date(2024, 2, 1), dt.date(2024, 2, 2)
    )  # fmt: skip
    assert (second.keys, second.batch_id) == (("3.csv",), first.batch_id + 1)
    assert second.committed_at > first.committed_at


def test_batches_of_the_time_without_a_connection_are_told_too(home: AskedHome, heard: Queue[BatchSeen]) -> None:
    """The listener connects again by itself."""
    [listening] = rows(home.uri, LISTENS)
    rows(home.uri, "SELECT pg_terminate_backend(%s)", listening["pid"])
    home.drop("date,id,price\n2024-02-01,AAPL,1\n")
    assert heard.get().keys == ("2.csv",)


def test_it_ends_when_nothing_has_come_for_so_long(home: AskedHome) -> None:
    """A script need not wait for ever."""
    assert list(changes(lambda: psycopg2.connect(home.uri), 0.2)) == []


def test_an_error_that_waiting_does_not_mend_is_told(database: str) -> None:
    """A database without a ledger has no batches."""
    with pytest.raises(DatabaseError, match=r"stocketl\.batches"):
        list(changes(lambda: psycopg2.connect(database), None))
