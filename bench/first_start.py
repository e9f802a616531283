"""Before anything is measured: Java's archive of classes, which the first job of a checkout makes beside its work.

It takes a minute of CPU, once. A job that is stopped between its turns would think itself calm, and begin it among the
drops that are measured.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psutil

from bench import bucket, data, ours

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.ours import Ours
    from bench.place import Bench, Room

_SECONDS = 600
_MADE = "the next start is quicker"


def archived(bench: Bench, names: Sequence[str]) -> None:
    """Lets a job make the archives that the jobs of these workloads use, unless they are there."""
    with bench.room("first-start") as room, ours.job(room, "job") as job:
        _await(bench, room, job)
    if "s3" in names:  # with other jars
        with bench.room("first-start") as room, bucket.bucket_job(room) as job:
            _await(bench, room, job)


def _await(bench: Bench, room: Room, job: Ours) -> None:
    if not _makes_one(job.leader):
        return
    bench.say("Java's classes are put into an archive; the first time this takes minutes")
    job.prepare(data.one_day(room.folder / "first.csv", bench.seed, 1, 0))()
    end = time.monotonic() + _SECONDS
    while _MADE not in job.output:
        if time.monotonic() > end or not job.alive():
            bench.notes.append("there is no archive of Java's classes: starts are slower, and each job makes one again")
            return
        time.sleep(0.5)


def _makes_one(leader: int) -> bool:
    """Whether its Java notes the classes that it loads."""
    every = psutil.Process(leader).children(recursive=True)
    return any("-XX:DumpLoadedClassList" in argument for one in every for argument in one.cmdline())
