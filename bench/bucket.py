"""The job with everything but the database on a local S3 server."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from fixture_s3 import S3Server

from bench import ROOT, ours
from streaming.spark.jars import jars

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from bench.place import Room

_PLACES = ("input", "success", "failed", "receipts", "checkpoint", "lake")


@dataclass
class OnBucket(ours.Ours):
    """A job whose drops are put into a bucket."""

    server: S3Server = field(kw_only=True)
    bucket: str = field(kw_only=True)

    def prepare(self, path: Path) -> Callable[[], object]:
        """See `bench.drip.Target`; the last step is the PUT."""
        self.files.append(path)
        content = path.read_bytes()
        return lambda: self.server.client.put_object(Bucket=self.bucket, Key=f"input/{path.name}", Body=content)

    def lists(self) -> int:
        """How often anybody has asked the server for a list so far."""
        with urllib.request.urlopen(f"{self.server.endpoint}/_lists") as answer:  # noqa: S310 - our own server
            return int(answer.read())


@contextlib.contextmanager
def bucket_job(room: Room) -> Iterator[OnBucket]:
    """The server, a bucket, the job; the jars are fetched before, if need be."""
    jars(lake=True, s3=True, folders=False)
    with _server() as server:
        bucket = server.bucket()
        options = [text for place in _PLACES for text in (f"--{place}", f"s3://{bucket}/{place}")]
        options += ["--wake", server.queue(bucket, prefix="input/")]
        with ours.job(room, "job", *options, "--move", env=server.env) as job:
            yield OnBucket(job.job, job.home, job.uri, server=server, bucket=bucket)


@contextlib.contextmanager
def _server() -> Iterator[S3Server]:
    with subprocess.Popen(
        [sys.executable, "-m", "bench.counted_s3"],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        server = S3Server(process.stdout.readline().strip() if process.stdout else "")
        try:
            yield server
        finally:
            server.client.close()
            if process.stdin:
                process.stdin.close()
