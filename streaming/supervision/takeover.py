"""One writer at a time: a job that starts takes over, and from then on the older job writes nothing."""

from __future__ import annotations

import os
import socket
import sys
from typing import TYPE_CHECKING

from streaming.checkpoint.inspection import relocate
from streaming.checkpoint.offset import batch_digest
from streaming.errors import START_AGAIN, CheckpointError, StockETLError
from streaming.home.rebuild_journal import refuse_other_runs
from streaming.home.running import of_ledger
from streaming.ledger import batches, writer
from streaming.ledger.drops import recorded_fates
from streaming.ledger.outbox import receipt_name
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from psycopg2.extensions import cursor

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.database.login import Login
    from streaming.database.transactions import Transactions
    from streaming.home.running import Job
    from streaming.settings import Settings

_COMPARED_BATCHES = 20


class OtherJobError(StockETLError):
    """A person has started a job beside another one."""


def take_over(
    transactions: Transactions, checkpoint: Checkpoint, settings: Settings, login: Login, stop: threading.Event
) -> int:
    """The next epoch. If the checkpoint must be refused, raises CheckpointError and leaves the older job alone."""
    refuse_other_runs(settings)
    transactions.run(writer.create)
    if not settings.take_over and started_by_a_person():
        refuse_beside(transactions.run(of_ledger))
    transactions.run(lambda cur: agree_with_ledger(checkpoint, cur))
    refuse_leftovers(checkpoint, settings.lake, settings.receipts)
    epoch = writer.take_over(login, stop)
    while transactions.run(lambda cur: writer.migrate(cur, epoch)):
        pass
    transactions.run(lambda cur: agree_with_ledger(checkpoint, cur))
    relocate(checkpoint.url)
    return epoch


def refuse_beside(other: Job | None) -> None:
    """Raises OtherJobError if another job runs, or may run, on the database."""
    is_this = other is not None and (other.process_id, other.host) == (os.getpid(), socket.gethostname())
    if other is None or other.alive is False or is_this:  # if a job begins anew, it keeps its process
        return
    since = f" since {other.started_at:%Y-%m-%d %H:%M:%S %Z}" if other.started_at else ""
    msg = (
        f"another job {'runs' if other.alive else 'may run'} on this database: {other.where}{since} ({other.why}). "
        "A database has one job, so this one would end it. If that is what you want, add --take-over. Else leave it "
        "alone: `stocketl status` shows what it does"
    )
    raise OtherJobError(msg)


def started_by_a_person() -> bool:
    """Whether a person sits at a terminal. Service managers and spark-submit replace a job without being asked.

    The log's target says nothing: a person may write `2>&1 | tee log` too.
    """
    return sys.stdin.isatty() and "PYSPARK_GATEWAY_PORT" not in os.environ


def still_writer(epoch: int, transactions: Transactions) -> Callable[[], None]:
    """Raises SupersededError if a newer job has taken over."""
    return lambda: transactions.run(lambda cur: writer.check_epoch(cur, epoch))


def agree_with_ledger(checkpoint: Checkpoint, cur: cursor) -> None:
    """Raises CheckpointError if going on would repeat or leave out a batch."""
    last = batches.last_batch(cur)
    planned, committed = checkpoint.planned(), checkpoint.committed()
    if last is None:
        if committed >= 0:
            msg = (
                f"the checkpoint {checkpoint.url} says that batches up to {committed} are in the database, but the "
                "database holds none: it is another one, or it was emptied. Give the right --database, or "
                f"start anew: {START_AGAIN}."
            )
            raise CheckpointError(msg)
        return
    checkpoint_id, batch_id, _ = last
    if checkpoint_id != checkpoint.id:
        state = f"has the id {checkpoint.id}" if planned else "is new"
        msg = (
            f"the database was filled from the checkpoint {checkpoint_id}, but the one at {checkpoint.url} {state}: "
            "its state does not know the prices that are in the tables, so returns would be wrong. Give the old "
            f"--checkpoint back, or start anew: {START_AGAIN}."
        )
        raise CheckpointError(msg)
    if batch_id > (planned[-1] if planned else -1) or batch_id < committed:
        msg = (
            f"the ledger ends with batch {batch_id}, but the checkpoint {checkpoint.url} has planned up to "
            f"{planned[-1] if planned else 'none'} and committed up to {committed}: one of the two was restored "
            f"from an older copy. Restore both from the same moment, or start anew: {START_AGAIN}."
        )
        raise CheckpointError(msg)
    _compare_digests(checkpoint, batches.batch_digests(cur, checkpoint.id, _COMPARED_BATCHES), planned)


def refuse_leftovers(checkpoint: Checkpoint, lake: str | None, receipts: str) -> None:
    """Raises CheckpointError if the checkpoint is new, but the lake or the receipts hold another one's output.

    Drops would be numbered from 1 again and collide with it.
    """
    if checkpoint.planned():
        return
    # Delta removes the first one from a log of some age, which then has the second one
    log = ("ticks/_delta_log/00000000000000000000.json", "ticks/_delta_log/_last_checkpoint")
    left = [(lake, "--lake", key) for key in log] if lake else []
    first = ((receipts, "--receipts", f"{folder}{receipt_name(1)}") for folder in ("", "done/"))  # done/: the monitor's
    for url, option, key in (*left, *first):
        if open_place(url).exists(key):
            msg = (
                f"the checkpoint {checkpoint.url} is new, but {url} holds what another one has written. Drops would be "
                f"numbered from 1 again. Move it away, or give another {option}. {START_AGAIN}."
            )
            raise CheckpointError(msg)


def _compare_digests(checkpoint: Checkpoint, recorded: dict[int, str], planned: list[int]) -> None:
    for batch_id in sorted(recorded.keys() & set(planned)):
        try:
            found = batch_digest(checkpoint.offset(batch_id).drops)
        except CheckpointError:
            if batch_id >= planned[-1] - 1:
                raise
            continue  # damaged, but so old that nobody needs it
        if found != recorded[batch_id]:
            msg = (
                f"batch {batch_id}: the offset log of {checkpoint.url} lists other drops (digest {found[:12]}) than "
                f"the ledger ({recorded[batch_id][:12]}). Two jobs may have used one checkpoint, so a file could be "
                f"missing from the tables. Run `stocketl verify`, then start anew: {START_AGAIN}."
            )
            raise CheckpointError(msg)


def fates_of_open_batch(checkpoint: Checkpoint, cur: cursor) -> dict[int, str]:
    """If the ledger already has the open batch: why drops of it have failed, by seq."""
    open_batch = checkpoint.open_batch()
    return {} if open_batch is None else recorded_fates(cur, checkpoint.id, open_batch)
