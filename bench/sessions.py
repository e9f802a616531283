"""The workloads that are a life of a job, in which several figures are measured: bulk, S3, starts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import data, ours
from bench.drip import await_seen, await_true, observer, renamed_into
from bench.memory import Sampler
from bench.peers.long_table import pathway, same_long
from bench.series import check, day_drops, late_drops, measure
from bench.workloads import bulk, verify

if TYPE_CHECKING:
    from pathlib import Path

    from bench.drip import Drop
    from bench.ours import Ours
    from bench.place import Bench, Room

_CALM_SECONDS = 5.0
_LOAD_SECONDS = 1800.0
_STARTS = 2


def bulk_2m(bench: Bench) -> None:
    """Two million rows, three times, once in the quick run. In a full run also `stocketl verify`."""

    def then(_room: Room, job: Ours) -> None:
        verify(bench, job)

    with bench.room("bulk-2m") as room:
        bulk(bench, room, "bulk-2m", bench.sizes.bulk_dates, None if bench.quick else then)


def bulk_start(bench: Bench) -> None:
    """Two million rows that lie in the input when the process starts, into the job and into Pathway."""
    sizes, name = bench.sizes, "bulk-start"
    cells = sizes.few * sizes.bulk_dates
    with bench.room(name) as room:
        files = data.shuffled(room.folder / "files", bench.seed, sizes.few, 0, sizes.bulk_dates)
        home, uri = room.folder / "job", room.create()
        (home / "input").mkdir(parents=True)
        given = ours.Ours(None, home, uri)
        for path in files:
            given.prepare(path)()
        began = time.perf_counter()
        with ours.started(home, uri, files) as job, Sampler(job.leader) as sampler:
            job.settle()
            bench.figures.add(name, time.perf_counter() - began)
            check(bench, room, job)
        bench.add_peak(name, sampler.peak)
        if bench.pathway is not None:
            _pathway_from_start(bench, room, bench.pathway, files, (cells, cells - sizes.few))
        bench.say(
            f"{name}: {bench.figures.value(name):.1f} s, Pathway {bench.figures.value(f'{name}.pathway') or 0:.1f} s"
        )


def _pathway_from_start(bench: Bench, room: Room, python: Path, files: list[Path], wanted: tuple[int, int]) -> None:
    """wanted: rows and returns. Its statistics are cheap to ask for; once they come near, all rows are counted."""
    folder = room.folder / "pathway"
    folder.mkdir()
    for number, path in enumerate(files):
        renamed_into(folder, path, number)()
    began = time.perf_counter()
    with pathway(room, "pathway", python) as peer, Sampler(peer.leader) as sampler, observer(peer.uri) as seen:
        near = "SELECT 1 FROM pg_stat_user_tables WHERE relname = 'long' AND n_tup_ins >= 0.98 * %s"
        whole = "SELECT 1 FROM long HAVING count(*) = %s AND count(ret) = %s"
        await_true(
            lambda: seen(near, wanted[:1]) and seen(whole, wanted), "Pathway", peer.alive, look=0.5, limit=_LOAD_SECONDS
        )
        bench.figures.add("bulk-start.pathway", time.perf_counter() - began)
        bench.say(f"Pathway: {same_long(peer.uri, files):,} cells the same")
    bench.figures.add("bulk-start.pathway-peak", sampler.peak.bytes)


def bulk_10m(bench: Bench) -> None:
    """Ten million rows, then corrections of them."""
    few, dates = bench.sizes.few, bench.sizes.long_dates

    def then(room: Room, job: Ours) -> None:
        measure(bench, job, "late", late_drops(bench, room, few, dates))
        check(bench, room, job)

    with bench.room("bulk-10m") as room:
        bulk(bench, room, "bulk-10m", dates, then)


def s3(bench: Bench) -> None:
    """200 tickers, everything but the database on a local S3 server; moved by the job. Then a while without."""
    from bench.bucket import bucket_job  # noqa: PLC0415 (moto takes seconds to load)

    with bench.room("s3") as room, bucket_job(room) as job:
        measure(bench, job, "s3-drip-200", day_drops(bench, room, bench.sizes.few, 0))
        check(bench, room, job)
        await_true(lambda: "streaming.audit" in job.output, "the first audit", job.alive, look=1.0)  # once a day
        job.calm()
        before, seconds = job.lists(), bench.sizes.idle
        time.sleep(seconds)
        bench.figures.add("s3.lists", (job.lists() - before) * 3600 / seconds)


def start(bench: Bench) -> None:
    """A start with one file in the input; then kill -9, another file, and the next start. Twice at most."""
    for _ in range(min(bench.repeats, _STARTS)):
        with bench.room("start") as room:
            drops = day_drops(bench, room, bench.sizes.few, 0, 5)
            home, uri = room.folder / "job", room.create()
            (home / "input").mkdir(parents=True)
            ours.Ours(None, home, uri).prepare(drops[0].path)()
            began = time.perf_counter()
            with ours.started(home, uri, [drops[0].path]) as job:
                _await_visible(job, drops[0])
                bench.figures.add("start", time.perf_counter() - began)
                job.settle()
                for drop in drops[1:4]:
                    job.load([drop.path])
                time.sleep(_CALM_SECONDS)
                job.kill()
            job.prepare(drops[4].path)()
            began = time.perf_counter()
            with ours.started(home, uri, job.files) as job:
                _await_visible(job, drops[4])
                bench.figures.add("restart", time.perf_counter() - began)
                job.settle()
                check(bench, room, job)


def _await_visible(job: Ours, drop: Drop) -> None:
    with observer(job.uri) as seen:
        await_seen(seen, drop, job)
