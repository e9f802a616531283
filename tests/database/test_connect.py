"""Connections: to the server that writes, with limits of the job's own, refused in words that help."""

from __future__ import annotations

import contextlib
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import psycopg2.extensions
import pytest

from streaming.database import embedded
from streaming.database.connect import TimeLimits, begin, connect
from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from databases import Databases

SECRET = "s3cr%t@/x"  # noqa: S105 - the tests look for it in messages
ENCODED = "s3cr%25t%40%2Fx"


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


def test_a_connection_has_its_limits_and_no_open_transaction(database: str) -> None:
    """UTF-8 and time-outs of the job's choice, whatever the role or the database says."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        name = connection.info.dbname
        for setting in ("synchronous_commit = off", "default_transaction_isolation = 'serializable'"):
            cur.execute(f"ALTER DATABASE {name} SET {setting}")
        cur.execute(f"ALTER DATABASE {name} SET DateStyle = 'SQL, DMY'")
    with contextlib.closing(connect(database)) as opened, opened.cursor() as cur:
        assert opened.status == psycopg2.extensions.STATUS_READY
        begin(cur, TimeLimits(lock_timeout=0.5))
        names = ("client_encoding", "lock_timeout", "idle_in_transaction_session_timeout", "statement_timeout")
        names += ("synchronous_commit", "transaction_isolation", "application_name")
        shown = []
        for setting in names:
            cur.execute(f"SHOW {setting}")
            shown += cur.fetchall()
        assert shown == [("UTF8",), ("500ms",), ("1min",), ("15min",), ("on",), ("read committed",), ("stocketl",)]
        cur.execute("SELECT '2024-02-01'::date::text, 'é'")
        assert cur.fetchall() == [("2024-02-01", "é")]


def test_limits_of_the_role_do_not_stop_the_job(database: str) -> None:
    """What an administrator has set for the role does not hold for the job, whose transactions have limits too."""
    settings = {"statement_timeout": "50", "idle_in_transaction_session_timeout": "50", "lock_timeout": "1"}
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        name = connection.info.dbname
        if connection.server_version >= 170000:
            settings["transaction_timeout"] = "50"
        for setting, value in (*settings.items(), ("DateStyle", "'SQL, DMY'"), ("standard_conforming_strings", "off")):
            cur.execute(f"ALTER DATABASE {name} SET {setting} = {value}")
    attempts = []

    def work(cur: Any) -> Any:
        attempts.append(1)
        cur.execute("SELECT pg_sleep(0.2), %s, DATE '2024-02-01'", ("\\n'",))
        return cur.fetchall()[0][1:]

    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        assert [str(value) for value in transactions.run(work)] == ["\\n'", "2024-02-01"]
    assert attempts == [1]


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
    guarded: str, monkeypatch: pytest.MonkeyPatch, uri: str, told: str
) -> None:
    """One attempt, a message with what to check, and no password in it."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", "/nonexistent")
    with pytest.raises(DatabaseError) as caught:
        connect(uri.format(guarded))
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


def test_a_database_that_is_read_only_by_default_is_waited_for(database: str, caplog: pytest.LogCaptureFixture) -> None:
    """An administrator froze it, for a move to another server say: writing all the same would be lost there."""
    with contextlib.closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            name = connection.info.dbname
            cur.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            stop = threading.Event()
            with contextlib.closing(Transactions(database, stop)) as transactions:
                thawing = threading.Timer(0.5, lambda: cur.execute(f"ALTER DATABASE {name} RESET ALL"))
                cur.execute("SET default_transaction_read_only = off")
                thawing.start()
                transactions.run(lambda work: work.execute("CREATE TABLE made (n int)"))
                thawing.join()
    assert "default_transaction_read_only is on [25006]" in caplog.text
    assert "ALTER ROLE ... SET default_transaction_read_only = off" in caplog.text


def test_a_person_may_read_what_is_read_only(database: str) -> None:
    """`status` and `verify` need no writer."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute(f"ALTER DATABASE {connection.info.dbname} SET default_transaction_read_only = on")
    with contextlib.closing(connect(database, read_only=True)) as reader, reader.cursor() as cur:
        cur.execute("SHOW transaction_read_only")
        assert cur.fetchall() == [("on",)]
    with pytest.raises(psycopg2.OperationalError, match="default_transaction_read_only is on"):
        connect(database)
