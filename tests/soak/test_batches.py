"""Thousands of batches in one process: what the job holds stays the same, and every file is loaded once."""

from __future__ import annotations

import datetime as dt
import logging
import time
from typing import TYPE_CHECKING

import pytest
from gauges import Series, files_below, of_processes
from job_process import Job, drop
from outcome import rows
from soak_form import form
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak

log = logging.getLogger(__name__)

HEADER = "date,id,price,trade_volume\n"
AHEAD = 12  # files that wait: enough that the job never idles, few enough that listing them costs nothing
SAMPLES = 100
# Between the warm window and the end, each by the median of some samples. Two sockets a batch would be 400 in the short
# form. Java's own figures breathe: RocksDB opens and joins its files, pools of threads grow and shrink.
MAY_GROW = {"processes": 2, "descriptors": 40, "sockets": 8, "threads": 60, "memory": 100, "files": 200}
# Spark removes what the state no longer needs once a minute. With hundreds of batches a minute the files of the
# checkpoint rise and fall by thousands, and a short run would see one rise. So here Spark does it more often.
CLEANED_OFTEN = {"JAVA_TOOL_OPTIONS": "-Dspark.sql.streaming.stateStore.maintenanceInterval=2s"}
LAKE_SECONDS = 60.0  # twice as long as a batch waits for a quiet moment; each has two files in the outbox
# Two files are more than that, and one is not: each batch takes one whole file.
BATCH_BYTES = 150


def _content(number: int) -> bytes:
    """A new date for four tickers, and a correction of the date before for one of them: some 100 bytes."""
    day, before = (dt.date(2000, 1, 1) + dt.timedelta(number - back) for back in (0, 1))
    lines = [f"{day},{ticker},{1 + (number + place) % 97 / 8},{number}" for place, ticker in enumerate("ABCD")]
    return (HEADER + "\n".join([*lines, f"{before},A,{2 + number % 89 / 8},"]) + "\n").encode()


def _loaded(home: Path) -> int:
    return len(list((home / "receipts").glob("*.json")))


def test_what_the_job_holds_stays_the_same_over_thousands_of_batches(tmp_path: Path, database: str) -> None:
    """Descriptors, sockets, threads, processes, memory and files of the checkpoint are flat once the job is warm.

    What waits for the lake is what has come lately, though no moment is quiet.
    """
    batches, home = form(short=500, long=3_000), tmp_path / "home"
    contents = [_content(number) for number in range(batches)]
    assert all(BATCH_BYTES / 2 < len(content) <= BATCH_BYTES for content in contents)
    series, began, dropped, loaded = Series(), time.monotonic(), 0, 0
    reached: list[tuple[float, int]] = []
    limits = ("--max-batch-bytes", str(BATCH_BYTES), "--trigger", "100ms")
    with Job(home, database, *limits, env=CLEANED_OFTEN) as job:
        while loaded < batches:
            while dropped < min(loaded + AHEAD, batches):
                drop(home / "input", f"{dropped:05}.csv", contents[dropped], dropped)
                dropped += 1
            before = loaded
            job.wait_for("another receipt", lambda before=before: _loaded(home) > before)
            loaded = _loaded(home)
            if loaded // (batches // SAMPLES) > len(series.samples):
                figures = of_processes(job.pid)
                now, waiting = time.monotonic(), files_below(home / "checkpoint" / "lake-outbox")
                figures["checkpoint files"] = files_below(home / "checkpoint") - waiting
                series.add(loaded, figures)
                log.info("%d batches in %.0f s: %s, outbox %d", loaded, now - began, dict(figures), waiting)
                old = max((batch for at, batch in reached if at < now - LAKE_SECONDS), default=0)
                assert waiting <= 2 * (loaded - old + AHEAD), (
                    f"{waiting} files wait for the lake, {old} batches are old"
                )
                reached.append((now, loaded))
        job.terminate()
        assert job.wait_exit() in {0, 143}
    (counted,) = rows(database, "SELECT count(*) AS batches, sum(drops) AS drops FROM stocketl.batches WHERE drops > 0")
    assert counted == {"batches": batches, "drops": batches}
    assert_same(stored(database), expected(contents))
    assert series.growth(MAY_GROW, warm=(0.45, 0.6), end=(0.85, 1.0)) == []
