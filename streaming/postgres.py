"""Connections to PostgreSQL, which errors pass by themselves, and transactions that are retried until they do."""

from __future__ import annotations

import contextlib
import logging
import re
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from psycopg2.extensions import STATUS_READY, parse_dsn
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_when_event_set, wait_exponential, wait_random
from tenacity.nap import sleep_using_event

from streaming.errors import DatabaseError, StockETLError
from streaming.login import Login, SecretUnavailableError

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from psycopg2.extensions import connection, cursor

log = logging.getLogger(__name__)

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0

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
}
# psycopg2 gives no SQLSTATE for what happens while connecting: only the text remains. What is not named here waits and
# is shown in the log, so that a message in another language never ends a job that only had to wait.
_PERMANENT_TEXTS = re.compile(
    r"""authentication\ failed | no\ password\ supplied | role\ ".*"\ does\ not\ exist | role\ ".*"\ is\ not\ permitted
    | database\ ".*"\ does\ not\ exist | no\ pg_hba\.conf\ entry | pg_hba\.conf\ rejects
    | permission\ denied\ for\ database
    | database\ ".*"\ is\ not\ currently\ accepting\ connections | invalid\ (sslmode|port|integer|channel_binding)
    | certificate\ verify\ failed | root\ certificate | certificate\ file | private\ key\ file
    | server\ does\ not\ support\ SSL | server\ certificate\ for | authentication\ method | SCRAM | sslmode\ value
    | unsupported\ frontend\ protocol""",
    re.VERBOSE,
)
_ADVICE = {
    "23514": "two numbers that belong together do not: nothing was written; please report it with the log",
    "28": "check the user and the password in --database, and pg_hba.conf on the server",
    "3D000": "create the database, or correct its name in --database",
    "42501": "grant the role the rights that the README lists under 'Least rights'",
    "42703": "stocketl.tickers names a column that is not there: was it dropped or renamed by hand? Restore it (from a "
    "backup, or empty with ALTER TABLE ... ADD COLUMN), then `stocketl verify` tells which cells it lacks",
    "42P01": "a table of StockETL is not there: was it dropped or renamed by hand? Restore it from a backup, or start "
    "anew with an empty database",
    "42P07": "another object has the name of a table that StockETL makes: rename it, or use another database or schema",
    "3F000": "the first schema of the role's search_path does not exist: create it, or ALTER ROLE ... SET search_path",
}
_CONNECT_ADVICE = "check host, user, password and database name in --database, and pg_hba.conf on the server"


_REFUSED_LOGIN = re.compile(r"authentication failed|no password supplied|role \".*\" does not exist")


class RefusedLoginError(DatabaseError):
    """PostgreSQL does not know this user and password."""


class StoppedError(StockETLError):
    """The job was asked to stop while it waited for the database; nothing of the transaction was written."""


def connect(
    uri: str,
    *,
    application_name: str = "stocketl",
    process: str = "",
    lock_timeout: float = 5.0,
    idle_in_transaction_timeout: float = 60.0,
    statement_timeout: float = 900.0,
) -> connection:
    """A new connection, outside a transaction; times in seconds.

    Raises DatabaseError for what waiting does not mend (also a server_encoding other than UTF8), psycopg2's own error
    for what it does. What the URI itself says (keepalives, connect_timeout, application_name) wins;
    `process` is put after the application_name, whoever gave it: whether a job's sessions are there is seen by it.
    """
    defaults: dict[str, Any] = {
        "application_name": application_name,
        "connect_timeout": "10",
        "keepalives_idle": "15",
        "keepalives_interval": "5",
        "keepalives_count": "3",
        "tcp_user_timeout": "30000",
    }
    try:
        options = {**defaults, **_parsed(uri), "client_encoding": "UTF8"}
        if process:  # PostgreSQL cuts the name at 63 bytes
            options["application_name"] = f"{options['application_name'][: 62 - len(process)]} {process}"
        opened: connection = psycopg2.connect(**options)
    except psycopg2.Error as error:
        if transient(error):
            raise
        refused = RefusedLoginError if _REFUSED_LOGIN.search(str(error)) else DatabaseError
        raise refused(str(plain(error))) from None  # the original may quote the URI
    try:
        _prepare(opened, lock_timeout, idle_in_transaction_timeout, statement_timeout)
    except BaseException:
        opened.close()
        raise
    return opened


