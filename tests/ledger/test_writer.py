"""The ledger is made once and has one writer."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg2
import pytest
from ledger_rows import Run, fact, query, record

from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError, SupersededError
from streaming.ledger import batches, writer


def test_create_is_safe_beside_itself(database: str) -> None:
    """Many at once make one ledger; none fails."""

    def make(_: int) -> None:
        with contextlib.closing(Transactions(database, threading.Event())) as transactions:
            transactions.run(writer.create)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(make, range(6)))
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        cur.execute("SELECT epoch, wide_schema FROM stocketl.writer")
        assert cur.fetchall() == [(0, "public")]


def test_a_role_with_only_its_schemas_is_enough(run: Run, database: str) -> None:
    """No right on the database but CONNECT and TEMPORARY; without CREATE on the wide schema the message says so."""
    name = psycopg2.extensions.parse_dsn(database)["dbname"]
    query(run, f"DROP SCHEMA stocketl CASCADE; CREATE ROLE small_{name}; SELECT 1")

    def as_small(cur: Any) -> None:
        cur.execute(f"SET LOCAL ROLE small_{name}")
        writer.create(cur)
        cur.execute("CREATE TABLE prices (date date PRIMARY KEY)")

    with pytest.raises(DatabaseError, match=r"permission denied for database .*42501.*Least rights"):
        run(as_small)
    # until PostgreSQL 14 everybody might
    query(
        run, f"CREATE SCHEMA stocketl AUTHORIZATION small_{name}; REVOKE CREATE ON SCHEMA public FROM public; SELECT 1"
    )
    with pytest.raises(DatabaseError, match=r"permission denied for schema public .*42501.*Least rights"):
        run(as_small)
    query(run, f"GRANT CREATE ON SCHEMA public TO small_{name}; SELECT 1")
    run(as_small)


def test_the_newest_writer_wins(run: Run, database: str) -> None:
    """Each takeover is the next epoch; an older one is told who took over and gets no further."""
    assert [writer.take_over(database), writer.take_over(database)] == [1, 2]
    run(lambda cur: writer.check_epoch(cur, 2))
    with pytest.raises(SupersededError, match=r"epoch 2, process \d+ on .* This one \(epoch 1\) has stopped"):
        run(lambda cur: writer.check_epoch(cur, 1))


def test_two_transactions_of_one_writer_run_side_by_side(run: Run, database: str) -> None:
    """The receipts of a batch do not wait for the tables of the next one."""
    epoch = writer.take_over(database)
    with contextlib.closing(Transactions(database, threading.Event())) as other:

        def work(cur: Any) -> None:
            writer.check_epoch(cur, epoch)
            other.run(lambda inner: writer.check_epoch(inner, epoch))

        run(work)


def test_a_frozen_writer_in_its_transaction_does_not_hold_up_a_takeover(run: Run, database: str) -> None:
    """Its session is ended after lock_timeout, its locks are gone, and nothing of its transaction stays."""
    epoch = writer.take_over(database)
    with contextlib.closing(psycopg2.connect(database)) as frozen, frozen.cursor() as cur:
        writer.check_epoch(cur, epoch)
        batches.begin_batch(cur, "c", 0, epoch, "d", 1)
        cur.execute("LOCK TABLE stocketl.drops IN ACCESS EXCLUSIVE MODE")
        assert writer.take_over(database) == epoch + 1
        record(run, 0, [fact(1, loaded=1)])
        with pytest.raises(psycopg2.OperationalError):
            cur.execute("SELECT 1")
    assert query(run, "SELECT digest FROM stocketl.batches") == [("digest 0",)]
