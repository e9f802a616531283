"""One writer at a time: a job that starts takes over from the one before, which writes nothing from then on."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

from streaming import ledger
from streaming.errors import StockETLError
from streaming.inspection import relocate
from streaming.rebuild import refuse_other_runs
from streaming.running import of_ledger

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streaming.checkpoint import Checkpoint
    from streaming.login import Login
    from streaming.running import Job
    from streaming.settings import Settings
    from streaming.transactions import Transactions


class OtherJobError(StockETLError):
    """A person has started a job beside another one."""


def take_over(
    transactions: Transactions, checkpoint: Checkpoint, settings: Settings, login: Login, stop: threading.Event
) -> int:
    """The next epoch. A job that must refuse its checkpoint raises CheckpointError and leaves the older one alone."""
    refuse_other_runs(settings)
    transactions.run(ledger.create)
    if not settings.take_over and started_by_a_person():
        refuse_beside(transactions.run(of_ledger))
    transactions.run(checkpoint.agree_with_ledger)
    checkpoint.refuse_leftovers(settings.lake, settings.receipts)
    epoch = ledger.take_over(login, stop)
    while transactions.run(lambda cur: ledger.migrate(cur, epoch)):
        pass
    transactions.run(checkpoint.agree_with_ledger)
    relocate(checkpoint.url)
    return epoch


def refuse_beside(other: Job | None) -> None:
    """Raises OtherJobError if another job runs, or may run, on the database."""
    is_this = other is not None and (other.process_id, other.host) == (os.getpid(), socket.gethostname())
    if other is None or other.alive is False or is_this:  # a job that begins anew keeps its process
        return
    since = f" since {other.started_at:%Y-%m-%d %H:%M:%S %Z}" if other.started_at else ""
    msg = (
        f"another job {'runs' if other.alive else 'may run'} on this database: {other.where}{since} ({other.why}). "
        "This one would end it, since there is one job per database. If that is what you want, add --take-over; "
        "else leave it alone: `stocketl status` shows what it does"
    )
    raise OtherJobError(msg)


def started_by_a_person() -> bool:
    """Whether somebody sits at a terminal; service managers and spark-submit replace a job without being asked.

    Where the log goes says nothing: `2>&1 | tee log` is a person's too.
    """
    return sys.stdin.isatty() and "PYSPARK_GATEWAY_PORT" not in os.environ


def still_writer(epoch: int, transactions: Transactions) -> Callable[[], None]:
    """Raises SupersededError where a newer job has taken over."""
    return lambda: transactions.run(lambda cur: ledger.check_epoch(cur, epoch))