def transient(error: BaseException) -> bool:
    """Whether the same transaction may succeed later without anybody's help."""
    if not isinstance(error, psycopg2.Error):
        return False
    if state := error.pgcode:
        concurrent_ddl = state == "XX000" and "concurrently" in str(error)  # e.g. a GRANT beside our ALTER TABLE
        return state.startswith(_TRANSIENT_CLASSES) or state in _TRANSIENT_STATES or concurrent_ddl
    if isinstance(error, psycopg2.OperationalError):
        return _PERMANENT_TEXTS.search(str(error)) is None
    if isinstance(error, psycopg2.InterfaceError):
        return "closed" in str(error)
    # libpq lost the thread of the conversation: only the plain class, its subclasses are errors of the statement
    return type(error) is psycopg2.DatabaseError


def plain(error: psycopg2.Error) -> DatabaseError:
    """The error for a person: what PostgreSQL refused, and what to do. Never shows a password."""
    state = error.pgcode or ""
    told = error.diag.message_primary or str(error).strip() or type(error).__name__
    advice = _ADVICE.get(state) or _ADVICE.get(state[:2]) or (_CONNECT_ADVICE if not state else "see the server's log")
    # a second line of context only repeats the statement, which may be 800 columns long
    shown = " ".join(told.split())[:500]
    place = ".".join(filter(None, (error.diag.schema_name, error.diag.table_name)))
    where = f" (in {place})" if place else ""
    code = f" [{state}]" if state else ""
    return DatabaseError(f"PostgreSQL refused: {_masked(shown)}{where}{code}. What to do: {advice}.")


class Transactions:
    """Runs transactions on one connection, opened when first needed and again when it breaks.

    login: a URI, or what gives one that may change. Not for several threads at once, `cancel` aside. A set `stop` ends
    every wait.
    """

    def __init__(self, login: str | Login, stop: threading.Event, **connect_options: Any) -> None:
        self._login = Login(login) if isinstance(login, str) else login
        self._stop = stop
        self._options = connect_options
        self._connection: connection | None = None

    def run(self, work: Callable[[cursor], T]) -> T:
        """BEGIN, `work`, COMMIT; the result of `work`.

        Delivery: at least once. All of it is tried again, for ever, on transient errors, also where the answer to
        COMMIT was lost: `work` must find out itself what is there. Raises DatabaseError for permanent errors,
        StoppedError if `stop` is set while waiting; a StockETLError of `work` passes through after ROLLBACK.
        """
        retrying = Retrying(
            retry=retry_if_exception(self._is_worth_another_try),
            wait=wait_exponential(FIRST_PAUSE, max=LONGEST_PAUSE) + wait_random(0, FIRST_PAUSE),
            sleep=sleep_using_event(self._stop),
            stop=stop_when_event_set(self._stop),
            before_sleep=_say_waiting,
            reraise=True,
        )
        try:
            result: T = retrying(self._once, work)
        except psycopg2.Error as error:
            if transient(error):
                msg = f"stopped while waiting for PostgreSQL ({_first_line(error)}): the transaction was given up"
                raise StoppedError(msg) from error
            raise plain(error) from error
        except (RefusedLoginError, SecretUnavailableError) as error:
            if self._stop.is_set():
                msg = f"stopped while waiting for the login to PostgreSQL: the transaction was given up ({error})"
                raise StoppedError(msg) from error
            raise
        if retrying.statistics["attempt_number"] > 1:
            log.warning("PostgreSQL is back after %.1f s: going on", retrying.statistics["delay_since_first_attempt"])
        return result

    def cancel(self) -> None:
        """Cancels the statement under way, from another thread; `run` then raises StoppedError if `stop` is set."""
        with contextlib.suppress(psycopg2.Error):
            if (opened := self._connection) is not None:
                opened.cancel()

    def close(self) -> None:
        """Ends the connection; a later `run` opens a new one."""
        opened, self._connection = self._connection, None
        if opened is not None:
            opened.close()

    def _once(self, work: Callable[[cursor], T]) -> T:
        if self._connection is None:
            self._connection = connect(self._login.uri(), **self._options)
            self._login.accepted()
        try:
            with self._connection.cursor() as cur:
                result = work(cur)
            self._connection.commit()
        except BaseException:
            self._abandon()
            raise
        return result

    def _is_worth_another_try(self, error: BaseException) -> bool:
        if isinstance(error, RefusedLoginError):
            return self._login.renew()
        return transient(error) or isinstance(error, SecretUnavailableError)

    def _abandon(self) -> None:
        """Back to a connection that is outside a transaction, or to none."""
        opened = self._connection
        with contextlib.suppress(psycopg2.Error):
            if opened is not None and not opened.closed:
                opened.rollback()
                if opened.status == STATUS_READY:
                    return
        self.close()


