"""A ledger of any released version becomes one of today, and a newer one is refused."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from outcome import rows

from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError, SupersededError
from streaming.ledger import migrations, writer

if TYPE_CHECKING:
    from collections.abc import Iterator

LEDGERS = Path(__file__).with_name("ledgers")
RELEASED = [1, 2, 3]  # the later ones come together, in the next release
_COLUMNS = """
    SELECT table_name, column_name, data_type, is_nullable, column_default
      FROM information_schema.columns
     WHERE table_schema = 'stocketl' AND table_name !~ '^long_[a-z]+_[0-9]+$' -- one for each wide table that there is
     ORDER BY 1, 2
"""
_CONSTRAINTS = """
    SELECT conrelid::regclass::text AS table, conname, pg_get_constraintdef(oid) AS definition FROM pg_constraint
     WHERE connamespace = 'stocketl'::regnamespace AND contype <> 'n' ORDER BY 1, 2
"""


def load(database: str, version: int) -> None:
    """Fills a database as `pg_dump --inserts` has written one of a released version."""
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute((LEDGERS / f"version-{version}.sql").read_text())


@pytest.fixture
def transactions(database: str) -> Iterator[Transactions]:
    with contextlib.closing(Transactions(database, threading.Event())) as made:
        yield made


def take_over(transactions: Transactions, database: str) -> int:
    """As a job does when it starts."""
    transactions.run(writer.create)
    epoch = writer.take_over(database, threading.Event())
    while transactions.run(lambda cur: writer.migrate(cur, epoch)):
        pass
    return epoch


def schema(database: str) -> Any:
    return rows(database, _COLUMNS), rows(database, _CONSTRAINTS)


@pytest.mark.parametrize("version", RELEASED)
def test_a_ledger_of_a_released_version_becomes_one_of_today(
    database: str, databases: Any, transactions: Transactions, version: int
) -> None:
    """Its schema is that of a new one, its rows are still there, and a second start has nothing to do."""
    load(database, version)
    drops = rows(database, "SELECT seq, key, rows_read FROM stocketl.drops ORDER BY seq")
    epoch = take_over(transactions, database)
    fresh = databases.create(f"fresh_{version}")
    with contextlib.closing(Transactions(fresh, threading.Event())) as others:
        take_over(others, fresh)
    assert schema(database) == schema(fresh)
    assert rows(database, "SELECT seq, key, rows_read FROM stocketl.drops ORDER BY seq") == drops
    assert rows(database, "SELECT max(version) AS version FROM stocketl.schema_version") == [
        {"version": migrations.latest()}
    ]
    assert not transactions.run(lambda cur: writer.migrate(cur, epoch))


def test_the_tickers_of_an_older_ledger_are_in_the_long_views(database: str, transactions: Transactions) -> None:
    """The migration makes the views that widening would have made."""
    load(database, 2)
    take_over(transactions, database)
    for view, column in (("long_prices", "price"), ("long_returns", "return"), ("long_volume", "volume")):
        long = rows(database, f"SELECT date, id, {column} FROM stocketl.{view} ORDER BY id, date")  # noqa: S608 - constants
        series = f"""
            SELECT s.date, t.id, s.{column} FROM stocketl.tickers t, stocketl.series(t.id) s
             WHERE s.{column} IS NOT NULL ORDER BY t.id, s.date
        """  # noqa: S608 - constants
        assert long == rows(database, series) != []


def test_the_last_batch_of_an_older_ledger_is_compared_with_what_that_one_knew(
    database: str, transactions: Transactions
) -> None:
    """Rows and lines of whole drops; of a drop over several batches the lines of the last one."""
    load(database, 1)
    take_over(transactions, database)
    assert rows(database, "SELECT batch_id, drops FROM stocketl.readings") == [
        {"batch_id": 3, "drops": {"3": {"lines": 36}}}
    ]
    assert rows(database, "SELECT bucket, batch_id, cells FROM stocketl.fingerprints") == [
        {"bucket": -1, "batch_id": 3, "cells": 0}
    ]


def test_a_ledger_of_a_newer_version_is_refused_before_the_older_job_is_disturbed(
    database: str, transactions: Transactions
) -> None:
    """The message says which versions this code knows; the epoch stays."""
    epoch = take_over(transactions, database)
    newer = migrations.latest() + 1
    transactions.run(lambda cur: cur.execute("INSERT INTO stocketl.schema_version VALUES (%s)", (newer,)))
    with pytest.raises(DatabaseError, match=rf"has version {newer} .* knows versions up to {newer - 1}"):
        transactions.run(writer.create)
    assert rows(database, "SELECT epoch AS newest FROM stocketl.writer") == [{"newest": epoch}]


def test_a_superseded_job_does_not_migrate(database: str, transactions: Transactions) -> None:
    """The schema belongs to the newest writer."""
    load(database, 1)
    epoch = writer.take_over(database, threading.Event())
    writer.take_over(database, threading.Event())
    with pytest.raises(SupersededError):
        transactions.run(lambda cur: writer.migrate(cur, epoch))
    assert transactions.run(migrations.version) == 1


def test_who_could_read_the_corrections_still_can(database: str, transactions: Transactions) -> None:
    """They were a table once, and are a view now."""
    take_over(transactions, database)
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute("DROP SCHEMA stocketl CASCADE; CREATE SCHEMA stocketl")
        for number in range(1, 7):
            migrations.apply(cur, number)
        cur.execute("INSERT INTO stocketl.writer (epoch, wide_schema) VALUES (0, 'public')")
        cur.execute(
            "INSERT INTO stocketl.corrections VALUES (1, '2024-01-02', 'A', 1, 2, NULL, 3, NULL, 0.5, '2024-05-06')"
        )
        cur.execute("SELECT to_jsonb(c) FROM stocketl.corrections c")
        before = cur.fetchall()
        cur.execute(
            "DROP ROLE IF EXISTS dashboards; CREATE ROLE dashboards; GRANT USAGE ON SCHEMA stocketl TO dashboards"
        )
        cur.execute("GRANT SELECT ON stocketl.corrections TO dashboards")
    take_over(transactions, database)
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute("SET ROLE dashboards")
        cur.execute("SELECT to_jsonb(c) FROM stocketl.corrections c")
        assert cur.fetchall() == before
        cur.execute("RESET ROLE; DROP OWNED BY dashboards; DROP ROLE dashboards")
