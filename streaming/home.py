"""The database of a home for as long as a command needs it.

An embedded server that a command has started is stopped by the last command that used it. One that was up before, or
that `stocketl database` was asked for, stays up.
"""

from __future__ import annotations

import contextlib
import fcntl
from typing import TYPE_CHECKING

from streaming.errors import DatabaseError
from streaming.login import Login

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg2.extensions import connection

    from streaming.settings import Settings


class NoDatabaseError(DatabaseError):
    """No job has run here yet: there is no database, or nothing of StockETL in it."""


@contextlib.contextmanager
def database(settings: Settings) -> Iterator[Login]:
    """How to log in to the database; the embedded server is made and started if need be. Raises DatabaseError."""
    if settings.database is not None or settings.database_secret is not None:
        yield Login(settings.database, settings.database_secret)
        return
    from streaming import embedded  # noqa: PLC0415 (psutil; a command with a database of its own needs none of it)

    data = settings.postgres_data
    data.parent.mkdir(parents=True, exist_ok=True)
    with _users(data).open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_SH)  # waits while the last user before us stops the server
        was_up = embedded.running(data) is not None
        uri = embedded.start(data)
        if not was_up:
            _users(data).write_text(_identity(data))
        try:
            yield Login(uri)
        finally:
            if _alone(users) and _users(data).read_text() == _identity(data) != "":
                embedded.stop(data)


@contextlib.contextmanager
def reading(settings: Settings) -> Iterator[connection]:
    """A read-only connection that sees one moment of the database all the time.

    Raises NoDatabaseError where no job has run yet, DatabaseError where PostgreSQL cannot be reached.
    """
    if settings.embedded and not (settings.postgres_data / "PG_VERSION").exists():
        msg = f"there is no database in {settings.postgres_data} yet; `stocketl run --home {settings.home}` makes it"
        raise NoDatabaseError(msg)
    import psycopg2  # noqa: PLC0415 (`--help` needs none of it)

    from streaming.connect import Limits, begin, connect  # noqa: PLC0415 (as above)
    from streaming.sqlstates import plain  # noqa: PLC0415 (as above)

    try:
        with database(settings) as login, contextlib.closing(connect(login.uri(), read_only=True)) as connected:
            connected.set_session(isolation_level="REPEATABLE READ", readonly=True)
            with connected.cursor() as cur:
                # a person reads as long as it takes
                begin(cur, Limits(idle_in_transaction_session_timeout=0, statement_timeout=0), read_only=True)
                cur.execute("SELECT to_regclass('stocketl.receipts') IS NOT NULL")
                if cur.fetchall() != [(True,)]:
                    msg = f"no job has used this database yet ({settings.shown_database}); `stocketl run` begins"
                    raise NoDatabaseError(msg)
            yield connected
    except psycopg2.Error as error:
        raise plain(error) from None


def start_and_leave_up(settings: Settings) -> str:
    """The URI of the embedded server, which from now on only `stop` ends."""
    from streaming import embedded  # noqa: PLC0415 (as above)

    data = settings.postgres_data
    data.parent.mkdir(parents=True, exist_ok=True)
    with _users(data).open("a+") as users:
        fcntl.flock(users, fcntl.LOCK_SH)
        uri = embedded.start(data)
        users.truncate(0)
    return uri


def stop(settings: Settings) -> bool:
    """Stops the embedded server; False if it was not up."""
    from streaming import embedded  # noqa: PLC0415 (as above)

    data = settings.postgres_data
    if embedded.running(data) is None:
        return False
    embedded.stop(data)
    return True


def _users(data: Path) -> Path:
    """A file that every user of the server holds a shared lock on; in it, which server a command has started."""
    return data.with_name(f".{data.name}.users")


def _alone(users: object) -> bool:
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)  # type: ignore[arg-type]  # an open file
    except BlockingIOError:
        return False
    return True


def _identity(data: Path) -> str:
    """Process id and start time of the server that is up; empty if none is."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return ""
    return f"{lines[0]}\n{lines[2]}"
