"""The page's queries: a few connections that can only read, opened again if they break.

On the embedded server they act as the role `stocketl_reader`, which is made if it is missing. Elsewhere they do so if
that role is there and may be taken. In any case each session has `default_transaction_read_only` on.
"""

from __future__ import annotations

import contextlib
import queue
import threading
from typing import TYPE_CHECKING, TypeVar

import psycopg2
from psycopg2 import errorcodes, sql

from streaming.database.connect import RefusedLoginError, TimeLimits, begin, connect
from streaming.database.listening import ROLE, make_role
from streaming.errors import StockETLError
from streaming.masking import first_line, masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection, cursor

    from streaming.database.login import Login

T = TypeVar("T")

_CONNECTIONS = 3
_LIMITS = TimeLimits(lock_timeout=5, idle_in_transaction_session_timeout=30, statement_timeout=30)
_NO_LEDGER = {errorcodes.UNDEFINED_TABLE, errorcodes.INVALID_SCHEMA_NAME}


class AwayError(StockETLError):
    """The database cannot be read now; the text says why."""


class Reader:
    """login: how to log in; embedded: whether the server is our own, so that the role may be made. For threads."""

    def __init__(self, login: Login, *, embedded: bool) -> None:
        self._login = login
        self._logging_in = threading.Lock()  # a login is not for several threads at once
        self._embedded = embedded
        self._places: queue.LifoQueue[connection | None] = queue.LifoQueue()
        for _ in range(_CONNECTIONS):
            self._places.put(None)

    def run(self, work: Callable[[cursor], T]) -> T:
        """`work` in a transaction that reads, and sees one moment. Raises AwayError."""
        opened = self._places.get()
        try:
            for last in (False, True):
                was_open = opened is not None
                try:
                    opened = opened or self.open()
                    return self._read(opened, work)
                except (psycopg2.OperationalError, psycopg2.InterfaceError) as error:
                    _close(opened)
                    opened = None
                    if last or not was_open:  # a connection that lay here may have broken unseen
                        raise AwayError(first_line(error)) from error
            raise AssertionError  # the second try returns or raises
        except psycopg2.Error as error:
            if error.pgcode in _NO_LEDGER:
                msg = "no job has used this database yet"
                raise AwayError(msg) from error
            raise AwayError(first_line(error)) from error
        finally:
            self._places.put(opened)

    def open(self, *, writer: bool = False) -> connection:
        """A connection that can only read. writer: on the server that writes. Raises AwayError or psycopg2's error."""
        try:
            with self._logging_in:
                opened = self._connected(writer=writer)
        except (StockETLError, OSError) as error:
            raise AwayError(masked(str(error))) from error
        opened.autocommit = True
        try:
            with opened.cursor() as cur:
                self._take_role(cur)
                cur.execute("SET default_transaction_read_only = on")
        except psycopg2.Error:
            opened.close()
            raise
        return opened

    def close(self) -> None:
        """Ends the connections that nobody uses."""
        with contextlib.suppress(queue.Empty):
            while True:
                _close(self._places.get_nowait())

    def _connected(self, *, writer: bool) -> connection:
        try:
            opened = connect(self._login.uri(), process="page", read_only=not writer)
        except RefusedLoginError:
            self._login.renew()  # the password may have been rotated: the next try reads the secret again
            raise
        self._login.accepted()
        return opened

    def _take_role(self, cur: cursor) -> None:
        if self._embedded:
            make_role(cur)
        if _may_take(cur):
            cur.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(ROLE)))

    @staticmethod
    def _read(opened: connection, work: Callable[[cursor], T]) -> T:
        opened.set_session(isolation_level="REPEATABLE READ", readonly=True, autocommit=False)
        try:
            with opened.cursor() as cur:
                begin(cur, _LIMITS, read_only=True)
                return work(cur)
        finally:
            with contextlib.suppress(psycopg2.Error):
                opened.rollback()


def _may_take(cur: cursor) -> bool:
    cur.execute(
        "SELECT EXISTS (SELECT FROM pg_roles WHERE rolname = %s AND pg_has_role(current_user, oid, 'MEMBER'))", (ROLE,)
    )
    return cur.fetchall() == [(True,)]


def _close(opened: connection | None) -> None:
    if opened is not None:
        with contextlib.suppress(psycopg2.Error):
            opened.close()
