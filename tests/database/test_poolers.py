"""Through a pooler in transaction mode: nothing of the job reaches strangers, nothing of theirs the job."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from transaction_pooler import TransactionPooler

from streaming.database.sqlstates import plain, transient
from streaming.database.transactions import Transactions
from streaming.ledger import writer

if TYPE_CHECKING:
    from collections.abc import Iterator

LIMITED = (
    "lock_timeout",
    "statement_timeout",
    "idle_in_transaction_session_timeout",
    "synchronous_commit",
    "DateStyle",
)


@pytest.fixture
def pooler(database: str) -> Iterator[TransactionPooler]:
    with TransactionPooler(database) as running:
        yield running


def shown(cur: Any) -> list[str]:
    values = []
    for name in LIMITED:
        cur.execute(f"SHOW {name}")
        values += [value for (value,) in cur.fetchall()]
    return values


def test_a_stranger_gets_no_setting_of_the_job(pooler: TransactionPooler) -> None:
    """The one server session of the pool is as it was after a transaction of the job, which had its own limits."""
    with contextlib.closing(psycopg2.connect(pooler.uri)) as stranger:
        with stranger, stranger.cursor() as cur:
            before = shown(cur)
        with contextlib.closing(Transactions(pooler.uri, threading.Event())) as transactions:
            of_the_job = transactions.run(shown)
            transactions.run(lambda cur: cur.execute("SELECT 1"))
        with stranger, stranger.cursor() as cur:
            assert shown(cur) == before
    assert of_the_job == ["5s", "15min", "1min", "on", "ISO, YMD"]
    assert before[:3] == ["0", "0", "0"]


def test_the_job_gets_no_setting_of_a_stranger(pooler: TransactionPooler) -> None:
    """What another client has left in the session with SET holds in none of the job's transactions."""
    with contextlib.closing(psycopg2.connect(pooler.uri)) as stranger, stranger, stranger.cursor() as cur:
        cur.execute("SET statement_timeout = 1000; SET lock_timeout = 10; SET synchronous_commit = off")
        cur.execute("SET DateStyle = 'SQL, DMY'")
    with contextlib.closing(Transactions(pooler.uri, threading.Event())) as transactions:
        assert transactions.run(shown) == ["5s", "15min", "1min", "on", "ISO, YMD"]


def test_a_takeover_through_a_pooler_ends_a_writer_that_stands_still(database: str) -> None:
    """The lock of the one who stands still is waited for no longer than `lock_timeout`, on whatever session."""
    with TransactionPooler(database, sessions=2) as pooler:
        with contextlib.closing(Transactions(pooler.uri, threading.Event())) as first:
            first.run(writer.create)
        epoch = writer.take_over(pooler.uri)
        with contextlib.closing(psycopg2.connect(pooler.uri)) as frozen, frozen.cursor() as cur:
            writer.check_epoch(cur, epoch)
            assert writer.take_over(pooler.uri) == epoch + 1
            with pytest.raises(psycopg2.Error) as ended:
                cur.execute("SELECT 1")
            assert transient(ended.value)


def test_two_sessions_of_the_pool_are_one_to_the_job(database: str) -> None:
    """Each transaction may meet another session: tables for one transaction are made where it runs."""

    def work(cur: Any) -> None:
        cur.execute("CREATE TEMPORARY TABLE IF NOT EXISTS stocketl_x (n int) ON COMMIT DELETE ROWS")
        cur.execute("INSERT INTO pg_temp.stocketl_x VALUES (1)")
        cur.execute("SELECT count(*) FROM pg_temp.stocketl_x")
        assert cur.fetchall() == [(1,)]

    with TransactionPooler(database, sessions=2) as pooler:
        for _ in range(4):
            with contextlib.closing(Transactions(pooler.uri, threading.Event())) as transactions:
                transactions.run(work)
                transactions.run(work)


def test_statement_pooling_ends_the_job_with_the_way_out() -> None:
    """No transaction can run there, however long one waits; the words are PgBouncer's."""
    error = psycopg2.OperationalError("FATAL:  transaction blocks not allowed in statement pooling mode")
    assert not transient(error)
    assert "pool_mode = transaction" in str(plain(error))
