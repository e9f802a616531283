"""Transactions that are tried again until they succeed. If the connection breaks, a new one is opened."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TypeVar

import psycopg2
from psycopg2.extensions import STATUS_READY
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_when_event_set, wait_exponential, wait_random
from tenacity.nap import sleep_using_event

from streaming.database.connect import RefusedLoginError, TimeLimits, begin, connect
from streaming.database.login import Login, SecretUnavailableError
from streaming.database.sqlstates import of_a_standby, plain, state_of, told, transient
from streaming.database.standstill import watched
from streaming.database.table_holders import holders_of_any
from streaming.errors import StockETLError
from streaming.masking import first_line
from streaming.waiting import Waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from psycopg2 import sql
    from psycopg2.extensions import connection, cursor

T = TypeVar("T")

FIRST_PAUSE, LONGEST_PAUSE = 0.1, 15.0
LONGEST_STATEMENT = 86400.0  # seconds


class StoppedError(StockETLError):
    """The job was asked to stop while it waited for the database. Nothing of the transaction was written."""


class Transactions:
    """Runs transactions on one connection, opened when first needed and again when it breaks.

    login: a URI, or a `Login` whose URI may change; of: whose transactions these are, for the line of a wait; process:
    see `connect`. Not for several threads at once, except `cancel`. Once `stop` is set, every wait ends.
    """

    def __init__(
        self,
        login: str | Login,
        stop: threading.Event,
        *,
        of: str = "",
        process: str = "",
        limits: TimeLimits | None = None,
    ) -> None:
        self._login = Login(login) if isinstance(login, str) else login
        self._stop = stop
        self._process = process
        self._limits = limits or TimeLimits()
        self._waiting = Waiting(f"PostgreSQL ({of})" if of else "PostgreSQL")
        self._uri = ""
        self._connection: connection | None = None

    def run(self, work: Callable[[cursor], T]) -> T:
        """BEGIN, `work`, COMMIT; the result of `work`.

        Delivery: at least once. After a transient error all of it is tried again, for ever, even if only the answer to
        COMMIT was lost: `work` must find out itself what is there. Raises DatabaseError for permanent errors, and
        StoppedError if `stop` is set while waiting. A StockETLError of `work` passes through after ROLLBACK.
        """
        retrying = Retrying(
            retry=retry_if_exception(self._is_worth_another_try),
            wait=wait_exponential(FIRST_PAUSE, max=LONGEST_PAUSE) + wait_random(0, FIRST_PAUSE),
            sleep=sleep_using_event(self._stop),
            stop=stop_when_event_set(self._stop),
            before_sleep=self._say_waiting,
            reraise=True,
        )
        try:
            result: T = retrying(self._once, work)
        except psycopg2.Error as error:
            self._waiting.given_up()
            if transient(error):
                msg = f"stopped while waiting for PostgreSQL ({first_line(error)}): the transaction was given up"
                raise StoppedError(msg) from error
            raise plain(error) from error
        except (RefusedLoginError, SecretUnavailableError) as error:
            self._waiting.given_up()
            if self._stop.is_set():
                msg = f"stopped while waiting for the login to PostgreSQL: the transaction was given up ({error})"
                raise StoppedError(msg) from error
            raise
        self._waiting.over()
        return result

    def outside(self, statement: sql.Composable) -> list[tuple[Any, ...]]:
        """One try of a statement that cannot be in a transaction, such as VACUUM, if there is a connection.

        Raises psycopg2's own error; the next `run` finds a usable connection or opens one.
        """
        if (opened := self._connection) is None:
            return []
        try:
            opened.autocommit = True
            with opened.cursor() as cur:
                cur.execute(statement)
                found = cur.fetchall() if cur.description else []
            opened.autocommit = False
        except BaseException:
            self.close()
            raise
        return found

    def pause(self, seconds: float) -> None:
        """Waits between two transactions. Raises StoppedError if `stop` is set meanwhile."""
        if self._stop.wait(seconds):
            msg = "stopped while waiting for PostgreSQL: the transaction was given up"
            raise StoppedError(msg)

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
        since = time.monotonic()
        try:
            opened, pid = self._begun()
            with watched(self._uri, pid, self._waiting):
                with opened.cursor() as cur:
                    result = work(cur)
                    # if COMMIT waits for a synchronous standby and is cut short, it has committed here, and only here
                    cur.execute("SET LOCAL statement_timeout = 0")
                opened.commit()
        except BaseException as error:
            self._abandon(error)
            if time.monotonic() - since >= self._limits.statement_timeout:
                self._allow_more(error)
            raise
        return result

    def _begun(self) -> tuple[connection, int]:
        """A connection whose transaction has begun, and the process id of its session.

        If it died, or became a standby's, while there was nothing to do, that costs no wait.
        """
        if self._connection is not None:
            try:
                return self._begin(self._connection)
            except psycopg2.Error as error:
                if not transient(error):
                    raise
                self.close()
        self._uri = self._login.uri()
        self._connection = connect(self._uri, process=self._process)
        self._login.accepted()
        return self._begin(self._connection)

    def _begin(self, opened: connection) -> tuple[connection, int]:
        with opened.cursor() as cur:
            return opened, begin(cur, self._limits)

    def _is_worth_another_try(self, error: BaseException) -> bool:
        if isinstance(error, RefusedLoginError):
            return self._login.renew()
        return transient(error) or isinstance(error, SecretUnavailableError)

    def _allow_more(self, error: BaseException) -> None:
        """If a statement needs longer than its limit, it would always fail: the next try gets twice the time."""
        if isinstance(error, psycopg2.Error) and state_of(error) == "57014":
            longer = min(2 * self._limits.statement_timeout, LONGEST_STATEMENT)
            self._limits = replace(self._limits, statement_timeout=longer)

    def _abandon(self, error: BaseException) -> None:
        """Goes back to a connection outside a transaction. If it is broken or not the writer's, closes it."""
        opened = self._connection
        with contextlib.suppress(psycopg2.Error):
            if opened is not None and not opened.closed and not of_a_standby(error):
                opened.rollback()
                if opened.status == STATUS_READY:
                    return
        self.close()

    def _say_waiting(self, state: RetryCallState) -> None:
        error = None if state.outcome is None else state.outcome.exception()
        reason, advice = told(error)
        if isinstance(error, psycopg2.Error) and state_of(error) == "55P03":
            advice = self._holders() or advice
        self._waiting.failed(reason, advice)

    def _holders(self) -> str:
        """Who keeps writers out; asked on the same connection after the lock time-out."""
        opened = self._connection
        with contextlib.suppress(psycopg2.Error):
            if opened is not None:
                with self._begin(opened)[0].cursor() as cur:
                    found = holders_of_any(cur)
                opened.rollback()
                return f"It is held by {found.told}." + (f" To end that: {found.ending}." if found.ending else "")
        return ""


class Sessions:
    """Sessions for the parts of one job. Each has its own connection and login; all are closed at the end.

    process: see `connect`.
    """

    def __init__(self, login: Login, stop: threading.Event, *, process: str = "") -> None:
        self._login = login
        self._stop = stop
        self._process = process
        self._opened: list[Transactions] = []

    def open(self, of: str) -> Transactions:
        """Transactions of one thread. of: whose they are, for the line of a wait."""
        self._opened.append(Transactions(self._login.copy(), self._stop, of=of, process=self._process))
        return self._opened[-1]

    def close(self) -> None:
        """Ends all connections."""
        for transactions in reversed(self._opened):
            transactions.close()
