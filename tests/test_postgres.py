"""Which errors wait and which end the job, and what a retried transaction leaves behind: on a real server."""

from __future__ import annotations

import contextlib
import logging
import socket
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions
import pytest
from tcp_proxy import TcpProxy

from streaming import embedded
from streaming.connect import Limits, begin, connect
from streaming.errors import DatabaseError, SupersededError
from streaming.sqlstates import plain, transient
from streaming.transactions import StoppedError, Transactions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from databases import Databases

SECRET = "s3cr%t@/x"  # noqa: S105 - the tests look for it in messages
ENCODED = "s3cr%25t%40%2Fx"


@pytest.fixture
def stop() -> threading.Event:
    return threading.Event()


@pytest.fixture
def transactions(database: str, stop: threading.Event) -> Iterator[Transactions]:
    with contextlib.closing(Transactions(database, stop)) as made:
        made.run(lambda cur: cur.execute("CREATE TABLE seen (n int)"))
        yield made


@pytest.fixture(scope="module")
def guarded() -> Iterator[str]:
    """The host part of a server that asks the role `guarded` for a password."""
    # not under pytest's folder, whose mode a second test run beside this one would change
    with tempfile.TemporaryDirectory(prefix="stocketl-test-") as folder:
        data = Path(folder) / "postgres"
        uri = embedded.start(data)
        try:
            with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cur:
                cur.execute("CREATE ROLE guarded LOGIN PASSWORD %s; CREATE ROLE locked NOLOGIN", [SECRET])
                cur.execute("SELECT current_setting('hba_file')")
                rules = Path(cur.fetchall()[0][0])
                rules.write_text("local all guarded scram-sha-256\nlocal all nobody reject\n" + rules.read_text())
                cur.execute("SELECT pg_reload_conf()")
            _wait_for_rules(uri)
            yield uri.partition("?")[2]
        finally:
            embedded.stop(data)


def _wait_for_rules(uri: str) -> None:
    """Until a wrong password is refused; fails where the server goes on without the rules."""
    deadline = time.monotonic() + 60
    while True:
        try:
            psycopg2.connect(uri.replace("postgres@", "guarded:wrong@", 1)).close()
        except psycopg2.OperationalError:
            return
        assert time.monotonic() < deadline, "the server still lets a wrong password in, 60 s after pg_reload_conf()"


def count(database: str) -> int:
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("SELECT count(*) FROM seen")
        [(number,)] = cur.fetchall()
        return int(number)


def insert(cur: Any) -> None:
    cur.execute("INSERT INTO seen VALUES (1)")


def test_a_connection_has_its_limits_and_no_open_transaction(database: str) -> None:
    """UTF-8 and time-outs of the job's choice, whatever the role or the database says."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        name = connection.info.dbname
        for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
            cur.execute(f"ALTER DATABASE {name} SET {setting}")
        cur.execute(f"ALTER DATABASE {name} SET DateStyle = 'SQL, DMY'")
    with contextlib.closing(connect(database)) as opened, opened.cursor() as cur:
        assert opened.status == psycopg2.extensions.STATUS_READY
        begin(cur, Limits(lock_timeout=0.5))
        names = ("client_encoding", "lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")
        names += ("synchronous_commit", "transaction_isolation", "application_name")
        shown = []
        for setting in names:
            cur.execute(f"SHOW {setting}")
            shown += cur.fetchall()
        assert shown == [("UTF8",), ("500ms",), ("1min",), ("15min",), ("on",), ("read committed",), ("stocketl",)]
        cur.execute("SELECT '2024-02-01'::date::text, 'é'")
        assert cur.fetchall() == [("2024-02-01", "é")]


def test_a_database_of_another_encoding_is_refused(databases: Databases) -> None:
    """The message names the encoding and how to make a good one."""
    with contextlib.closing(psycopg2.connect(databases.uri("postgres"))) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            libc = "LOCALE_PROVIDER libc" if connection.server_version >= 15_00_00 else ""
            cur.execute(f"CREATE DATABASE latin ENCODING 'LATIN1' LOCALE 'C' {libc} TEMPLATE template0")
    with pytest.raises(DatabaseError, match=r"'latin' has the encoding LATIN1, expected UTF8.*CREATE DATABASE"):
        connect(databases.uri("latin"))


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("postgresql://guarded:wrong@/postgres?{}", "password authentication failed"),
        ("postgresql://guarded@/postgres?{}", "no password supplied"),
        ("postgresql://nobody@/postgres?{}", "pg_hba.conf rejects connection"),
        ("postgresql://who@/postgres?{}", 'role "who" does not exist'),
        ("postgresql://locked@/postgres?{}", 'role "locked" is not permitted to log in'),
        ("postgresql://postgres@/where?{}", 'database "where" does not exist'),
    ],
)
def test_what_a_wrong_uri_meets_ends_at_once(
    guarded: str, stop: threading.Event, monkeypatch: pytest.MonkeyPatch, uri: str, told: str
) -> None:
    """One attempt, a message with what to check, and no password in it."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    with pytest.raises(DatabaseError) as caught:
        Transactions(uri.format(guarded), stop).run(insert)
    assert told in str(caught.value)
    assert "check host, user, password and database name in --database" in str(caught.value)
    assert "wrong" not in str(caught.value)


