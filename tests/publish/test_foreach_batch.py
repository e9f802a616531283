"""What is told of a batch that is published, on a real PostgreSQL and without Spark."""

from __future__ import annotations

import contextlib
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from ledger_rows import fact
from publishing import made

from streaming.checkpoint.checkpoint import Checkpoint
from streaming.database.transactions import Transactions
from streaming.errors import CheckpointError, DatabaseError
from streaming.ledger import writer
from streaming.packets import Changes
from streaming.publish.batch import Batch
from streaming.publish.foreach_batch import Steps
from streaming.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

FAILED = fact(1, lines=1, failure="no-header: the first line is data")


class LosesAnAnswer(Transactions):
    """A COMMIT that works, of which nobody hears, once `lose` is set."""

    lose = False

    def _once(self, work: Any) -> Any:
        result = super()._once(work)
        if self.lose:
            self.lose = False
            self.close()
            msg = "server closed the connection unexpectedly"
            raise psycopg2.OperationalError(msg)
        return result


@pytest.mark.parametrize("lose", [False, True], ids=["answered", "answer lost"])
def test_a_batch_is_told_once_also_where_the_answer_to_its_commit_was_lost(
    database: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, *, lose: bool
) -> None:
    """The second attempt finds the batch in the ledger; its figures and the drops that failed are told all the same."""
    told: list[Any] = []
    metrics: Any = SimpleNamespace(published=lambda batch: told.append([drop["fate"] for drop in batch.written.ended]))
    checkpoint = Checkpoint(str(tmp_path), "c", 2, text_ids=False)
    with contextlib.closing(LosesAnAnswer(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        epoch = writer.take_over(transactions._login, threading.Event())  # noqa: SLF001 - as the job does
        publish = made(transactions, checkpoint, epoch, metrics)
        transactions.lose = lose
        publish._publish(Batch(Changes.empty(), [FAILED], {}, [], {}), 0, Steps())  # noqa: SLF001
    assert told == [["failed"]]
    assert [record.getMessage() for record in caplog.records if record.getMessage().startswith("drop")] == [
        "drop 1.csv failed: no-header: the first line is data"
    ]


def test_a_batch_that_the_database_has_lost_ends_the_job(database: str, tmp_path: Path) -> None:
    """As after a failover to a standby that lagged: the next batch is not written, for the tables lack rows."""
    metrics = Metrics()
    checkpoint = Checkpoint(str(tmp_path), "c", 2, text_ids=False)
    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        epoch = writer.take_over(database)
        publish = made(transactions, checkpoint, epoch, metrics)
        publish._publish(Batch(Changes.empty(), [], {}, [], {}), 0, Steps())  # noqa: SLF001 - without Spark
        transactions.run(lambda cur: cur.execute("DELETE FROM stocketl.batches"))
        with pytest.raises(CheckpointError, match=r"lost batch 0.*standby.*start anew"):
            publish._publish(Batch(Changes.empty(), [], {}, [], {}), 1, Steps())  # noqa: SLF001 - without Spark
        transactions.run(lambda cur: cur.execute("UPDATE stocketl.writer SET epoch = epoch - 1"))
        with pytest.raises(DatabaseError, match=r"lost this job's start \(epoch 1, found 0\).*Start the job again"):
            transactions.run(lambda cur: writer.check_epoch(cur, epoch))
