"""What the tests of the ledger share."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import pytest

from streaming.database.transactions import Transactions
from streaming.ledger import writer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledger_rows import Run


@pytest.fixture
def run(database: str) -> Iterator[Run]:
    """Runs a function in a transaction on a database with an empty ledger."""
    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        yield transactions.run
