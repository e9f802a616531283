"""Connections to PostgreSQL: to the server that writes, without a setting that outlives a transaction.

What a transaction needs is set inside of it (`begin`). So behind a pooler in transaction mode, no setting of the job
reaches strangers, and what the administrator has set for the role or the database holds for all others.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import psycopg2
from psycopg2.extensions import make_dsn, parse_dsn

from streaming.database.sqlstates import of_a_standby, plain, transient
from streaming.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection, cursor

_REFUSED_LOGIN = re.compile(r"authentication failed|no password supplied|role \".*\" does not exist")

_DEFAULTS: dict[str, str] = {
    "application_name": "stocketl",
    "connect_timeout": "10",
    # if a server goes without a word, that is noticed after 30 s
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    # if there are several servers, or several addresses of a name: the one that writes
    "target_session_attrs": "read-write",
}
_CLOSED = "current_setting('transaction_read_only') = 'on', pg_is_in_recovery()"
_TRANSACTION_TIMEOUT_SINCE = 17_00_00


class RefusedLoginError(DatabaseError):
    """PostgreSQL does not know this user and password."""


class NotTheWriterError(psycopg2.OperationalError):
    """The server behind this connection takes no writes at the moment."""


@dataclass(frozen=True, slots=True)
class TimeLimits:
    """How long a transaction may take, in seconds; the names are those of PostgreSQL's settings."""

    lock_timeout: float = 5.0
    idle_in_transaction_session_timeout: float = 60.0
    statement_timeout: float = 900.0


def connect(uri: str, *, process: str = "", read_only: bool = False) -> connection:
    """A new connection, outside a transaction, to a server that writes; each transaction on it begins with `begin`.

    What the URI itself says (keepalives, target_session_attrs, application_name …) wins. read_only: if there is no
    writer, a standby will do; process: put after the application_name, since others know the job's sessions by it.
    Raises DatabaseError for what waiting does not mend (a server_encoding other than UTF8, too), psycopg2's own error
    for the rest.
    """
    given = {**_DEFAULTS, **_parsed(uri), "client_encoding": "UTF8"}
    if process:  # PostgreSQL cuts the name at 63 bytes
        given["application_name"] = f"{given['application_name'][: 62 - len(process)]} {process}"
    try:
        opened = _open(given, read_only=read_only)
    except psycopg2.Error as error:
        if transient(error):
            raise
        refused = RefusedLoginError if _REFUSED_LOGIN.search(str(error)) else DatabaseError
        raise refused(str(plain(error))) from None  # the original may quote the URI
    encoding = opened.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        msg = (
            f"the database {opened.info.dbname!r} has the encoding {encoding}, expected UTF8. "
            "Make another database: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
        opened.close()
        raise DatabaseError(msg)
    # on the client's side only. READ COMMITTED: the epoch must be read as it is once its lock is held, not as at BEGIN
    opened.set_session(isolation_level="READ COMMITTED")
    return opened


def begin(cur: cursor, limits: TimeLimits | None = None, *, read_only: bool = False) -> int:
    """The first statement of a transaction: sets what holds for it alone. Returns the process id of the session.

    Raises NotTheWriterError if the server is a standby or the transaction is read-only by default: what is read there
    could be old.
    """
    asked = limits or TimeLimits()
    settings = {field.name: str(round(getattr(asked, field.name) * 1000)) for field in fields(asked)}
    settings |= {"client_min_messages": "warning", "extra_float_digits": "1", "DateStyle": "ISO, YMD"}
    if cur.connection.server_version >= _TRANSACTION_TIMEOUT_SINCE:
        settings["transaction_timeout"] = "0"  # what is too long for it would be too long at every try
    calls = ", ".join(["set_config(%s, %s, true)"] * len(settings))
    cur.execute(
        # once a batch is committed here, Spark forgets it: the commit must be on the disk
        f"""
        SELECT {_CLOSED}, pg_backend_pid(), {calls},
               set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                          ELSE current_setting('synchronous_commit') END, true)
        """,
        [text for setting in settings.items() for text in setting],
    )
    (closed, standby, pid), *_ = [row[:3] for row in cur.fetchall()]
    if closed and not read_only:
        raise _not_the_writer(standby=standby)
    return int(pid)


def _open(given: dict[str, str], *, read_only: bool) -> connection:
    try:
        return _connected(given)
    except psycopg2.OperationalError as error:
        if not of_a_standby(error) or given["target_session_attrs"] not in {"read-write", "primary"}:
            raise
        refusal: psycopg2.OperationalError = error
    # libpq believes what it was told at the login. A pooler may go on telling what the server was before a promotion,
    # so each server is asked itself.
    for server in _each_server(given):
        with contextlib.suppress(psycopg2.OperationalError):
            opened = _connected(server | {"target_session_attrs": "any"})
            refused = _refusal(opened)
            if read_only or refused is None:
                return opened
            refusal = refused
            opened.close()
    raise refusal


def _connected(given: dict[str, str]) -> connection:
    return psycopg2.connect(make_dsn(**given))


def _each_server(given: dict[str, str]) -> Iterator[dict[str, str]]:
    """The parameters for each server of the list in turn. A list with one value holds for all servers."""
    lists = {name: given[name].split(",") for name in ("host", "hostaddr", "port") if given.get(name)}
    for at in range(max(map(len, lists.values()), default=1)):
        yield given | {name: values[at if len(values) > 1 else 0] for name, values in lists.items()}


def _refusal(opened: connection) -> NotTheWriterError | None:
    with opened.cursor() as cur:
        cur.execute(f"SELECT {_CLOSED}")
        (closed, standby), *_ = cur.fetchall()
    opened.rollback()
    return _not_the_writer(standby=standby) if closed else None


def _not_the_writer(*, standby: bool) -> NotTheWriterError:
    return NotTheWriterError(
        f"the server takes no writes: {'it is a standby' if standby else 'default_transaction_read_only is on'}"
    )


def _parsed(uri: str) -> dict[str, str]:
    """Messages of libpq may quote the URI or a part of the password, so none of them is passed on."""
    try:
        parsed = parse_dsn(uri)
    except psycopg2.Error:
        parsed = None
    if parsed is None or "@" in parsed.get("host", "") or not re.fullmatch(r"[\d,]*", parsed.get("port", "")):
        msg = (
            "the database URI cannot be read: expected postgresql://user:password@host:port/database (several servers: "
            "user:password@a:5432,b:5432), with special characters of the password percent-encoded (@ is %40, / is "
            "%2F, % is %25)"
        )
        raise DatabaseError(msg)
    return parsed
