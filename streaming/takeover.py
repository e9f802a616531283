"""One writer at a time: a job that starts takes over from the one before, which writes nothing from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming import ledger
from streaming.inspection import relocate
from streaming.rebuild import refuse_other_runs

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streaming.checkpoint import Checkpoint
    from streaming.login import Login
    from streaming.settings import Settings
    from streaming.transactions import Transactions


def take_over(
    transactions: Transactions, checkpoint: Checkpoint, settings: Settings, login: Login, stop: threading.Event
) -> int:
    """The next epoch. A job that must refuse its checkpoint raises CheckpointError and leaves the older one alone."""
    refuse_other_runs(settings)
    transactions.run(ledger.create)
    transactions.run(checkpoint.agree_with_ledger)
    checkpoint.refuse_leftovers(settings.lake, settings.receipts)
    epoch = ledger.take_over(login, stop)
    while transactions.run(lambda cur: ledger.migrate(cur, epoch)):
        pass
    transactions.run(checkpoint.agree_with_ledger)
    relocate(checkpoint.url)
    return epoch


def still_writer(epoch: int, transactions: Transactions) -> Callable[[], None]:
    """Raises SupersededError where a newer job has taken over."""
    return lambda: transactions.run(lambda cur: ledger.check_epoch(cur, epoch))
