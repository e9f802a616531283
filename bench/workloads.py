"""The workloads that are one load each: bulk, dense, swarm, big."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING

from job_process import command

from bench import compare, data, formats, ours, stages
from bench.memory import Sampler
from bench.processes import output_of, peer_load

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bench.ours import Ours
    from bench.place import Bench, Room

_READ_ROUNDS = 7


def beside_peer(
    bench: Bench,
    room: Room,
    name: str,
    files: list[Path],
    *,
    repeats: int,
    then: Callable[[Room, Ours], None] | None = None,
) -> None:
    """Loads the same files by the job and by the peer in turns; the first file warms both and is not timed for ours.

    The peer begins when the job has nothing to do; all cells are compared each time. Adds `<name>`, `<name>.peer`,
    `<name>.calm` (seconds), `<name>.peak`, `<name>.peer-peak` (bytes). `then`: what the job does after its last load.
    """
    for turn in range(repeats):
        with ours.job(room, f"{name}-{turn}") as job:
            job.load(files[:1])
            job.calm()
            with Sampler(job.leader) as sampler:
                started = time.perf_counter()
                bench.figures.add(name, job.load(files[1:]))
                job.calm()
                bench.figures.add(f"{name}.calm", time.perf_counter() - started)
            bench.add_peak(name, sampler.peak)
            bench.stages[name] = stages.mean_seconds(job.home, job.output, job.uri, [path.name for path in files[1:]])
            uri = room.create()
            seconds, peak = peer_load(uri, files)
            bench.figures.add(f"{name}.peer", seconds)
            bench.figures.add(f"{name}.peer-peak", peak)
            cells = compare.same(job.uri, uri)
            bench.say(
                f"{name}: {bench.figures.samples[name][-1]:.2f} s, the peer {seconds:.2f} s, {cells:,} cells the same"
            )
            if then is not None and turn == repeats - 1:
                then(room, job)


def bulk(bench: Bench, room: Room, name: str, dates: int, then: Callable[[Room, Ours], None] | None = None) -> None:
    """Ten files, 200 tickers, rows in random order, after a drop of the same tickers on the first date."""
    few, repeats = bench.sizes.few, bench.repeats if dates <= bench.sizes.bulk_dates else 1  # the long ones once
    first = data.one_day(room.folder / "warm.csv", bench.seed, few, 0)
    files = data.shuffled(room.folder / "files", bench.seed, few, 1, dates - 1)
    beside_peer(bench, room, name, [first, *files], repeats=repeats, then=then)


def dense(bench: Bench) -> None:
    """Each of 200,000 cells fifty times over, in ten files."""
    sizes = bench.sizes
    with bench.room("dense") as room:
        first = data.one_day(room.folder / "warm.csv", bench.seed, sizes.few, 0)
        files = data.shuffled(
            room.folder / "files", bench.seed, sizes.few, 1, sizes.dense_dates, times=sizes.dense_times
        )
        beside_peer(bench, room, "dense", [first, *files], repeats=1)


def swarm(bench: Bench) -> None:
    """Ten thousand one-row files at once, after a drop of the same tickers on the first date."""
    with bench.room("swarm") as room:
        first = data.one_day(room.folder / "warm.csv", bench.seed, bench.sizes.few, 0)
        files = data.swarm(room.folder / "files", bench.seed, bench.sizes.few, bench.sizes.swarm)
        beside_peer(bench, room, "swarm", [first, *files], repeats=1)


def rows(bench: Bench) -> None:
    """Bulk with as many rows as were asked for."""
    if bench.sizes.rows_dates:
        with bench.room("rows") as room:
            bulk(bench, room, "bulk-rows", bench.sizes.rows_dates)


def reading(bench: Bench) -> None:
    """A million rows in each format; adds `read.<format>`, CPU seconds of one core."""
    with bench.room("reading") as room:
        formats.write(room.folder, bench.seed, bench.sizes.read_dates)
        told, _ = output_of([sys.executable, "-m", "bench.formats", str(room.folder), str(_READ_ROUNDS)])
        for name, seconds in json.loads(told).items():
            bench.figures.add(f"read.{name}", *seconds)
            bench.say(f"reading {name}: {bench.figures.value(f'read.{name}'):.3f} s of CPU")


def big(bench: Bench) -> None:
    """One CSV of 1 GB and one of 4 GB, each into a home of its own; the peer reads the small one too."""
    for name, size in (("big-1g", bench.sizes.big), ("big-4g", 4 * bench.sizes.big)):
        with bench.room(name) as room, ours.job(room, name) as job:
            path = data.dump(room.folder / "files" / "dump.csv", bench.seed, bench.sizes.many, size)
            with Sampler(job.leader, 0.5) as sampler:
                bench.figures.add(name, job.load([path]))
                job.calm()
            bench.add_peak(name, sampler.peak)
            bench.say(f"{name}: {bench.figures.value(name):.0f} s, {sampler.peak.bytes >> 20:,} MB at the peak")
            if name == "big-1g":
                bench.figures.add("big-1g.four-times", 4 * bench.figures.samples[name][-1])
                uri = room.create()
                seconds, peer_peak = peer_load(uri, [path])
                bench.figures.add("big-1g.peer", seconds)
                bench.figures.add("big-1g.peer-peak", peer_peak)
                bench.say(f"{name}: {compare.same(job.uri, uri):,} cells the same")


def verify(bench: Bench, job: Ours, name: str = "verify") -> None:
    """`stocketl verify` on what the job has loaded, the job stopped; its seconds are the figure `name`."""
    job.process.terminate()
    job.process.wait_exit()
    started = time.perf_counter()
    done = command("verify", "--home", str(job.home), "--database", job.uri)
    bench.figures.add(name, time.perf_counter() - started)
    if done.returncode:
        msg = f"stocketl verify found a difference: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        raise compare.TablesDifferError(msg)
