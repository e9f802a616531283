"""A job whose bucket has a queue of events lists it when a drop comes, and else once a minute."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest
from job_process import Job
from outcome import receipts
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_s3 import S3Server

pytestmark = pytest.mark.spark

IDLE_SECONDS, SOON_SECONDS = 5.0, 30.0  # the job lists once a minute by itself, and once a second without a queue


class Watched:
    """A job on S3, its queue, and what was dropped."""

    def __init__(self, s3: S3Server, home: Path) -> None:
        self.s3, self.home = s3, home
        self.bucket = s3.bucket()
        self.queue = s3.queue(self.bucket)
        self.dropped: list[bytes] = []

    def drop(self) -> None:
        """A new date."""
        day = len(self.dropped) + 2
        self.dropped.append(f"date,id,price,trade_volume\n2024-01-{day:02},A,{day},1\n".encode())
        self.s3.client.put_object(Bucket=self.bucket, Key=f"in/{day}.csv", Body=self.dropped[-1])

    def lists(self) -> int:
        return self.s3.lists(self.bucket)

    def idle(self) -> bool:
        """Whether nobody lists for some seconds, in which a job without a queue would do so several times."""
        before = self.lists()
        time.sleep(IDLE_SECONDS)
        return self.lists() == before

    def loaded(self) -> bool:
        return len(receipts(self.home)) == len(self.dropped)


def test_a_job_with_a_queue_lists_at_once_when_a_drop_comes_and_rarely_else(
    tmp_path: Path, database: str, s3: S3Server
) -> None:
    """Its queue is deleted then: the job says so, loads all the same, and ends at once though it waits for messages."""
    watched = Watched(s3, tmp_path / "home")
    watched.drop()
    options = ("--input", f"s3://{watched.bucket}/in", "--wake", watched.queue, "--lake", "none")
    with Job(watched.home, database, *options, env=s3.env) as job:
        job.wait_for("the first drop", watched.loaded)
        job.wait_for("calm", watched.idle)
        before = watched.lists()
        watched.drop()
        job.wait_for("a listing", lambda: watched.lists() > before, deadline=SOON_SECONDS)
        job.wait_for("the second drop", watched.loaded)
        job.wait_for("calm", watched.idle)
        assert watched.lists() - before <= 4
        with contextlib.closing(s3.client_of("sqs")) as sqs:
            sqs.delete_queue(QueueUrl=watched.queue)
        job.wait_for("what is wrong", lambda: f"waiting for the queue {watched.queue}, nothing is lost" in job.output)
        watched.drop()
        job.wait_for("the third drop", watched.loaded)
        job.terminate()
        assert job.wait_exit() == 143
        job.wait_gone(deadline=10.0)
    assert_same(stored(database), expected(watched.dropped))
