"""Which errors of PostgreSQL pass by themselves, and what to do about each: by SQLSTATE, else by the text."""

from __future__ import annotations

import re

import psycopg2

from streaming.errors import START_AGAIN, DatabaseError
from streaming.masking import first_line, masked

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_TRANSIENT_CLASSES = ("08", "53", "57P")  # connection, resources, shutdown and idle time-outs
_TRANSIENT_STATES = {
    "25006": "read-only: a standby, or a full disk at the provider",
    "25P03": "idle in transaction: this process was frozen",
    "25P04": "transaction time-out",
    "40001": "serialization",
    "40003": "completion unknown",
    "40P01": "deadlock",
    "55P03": "lock time-out",
    "57014": "statement cancelled or timed out",
    "58030": "the server could not read or write a file",
}
# A standby has several codes for "not here": 0A000 for BEGIN READ WRITE, 55000 for a lock, 25006 for the rest.
_STANDBY_STATES, _STANDBY_TEXT = ("0A000", "55000"), re.compile(r"recovery|hot standby|standby mode")

# psycopg2 gives no SQLSTATE for an error while connecting, only the text. If a text is not named here, the job waits
# and shows it in the log. So a message in another language never ends a job that only had to wait.
_PERMANENT_TEXTS = re.compile(
    r"""authentication\ failed | no\ password\ supplied | role\ ".*"\ does\ not\ exist | role\ ".*"\ is\ not\ permitted
    | database\ ".*"\ does\ not\ exist | no\ pg_hba\.conf\ entry | pg_hba\.conf\ rejects
    | permission\ denied\ for\ database
    | database\ ".*"\ is\ not\ currently\ accepting\ connections | invalid\ (sslmode|port|integer|channel_binding)
    | invalid\ target_session_attrs | could\ not\ match\ \d+\ port\ numbers | load_balance_hosts\ value
    | certificate\ verify\ failed | root\ certificate | certificate\ file | private\ key\ file
    | server\ does\ not\ support\ SSL | server\ certificate\ for | authentication\ method | SCRAM | sslmode\ value
    | unsupported\ frontend\ protocol""",
    re.VERBOSE,
)
_STATES_OF_TEXTS = {
    "25006": re.compile(r"session is (not read-write|read-only)|writable connection|in hot standby mode|no writes"),
    "53300": re.compile(r"too many (clients|connections)|connection slots are reserved|no more connections allowed"),
    "57P03": re.compile(r"starting up|shutting down|in recovery mode|not (yet )?accepting connections"),
    "08P01": re.compile(r"query_wait_timeout|server_login_retry|server login|no such (user|database)|pgbouncer"),
}
_STATEMENT_POOLING = re.compile(r"statement pooling")

_ADVICE = {
    "23514": "two numbers contradict each other, so nothing was written; please report it with the log",
    "28": "check the user and the password in --database, and pg_hba.conf on the server",
    "3D000": "create the database, or correct its name in --database",
    "42501": "grant the role the rights that the README lists under 'Least rights'",
    "42703": "stocketl.tickers names a column that is not there: was it dropped or renamed by hand? Restore it from a "
    f"backup, or start anew: {START_AGAIN}",
    "42P01": "a table of StockETL is not there: was it dropped or renamed by hand? Restore it from a backup, or start "
    f"anew: {START_AGAIN}",
    "42P07": "another object already has the name of a table of StockETL: rename it, or use another database or schema",
    "3F000": "the first schema of the role's search_path does not exist: create it, or ALTER ROLE ... SET search_path",
}
_CONNECT_ADVICE = "check host, user, password and database name in --database, and pg_hba.conf on the server"
_POOLING_ADVICE = "set pool_mode = transaction (or session) in the pooler, or name the server itself in --database"