def test_the_right_password_works_percent_encoded(guarded: str) -> None:
    """As in any PostgreSQL URI."""
    connect(f"postgresql://guarded:{ENCODED}@/postgres?{guarded}").close()


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql://guarded:{SECRET}@localhost/postgres",
        "postgresql://guarded:s3cr@t@localhost/postgres",
        "postgresql://guarded:s3cr/t@localhost/postgres",
        "postgresql://guarded:s3cr%zz@localhost/postgres",
        "postgresql://guarded:s3cr@localhost/postgres?nonsense=1",
    ],
)
def test_a_uri_that_cannot_be_read_is_told_without_its_password(uri: str) -> None:
    """What libpq says of it would show a part of the password."""
    with pytest.raises(DatabaseError, match=r"URI cannot be read.*%40") as caught:
        connect(uri)
    assert "s3cr" not in str(caught.value)


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

        with contextlib.closing(Transactions(database, stop, limits=Limits(lock_timeout=0.05))) as impatient:
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

        with contextlib.closing(Transactions(database, stop, of="batches", limits=Limits(lock_timeout=0.05))) as one:
            one.run(work)
    first, last = [record.getMessage() for record in caplog.records]
    assert first.startswith(
        "waiting for PostgreSQL (batches), nothing is lost: canceling statement due to lock timeout [55P03]. "
        f"Held by pid {pid} (user postgres, application a dashboard, idle in transaction, since 2"
    )
    assert "): AccessExclusiveLock on prices. If one hangs: SELECT pg_terminate_backend(<pid>)." in first
    assert last.startswith("PostgreSQL (batches) is back after ")


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


TRANSIENT = [
    "08006",
    "25006",
    "25P03",
    "40001",
    "40P01",
    "53100",
    "53200",
    "53300",
    "55P03",
    "57014",
    "57P01",
    "57P02",
    "57P03",
    "57P05",
]
PERMANENT = ["22012", "23505", "28P01", "28000", "3D000", "42501", "42703", "42P01", "54011", "0A000"]


def test_states_are_told_apart_as_the_server_gives_them(database: str) -> None:
    """By SQLSTATE, each raised by the server itself."""
    found = {}
    with contextlib.closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            for state in TRANSIENT + PERMANENT:
                try:
                    cur.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")
                except psycopg2.Error as error:
                    found[state] = transient(error)
    assert found == {**dict.fromkeys(TRANSIENT, True), **dict.fromkeys(PERMANENT, False)}


@pytest.mark.parametrize(
    ("text", "waits"),
    [
        ('connection to server at "db", port 5432 failed: Connection refused\n\tIs the server running?', True),
        ('could not translate host name "db" to address: Temporary failure in name resolution', True),
        ("FATAL:  the database system is starting up", True),
        ("FATAL:  sorry, too many clients already", True),
        ("SSL connection has been closed unexpectedly", True),
        ('at "::1" failed: Connection refused\nat "127.0.0.1" failed: FATAL:  password authentication failed', False),
        ('FATAL:  no pg_hba.conf entry for host "10.0.0.1", user "u", database "d", no encryption', False),
        ('connection to server failed: root certificate file "/x" does not exist', False),
        ("server does not support SSL, but SSL was required", False),
        ('FATAL:  permission denied for database "d"', False),
    ],
)
def test_errors_of_connecting_are_told_apart_by_their_text(text: str, waits: bool) -> None:  # noqa: FBT001 - a column
    """They have no SQLSTATE; of several hosts, one that needs a human decides."""
    assert transient(psycopg2.OperationalError(text)) is waits


def test_other_errors_are_not_ours_to_retry() -> None:
    """A closed connection comes back; misuse, and what is not PostgreSQL's, does not."""
    errors = [psycopg2.InterfaceError("connection already closed"), psycopg2.DatabaseError("lost synchronization")]
    errors += [psycopg2.InterfaceError("only protocol 3 supported"), psycopg2.ProgrammingError("x"), ValueError("x")]
    assert [transient(error) for error in errors] == [True, True, False, False, False]


def test_a_message_never_shows_a_password() -> None:
    """Neither in a URI nor in a connection string."""
    told = str(plain(psycopg2.OperationalError("bad postgresql://u:s3cr@t@h/d and password=s3cr host=h")))
    assert "s3cr" not in told
    assert "postgresql://u:***@h/d and password=*** host=h" in told
