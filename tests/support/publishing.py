"""`Publish` as the job makes it, without Spark."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from streaming.publish.foreach_batch import Publish
from streaming.telemetry.batch_log import BatchLog
from streaming.telemetry.metrics import Metrics
from streaming.telemetry.wear import Wear

if TYPE_CHECKING:
    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.database.transactions import Transactions


def made(transactions: Transactions, checkpoint: Checkpoint, epoch: int, metrics: Metrics) -> Publish:
    """As the job makes it, without a lake."""
    return Publish(
        transactions,
        None,
        checkpoint,
        epoch,
        published=int,
        observers=[BatchLog(checkpoint, threading.Event()), metrics, Wear(Metrics())],
    )
