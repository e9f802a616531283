"""Drips while a large backlog waits: one drop every other second, whether or not the one before is visible."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import data, ours
from bench.drip import observer
from bench.series import day_drops, measure
from bench.workloads import verify

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.drip import Drop
    from bench.ours import Ours
    from bench.place import Bench

_EVERY_SECONDS = 2.0
_LOOK_SECONDS = 0.01
_ASK_SECONDS = 0.5
_LIMIT_SECONDS = 1800.0
_FILES = 4
_APART = 2_000  # dates from the beginning of one file to that of the next
_FIRST = _FILES * _APART + 2_000  # the first date of the drips, later than all of these
_DONE = """
    SELECT 1 FROM stocketl.receipts r JOIN stocketl.drops d USING (seq) WHERE d.key = ANY(%s)
    HAVING count(r.moved_at) >= %s
"""


def backlog(bench: Bench) -> None:
    """Drips of 200 tickers into a quiet job, then into one that was given 2 GB of earlier dates at once."""
    sizes = bench.sizes
    with bench.room("backlog") as room, ours.job(room, "job") as job:
        files = [
            data.dump(
                room.folder / "files" / f"{n}.csv", bench.seed + n, sizes.many, sizes.backlog // _FILES, n * _APART
            )
            for n in range(_FILES)
        ]
        series = sizes.warm_up + sizes.drops
        drops = day_drops(bench, room, sizes.few, _FIRST, series + int(_LIMIT_SECONDS / _EVERY_SECONDS))
        measure(bench, job, "backlog.idle", drops[:series])
        seconds, whole = drips_beside(job, iter(drops[series:]), files)
        bench.figures.add_latencies("backlog.drip", seconds)
        bench.figures.add("backlog", whole)
        bench.say(
            f"backlog: {len(seconds)} drops in {whole:.0f} s, p50 {bench.figures.value('backlog.drip.p50'):.2f} s"
        )
        verify(bench, job, "backlog.verify")


def drips_beside(job: Ours, drops: Iterator[Drop], files: list[Path]) -> tuple[list[float], float]:
    """The seconds until each drop was visible that was given while the files were loaded; the seconds that these took.

    Raises TimeoutError after half an hour or a death.
    """
    keys = [path.name for path in files]
    waiting: dict[Drop, float] = {}
    seconds: list[float] = []
    whole = 0.0
    with observer(job.uri) as seen:
        for put in [job.prepare(path) for path in files]:
            put()
        begun = ask = give = time.perf_counter()
        while waiting or not whole:
            now = time.perf_counter()
            if not whole and now >= ask:
                ask = now + _ASK_SECONDS
                whole = now - begun if seen(_DONE, (keys, len(keys))) else 0.0
            if not whole and now >= give:
                give, drop = now + _EVERY_SECONDS, next(drops)
                put = job.prepare(drop.path)
                waiting[drop] = time.perf_counter()
                put()
            shown = [drop for drop in waiting if seen(drop.query, drop.parameters)]
            seconds += [time.perf_counter() - waiting.pop(drop) for drop in shown]
            if now - begun > _LIMIT_SECONDS or not job.alive():
                msg = f"{len(waiting)} drops were not visible and the backlog not loaded after {now - begun:.0f} s"
                raise TimeoutError(msg)
            time.sleep(_LOOK_SECONDS)
    return seconds, whole
