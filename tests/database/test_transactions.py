"""Which errors wait and what a retried transaction leaves behind: on a real server."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions
import pytest
from tcp_proxy import TcpProxy

from streaming.database.connect import TimeLimits, connect
from streaming.database.sqlstates import transient
from streaming.database.transactions import StoppedError, Transactions
from streaming.errors import DatabaseError, SupersededError

if TYPE_CHECKING:
    from collections.abc import Iterator


ENCODED = "s3cr%25t%40%2Fx"


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def transactions(database: str, stop: threading.Event) -> Iterator[Transactions]:
    with contextlib.closing(Transactions(database, stop)) as made:
        made.run(lambda cur: cur.execute("CREATE TABLE seen (n int)"))
        yield made


def count(database: str) -> int:
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("SELECT count(*) FROM seen")
        [(number,)] = cur.fetchall()
        return int(number)


def insert(cur: Any) -> None:
    cur.execute("INSERT INTO seen VALUES (1)")


def test_a_server_that_is_not_there_is_waited_for(stop: threading.Event, caplog: pytest.LogCaptureFixture) -> None:
    """Refused, then up: one warning when the wait begins, one when it is over."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with pytest.raises(psycopg2.OperationalError) as refused:
        connect(f"postgresql://u:{ENCODED}@127.0.0.1:{port}/d")
    assert transient(refused.value)
    threading.Timer(1.0, stop.set).start()
    with caplog.at_level(logging.WARNING), pytest.raises(StoppedError, match="stopped while waiting for PostgreSQL"):
        Transactions(f"postgresql://u:{ENCODED}@127.0.0.1:{port}/d", stop).run(insert)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "Connection refused" in caplog.text
    assert "s3cr" not in caplog.text


def test_a_server_that_refuses_for_a_while_is_waited_for(
    database: str, stop: threading.Event, caplog: pytest.LogCaptureFixture, transactions: Transactions
) -> None:
    """The transaction ends as if nothing had been, on a new connection; two plain lines are in the log."""
    transactions.run(insert)
    with TcpProxy(database) as proxy, contextlib.closing(Transactions(proxy.uri, stop)) as through:
        through.run(insert)
        proxy.refuse()
        threading.Timer(1.0, proxy.accept).start()
        through.run(insert)
    assert count(database) == 3
    messages = [record.message for record in caplog.records if record.name == "streaming.waiting"]
    assert len(messages) == 2
    assert messages[0].startswith("waiting for PostgreSQL, nothing is lost: ")
    assert messages[1].startswith("PostgreSQL is back after ")


def test_a_session_that_ended_while_nothing_was_to_do_costs_no_word(
    database: str, transactions: Transactions, caplog: pytest.LogCaptureFixture
) -> None:
    """As by idle_session_timeout or a restart between two batches: another one is opened."""
    first = transactions.run(lambda cur: cur.connection.info.backend_pid)
    with contextlib.closing(psycopg2.connect(database)) as killer, killer.cursor() as cur:
        cur.execute("SELECT pg_terminate_backend(%s)", [first])
    assert transactions.run(lambda cur: cur.connection.info.backend_pid) != first
    assert caplog.records == []


def test_a_terminated_session_is_replaced(database: str, transactions: Transactions) -> None:
    """The whole transaction runs again; what it wrote before is gone."""
    attempts = []

    def work(cur: Any) -> None:
        insert(cur)
        attempts.append(cur.connection.info.backend_pid)
        if len(attempts) == 1:
            with contextlib.closing(psycopg2.connect(database)) as killer, killer.cursor() as other:
                other.execute("SELECT pg_terminate_backend(%s)", [attempts[0]])
        cur.execute("SELECT 1")

    transactions.run(work)
    assert len(set(attempts)) == 2
    assert count(database) == 1


@pytest.mark.usefixtures("transactions")
def test_a_table_that_is_locked_is_waited_for(database: str, stop: threading.Event) -> None:
    """lock_timeout ends the attempt, not the job; the same connection goes on."""
    attempts = []
    with contextlib.closing(psycopg2.connect(database)) as holder, holder.cursor() as cur:
        cur.execute("LOCK TABLE seen")

        def work(cur: Any) -> None:
            attempts.append(cur.connection.info.backend_pid)
            if len(attempts) == 3:
                holder.rollback()
            insert(cur)

        with contextlib.closing(Transactions(database, stop, limits=TimeLimits(lock_timeout=0.05))) as impatient:
            impatient.run(work)
    assert len(attempts) == 3
    assert len(set(attempts)) == 1
    assert count(database) == 1


