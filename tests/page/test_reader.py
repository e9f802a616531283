"""The page's sessions can only read, and are opened again if they break."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import psycopg2
import pytest

from streaming.database.listening import ROLE, make_role
from streaming.database.login import Login
from streaming.database.transactions import Transactions
from streaming.ledger import writer
from streaming.page.reader import AwayError, Reader

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import cursor


@pytest.fixture
def reader(database: str) -> Iterator[Reader]:
    """On a database with an empty ledger, as on the embedded server."""
    transactions = Transactions(database, threading.Event())
    transactions.run(writer.create)
    transactions.close()
    made = Reader(Login(database), embedded=True)
    yield made
    made.close()


def answer(cur: cursor, query: str) -> object:
    cur.execute(query)
    ((found,),) = cur.fetchall()
    return found


def test_a_session_acts_as_the_role_that_reads(reader: Reader) -> None:
    """It sees the tables, and other roles' sessions."""
    assert reader.run(lambda cur: answer(cur, "SELECT current_user")) == ROLE
    assert reader.run(lambda cur: answer(cur, "SELECT count(*) FROM stocketl.drops")) == 0


def test_a_role_that_was_left_without_its_rights_gets_them(reader: Reader, database: str) -> None:
    """As a page leaves it that is killed in between, or as another thread sees it for a moment."""
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        make_role(cur)
        cur.execute(f"REVOKE pg_read_all_data, pg_read_all_stats FROM {ROLE}")
    connection.close()
    assert reader.run(lambda cur: answer(cur, "SELECT count(*) FROM stocketl.drops")) == 0


def test_threads_that_make_the_role_at_once_may_all_read(reader: Reader, database: str) -> None:
    """Of the first sessions of a new server none is refused."""
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        cur.execute(f"DROP OWNED BY {ROLE}; DROP ROLE {ROLE}")
    connection.close()
    begin = threading.Barrier(3, timeout=60)

    def ask(_: int) -> object:
        begin.wait()
        return reader.run(lambda cur: answer(cur, "SELECT count(*) FROM stocketl.drops"))

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(ask, range(3))) == [0, 0, 0]


def test_a_session_writes_nothing(reader: Reader) -> None:
    """Neither in the transaction of a query nor in one that is told to write, for the role may not."""
    with pytest.raises(AwayError, match="read-only"):
        reader.run(lambda cur: cur.execute("DELETE FROM stocketl.drops"))
    opened = reader.open()
    with opened.cursor() as cur:
        cur.execute("SHOW default_transaction_read_only")
        assert cur.fetchall() == [("on",)]
        cur.execute("BEGIN READ WRITE")
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            cur.execute("DELETE FROM stocketl.drops")
    opened.close()


def test_a_session_that_was_cut_is_opened_again(reader: Reader, database: str) -> None:
    """The next query does not notice."""
    pid = reader.run(lambda cur: answer(cur, "SELECT pg_backend_pid()"))
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        cur.execute("SELECT pg_terminate_backend(%s)", (pid,))
    connection.close()
    assert reader.run(lambda cur: answer(cur, "SELECT 1")) == 1


def test_a_database_without_a_ledger_is_told_in_plain_words(database: str) -> None:
    """As is one that is not there."""
    reader = Reader(Login(database), embedded=False)
    with pytest.raises(AwayError, match="no job has used this database yet"):
        reader.run(lambda cur: answer(cur, "SELECT count(*) FROM stocketl.drops"))
    reader.close()
    gone = Reader(Login("postgresql://nobody@127.0.0.1:1/none"), embedded=False)
    with pytest.raises(AwayError):
        gone.run(lambda cur: answer(cur, "SELECT 1"))


def test_a_rotated_secret_is_read_again(database: str) -> None:
    """A login that is refused costs one answer; the next one has the new user and password."""
    secrets = [json.dumps({"username": user, "password": "p"}) for user in ("postgres", "gone")]
    reader = Reader(Login(database, "id", read=lambda _: secrets.pop()), embedded=False)
    with pytest.raises(AwayError, match="gone"):
        reader.run(lambda cur: answer(cur, "SELECT 1"))
    assert reader.run(lambda cur: answer(cur, "SELECT 1")) == 1
    reader.close()