_WAIT_ADVICE = {
    "08": "The connection broke, or a pooler has no server for it. Check the network, the pooler and the server's log.",
    "25006": "The server is a standby, or default_transaction_read_only is on for it, the database or the role. Each "
    "try looks for the writer: give its address, or name every server (postgresql://user@a:5432,b:5432/db). If the "
    "setting is not meant for the job: ALTER ROLE ... SET default_transaction_read_only = off.",
    "25P03": "The job stood still in a transaction. Was the machine suspended?",
    "25P04": "The server's transaction_timeout ended it.",
    "40": "Another session was in the way.",
    "53100": "The disk of the database server is full. Free some of it, or enlarge it.",
    "53200": "The database server lacks memory.",
    "53300": "Too many connections. End some (pg_stat_activity lists them), or raise max_connections or the role's "
    "CONNECTION LIMIT. The job needs up to 6.",
    "53400": "A limit of the server is too low for the batch. If it is temp_file_limit, raise it for the job's role.",
    "55P03": "Somebody holds a lock that the job needs.",
    "57014": "A time limit or an administrator cancelled the statement. The next try may take longer.",
    "57P": "An administrator, a restart, a crash or a time limit of the server ended the session.",
    "58030": "The database server's disk or network storage failed. See its log.",
    "57P03": "The server is starting, stopping or recovering. If that takes long, look into its log.",
}
_NO_ANSWER_ADVICE = (
    "Check that the server runs (`stocketl database` starts the one of a home) and that host and port in --database "
    "are right."
)


def transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed later without help."""
    if not isinstance(error, psycopg2.Error) or _STATEMENT_POOLING.search(str(error)):
        return False
    if state := error.pgcode:
        concurrent_ddl = state == "XX000" and "concurrently" in str(error)  # e.g. a GRANT beside our ALTER TABLE
        passes = state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_STATES
        return passes or concurrent_ddl or of_a_standby(error)
    if isinstance(error, psycopg2.OperationalError):
        return _PERMANENT_TEXTS.search(str(error)) is None
    if isinstance(error, psycopg2.InterfaceError):
        return "closed" in str(error)
    # libpq lost the thread of the conversation: only the plain class, its subclasses are errors of the statement
    return type(error) is psycopg2.DatabaseError


def of_a_standby(error: BaseException) -> bool:
    """Whether the server behind this connection takes no writes, so that the writer must be looked for elsewhere."""
    if not isinstance(error, psycopg2.Error):
        return False
    state = state_of(error)
    return state == "25006" or (state in _STANDBY_STATES and _STANDBY_TEXT.search(str(error)) is not None)


def state_of(error: psycopg2.Error) -> str:
    """The SQLSTATE. If PostgreSQL refused the connection itself, by the text. Empty if there is none."""
    by_text = (state for state, text in _STATES_OF_TEXTS.items() if text.search(str(error)))
    return error.pgcode or next(by_text, "")


def plain(error: psycopg2.Error) -> DatabaseError:
    """The error for a person: what PostgreSQL refused, and what to do. Never shows a password."""
    state = error.pgcode or ""
    told = error.diag.message_primary or str(error).strip() or type(error).__name__
    advice = _ADVICE.get(state) or _ADVICE.get(state[:2]) or (_CONNECT_ADVICE if not state else "see the server's log")
    if _STATEMENT_POOLING.search(told):
        advice = _POOLING_ADVICE
    # a second line of context only repeats the statement, which may be 800 columns long
    shown = " ".join(told.split())[:500]
    place = ".".join(filter(None, (error.diag.schema_name, error.diag.table_name)))
    where = f" (in {place})" if place else ""
    code = f" [{state}]" if state else ""
    return DatabaseError(f"PostgreSQL refused: {masked(shown)}{where}{code}. What to do: {advice}.")


def told(error: BaseException | None) -> tuple[str, str]:
    """While the job waits: a line with the error and its SQLSTATE, and what to do. Never shows a password."""
    shown = first_line(error)
    if not isinstance(error, psycopg2.Error):
        return shown, ""
    state = state_of(error)
    known = (_WAIT_ADVICE[code] for code in (state, state[:3], state[:2]) if code in _WAIT_ADVICE)
    advice = next(known, "" if state else _NO_ANSWER_ADVICE)
    return f"{shown} [{state}]" if state else shown, advice
