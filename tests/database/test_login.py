"""Logins by a secret that is rotated, against a real PostgreSQL that asks for a password."""

from __future__ import annotations

import contextlib
import json
import threading
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg2
import pytest
from psycopg2.extensions import parse_dsn

from streaming.database.connect import RefusedLoginError, connect
from streaming.database.login import ROTATION_SECONDS, Login, filled
from streaming.database.transactions import StoppedError, Transactions
from streaming.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HOSTILE = "p@ss:/?#[]%20 &='\"ü"


def _secret(username: str, word: str | None, **more: object) -> str:
    return json.dumps({"username": username, **({} if word is None else {"password": word}), **more})


def test_a_secret_fills_user_and_password_whatever_they_hold() -> None:
    """The URI stays a URI, and libpq reads back what the secret holds."""
    uri = filled("postgresql://db.example:6543/stocks?sslmode=verify-full", _secret("u@x", HOSTILE))
    assert parse_dsn(uri) == {
        "user": "u@x", "password": HOSTILE, "host": "db.example", "port": "6543", "dbname": "stocks",
        "sslmode": "verify-full",
    }  # fmt: skip


def test_a_secret_wins_over_the_uris_own_user() -> None:
    """A user in the URI is the one of before."""
    uri = filled("postgresql://old:pw@h:1/d", _secret("new", "new"))
    assert parse_dsn(uri) == {"user": "new", "password": "new", "host": "h", "port": "1", "dbname": "d"}


def test_a_secret_fills_a_uri_of_several_servers() -> None:
    """All of them stay, each with its port."""
    uri = filled("postgresql://a:5432,b:5433/d", _secret("u", "p@,:"))
    read = parse_dsn(uri)
    assert (read["host"], read["port"], read["user"], read["password"]) == ("a,b", "5432,5433", "u", "p@,:")


def test_a_secret_may_name_the_whole_address() -> None:
    """As Secrets Manager writes it for a database that it rotates."""
    secret = _secret("u", "p", host="h", port=5433, dbname="d", engine="postgres")
    assert parse_dsn(filled(None, secret)) == {"user": "u", "password": "p", "host": "h", "port": "5433", "dbname": "d"}


@pytest.mark.parametrize(
    ("uri", "secret"),
    [
        (None, _secret("u", "p")),
        ("postgresql://h/d", "no json, but a password"),
        ("postgresql://h/d", _secret("u", None)),
        ("postgresql://h/d", '["u", "a password"]'),
    ],
)
def test_a_secret_of_no_use_is_refused_without_being_shown(uri: str | None, secret: str) -> None:
    """The message says what is missing, never what is there."""
    with pytest.raises(SettingsError, match="secret") as refused:
        filled(uri, secret)
    assert 'password"' not in str(refused.value).replace("username and password", "")
    assert "a password" not in str(refused.value)


def test_without_a_secret_a_refused_login_is_final() -> None:
    """Nothing can have changed."""
    login = Login("postgresql://u:p@h/d")
    assert (login.uri(), login.renew()) == ("postgresql://u:p@h/d", False)


def test_a_refused_login_is_tried_with_the_secret_read_again_for_ten_minutes() -> None:
    """PostgreSQL and Secrets Manager change one after the other; an accepted login begins the count anew."""
    now, reads = [0.0], iter("abcdef")
    login = Login("postgresql://h/d", "arn", clock=lambda: now[0], read=lambda _: _secret("u", next(reads)))
    assert [login.uri(), login.uri()] == ["postgresql://u:a@h/d"] * 2
    assert login.renew()
    assert login.uri() == "postgresql://u:b@h/d"
    now[0] = ROTATION_SECONDS + 1
    assert not login.renew()
    login.accepted()
    assert login.renew()


@pytest.fixture
def role(database: str) -> Iterator[Callable[[str], None]]:
    """Sets the password of the role `rotated`."""
    with contextlib.closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("DROP ROLE IF EXISTS rotated")
            cur.execute("CREATE ROLE rotated LOGIN")
            cur.execute("SET password_encryption = 'scram-sha-256'")  # md5 until PostgreSQL 13

            def set_password(password: str) -> None:
                cur.execute("ALTER ROLE rotated PASSWORD %s", (password,))

            yield set_password
            cur.execute("DROP ROLE rotated")


@pytest.fixture
def asks_for_passwords(database: str) -> Iterator[None]:
    """pg_hba.conf of the server with a line for the role before all others."""
    with contextlib.closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("SHOW hba_file")
            (path,), *_ = cur.fetchall()
            with open(path) as file:  # noqa: PTH123 - what the server names
                before = file.read()
            _write(path, "local all rotated scram-sha-256\nhost all rotated all scram-sha-256\n" + before)
            cur.execute("SELECT pg_reload_conf()")
            yield
            _write(path, before)
            cur.execute("SELECT pg_reload_conf()")


def _write(path: str, text: str) -> None:
    with open(path, "w") as file:  # noqa: PTH123 - as above
        file.write(text)


def _without_user(database: str) -> str:
    head, _, tail = database.partition("://")
    return f"{head}://{tail.rpartition('@')[2]}"


@pytest.mark.usefixtures("asks_for_passwords")
def test_a_rotated_password_does_not_stop_transactions(database: str, role: Callable[[str], None]) -> None:
    """The database has the new password before the secret does: the login waits, reads the secret again, goes on."""
    answers = iter(["first", "first", "second"])

    def read(_: str) -> str:
        return _secret("rotated", next(answers))

    role("first")
    transactions = Transactions(Login(_without_user(database), "arn", read=read), threading.Event())
    with contextlib.closing(transactions):
        assert transactions.run(_who) == "rotated"
        role("second")
        transactions.close()
        assert transactions.run(_who) == "rotated"
    assert list(answers) == []


def _who(cur: psycopg2.extensions.cursor) -> str:
    cur.execute("SELECT current_user")
    (who,), *_ = cur.fetchall()
    return str(who)


@pytest.mark.usefixtures("asks_for_passwords")
def test_a_wrong_password_without_a_secret_ends_at_once(database: str, role: Callable[[str], None]) -> None:
    """The error says what to do and shows no password."""
    role("right")
    uri = _without_user(database).replace("://", f"://rotated:{quote('very wrong')}@")
    with pytest.raises(RefusedLoginError, match="check host, user, password") as refused:
        connect(uri)
    assert "very" not in str(refused.value)


def test_secrets_manager_that_does_not_answer_is_waited_for_until_the_stop() -> None:
    """An outage of AWS is not an error of the job."""
    stop = threading.Event()

    def read(_: str) -> str:
        stop.set()
        msg = "Secrets Manager did not answer"
        raise StorageError(msg)

    with pytest.raises(StoppedError, match="did not answer"):
        Transactions(Login("postgresql://h/d", "arn", read=read), stop).run(_who)
