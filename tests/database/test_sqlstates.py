"""Which errors wait and which end the job, and that no message shows a password."""

from __future__ import annotations

import contextlib

import psycopg2
import psycopg2.extensions
import pytest

from streaming.database.sqlstates import plain, told, transient

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
    "58030",
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


@pytest.mark.parametrize(
    ("text", "reason", "advice"),
    [
        ("FATAL:  sorry, too many clients already", "[53300]", "End some (pg_stat_activity lists them)"),
        ("FATAL:  the database system is starting up", "[57P03]", "starting, stopping or recovering"),
        ("connection to server failed: session is read-only", "[25006]", "Each try looks for the writer"),
        ("FATAL:  query_wait_timeout", "[08P01]", "a pooler has no server for it"),
        ("connection to server failed: Connection refused", "refused", "host and port in --database are right"),
    ],
)
def test_a_wait_says_what_to_do_although_connecting_gives_no_code(text: str, reason: str, advice: str) -> None:
    """The code is found by the text, the advice by the code."""
    shown = told(psycopg2.OperationalError(text))
    assert reason in shown[0]
    assert advice in shown[1]


def test_every_error_that_waits_has_advice(database: str) -> None:
    """As the server raises it, by its SQLSTATE."""
    without = []
    with contextlib.closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            for state in TRANSIENT:
                try:
                    cur.execute(f"DO $$ BEGIN RAISE EXCEPTION 'x' USING ERRCODE = '{state}'; END $$")
                except psycopg2.Error as error:
                    if not told(error)[1] or f"[{state}]" not in told(error)[0]:
                        without.append(state)
    assert without == []