def _parsed(uri: str) -> dict[str, str]:
    """The own messages of libpq may quote the URI or a part of the password: none of them is passed on."""
    try:
        parsed = parse_dsn(uri)
    except psycopg2.Error:
        parsed = None
    if parsed is None or "@" in parsed.get("host", "") or not re.fullmatch(r"[\d,]*", parsed.get("port", "")):
        msg = (
            "the database URI cannot be read: expected postgresql://user:password@host:port/database, with special "
            "characters of the password percent-encoded (@ is %40, / is %2F, % is %25)"
        )
        raise DatabaseError(msg)
    return parsed


def _prepare(opened: connection, lock: float, idle: float, statement: float) -> None:
    encoding = opened.get_parameter_status("server_encoding")
    if encoding != "UTF8":
        msg = (
            f"the database {opened.info.dbname!r} has the encoding {encoding}, expected UTF8. "
            "Make another one: CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        )
        raise DatabaseError(msg)
    # READ COMMITTED: the epoch must be read as it is once its lock is held, not as it was at BEGIN
    opened.set_session(isolation_level="READ COMMITTED", readonly=False, autocommit=True)
    with opened.cursor() as cur:
        cur.execute(
            """
            SELECT set_config('lock_timeout', %s, false), set_config('idle_in_transaction_session_timeout', %s, false),
                   set_config('statement_timeout', %s, false), set_config('client_min_messages', 'warning', false),
                   set_config('extra_float_digits', '1', false),
                   -- Spark forgets a batch once it is committed here: the commit must be on the disk
                   set_config('synchronous_commit', CASE current_setting('synchronous_commit') WHEN 'off' THEN 'on'
                              ELSE current_setting('synchronous_commit') END, false)
            """,
            [str(round(seconds * 1000)) for seconds in (lock, idle, statement)],
        )
    opened.autocommit = False


def _say_waiting(state: RetryCallState) -> None:
    if state.attempt_number == 1 and state.outcome is not None:
        error = state.outcome.exception()
        log.warning("PostgreSQL: %s. Waiting for it, nothing is lost", _first_line(error))


def _first_line(error: BaseException | None) -> str:
    return _masked(next(iter(str(error).strip().splitlines()), type(error).__name__)).rstrip(".")


def _masked(text: str) -> str:
    text = re.sub(r"(\w+://[^\s:/@]*):\S*@", r"\1:***@", text)
    return re.sub(r"(password\s*=\s*)('[^']*'|[^\s&]+)", r"\1***", text)
