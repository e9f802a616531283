"""Who holds a table, on a server of its own: prepared transactions are switched off by default."""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

import psycopg2

from streaming.database import embedded
from streaming.database.table_holders import holders


def test_prepared_transactions_are_named_with_the_statement_that_ends_the_oldest() -> None:
    """They belong to no session, so that nobody finds them among the processes."""
    # not under pytest's folder, whose mode a second test run beside this one would change
    with tempfile.TemporaryDirectory(prefix="stocketl-test-") as folder:
        data = Path(folder) / "postgres"
        try:
            _run(embedded.start(data), "ALTER SYSTEM SET max_prepared_transactions = 5")
            embedded.stop(data)
            uri = embedded.start(data)
            _run(uri, "CREATE TABLE prices ()")
            for name in ("it''s", "two"):
                _run(uri, f"BEGIN; SELECT FROM prices; PREPARE TRANSACTION '{name}'")
            with contextlib.closing(psycopg2.connect(uri)) as asking, asking.cursor() as cur:
                found = holders(cur, '"public"."prices"')
        finally:
            embedded.stop(data)
    first, second = found.told.split(" and ")
    assert first.startswith('the prepared transaction "it\'s" of role postgres since 2')
    assert second.startswith("the prepared transaction 'two' of role postgres since 2")
    assert found.ending == "ROLLBACK PREPARED 'it''s'"


def _run(uri: str, statement: str) -> None:
    with contextlib.closing(psycopg2.connect(uri)) as connected:
        connected.autocommit = True
        with connected.cursor() as cur:
            cur.execute(statement)