@pytest.mark.usefixtures("transactions")
def test_a_lock_that_is_waited_for_names_who_holds_it(
    database: str, stop: threading.Event, caplog: pytest.LogCaptureFixture, transactions: Transactions
) -> None:
    """Its process, user, application, since when, and what: enough to go and ask that person."""
    transactions.run(lambda cur: cur.execute("CREATE TABLE prices (n int)"))
    with contextlib.closing(psycopg2.connect(database, application_name="a dashboard")) as holder:
        with holder.cursor() as cur:
            cur.execute("LOCK TABLE prices")
        pid = holder.info.backend_pid
        attempts = []

        def work(cur: Any) -> None:
            attempts.append(1)
            if len(attempts) == 2:
                holder.rollback()
            cur.execute("INSERT INTO prices VALUES (1)")

        with contextlib.closing(
            Transactions(database, stop, of="batches", limits=TimeLimits(lock_timeout=0.05))
        ) as one:
            one.run(work)
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith(
        "waiting for PostgreSQL (batches), nothing is lost: canceling statement due to lock timeout [55P03]. "
        f"It is held by process {pid} (a dashboard, role postgres, idle in transaction, in this transaction since 2"
    )
    assert f"last statement: LOCK TABLE prices). To end that: SELECT pg_terminate_backend({pid})." in first
    assert last.startswith("PostgreSQL (batches) is back after ")


def test_a_statement_that_needs_longer_than_the_limit_gets_more_at_each_try(database: str) -> None:
    """Else a batch that is too large for the limit would fail for ever."""
    limits: list[str] = []

    def work(cur: Any) -> None:
        cur.execute("SHOW statement_timeout")
        limits.extend(value for (value,) in cur.fetchall())
        cur.execute("SELECT pg_sleep(0.3)")

    chosen = TimeLimits(statement_timeout=0.1)
    with contextlib.closing(Transactions(database, threading.Event(), limits=chosen)) as transactions:
        transactions.run(work)
        assert limits == ["100ms", "200ms", "400ms"]
        transactions.run(work)
    assert limits[3:] == ["400ms"]


def test_a_deadlock_is_tried_again(database: str, stop: threading.Event, transactions: Transactions) -> None:
    """Whichever side PostgreSQL chooses as the victim, both transactions end."""
    transactions.run(lambda cur: cur.execute("CREATE TABLE other (n int); INSERT INTO other VALUES (0)"))
    transactions.run(insert)
    both = threading.Barrier(2)

    def crossing(first: str, second: str) -> None:
        met = []

        def work(cur: Any) -> None:
            cur.execute(f"UPDATE {first} SET n = n + 1")  # noqa: S608 - the two tables of this test
            if not met:
                met.append(both.wait(10))
            cur.execute(f"UPDATE {second} SET n = n + 1")  # noqa: S608 - the two tables of this test

        with contextlib.closing(Transactions(database, stop)) as one:
            one.run(work)

    threads = [threading.Thread(target=crossing, args=names) for names in (("seen", "other"), ("other", "seen"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    found = transactions.run(lambda cur: cur.execute("SELECT seen.n, other.n FROM seen, other") or cur.fetchall())
    assert found == [(3, 2)]


def test_a_stop_ends_a_statement_that_hangs(stop: threading.Event, transactions: Transactions) -> None:
    """`cancel` from another thread; the transaction is given up."""

    def end() -> None:
        stop.set()
        transactions.cancel()

    timer = threading.Timer(0.3, end)
    timer.start()
    with pytest.raises(StoppedError):
        transactions.run(lambda cur: cur.execute("SELECT pg_sleep(60)"))
    timer.join()


def test_our_own_errors_pass_through_after_a_rollback(database: str, transactions: Transactions) -> None:
    """Nothing of the transaction stays, and the connection is good for the next one."""

    def work(cur: Any) -> None:
        insert(cur)
        msg = "a newer job"
        raise SupersededError(msg)

    with pytest.raises(SupersededError, match="a newer job"):
        transactions.run(work)
    assert count(database) == 0
    transactions.run(insert)
    assert count(database) == 1


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("SELECT 1 / 0", r"PostgreSQL refused: division by zero \[22012\]. What to do: see the server's log."),
        ("SELECT nothing FROM seen", r'column "nothing" does not exist \[42703\].*dropped or renamed by hand'),
        ("SELECT 1 FROM nothing", r'relation "nothing" does not exist \[42P01\].*Restore it'),
        (
            "SET ROLE pg_monitor; CREATE SCHEMA x",
            r"permission denied for database .*\[42501\].*Least rights",
        ),
    ],
)
def test_permanent_errors_say_what_to_do(transactions: Transactions, statement: str, told: str) -> None:
    """What PostgreSQL refused, its code, and the way out; nothing is tried again."""
    with pytest.raises(DatabaseError, match=told):
        transactions.run(lambda cur: cur.execute(statement))
