"""The workloads around drips: each one a life of a job, in which several figures are measured."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench import checkpoint, compare, data, ours, stages
from bench.drip import Drop, drip
from bench.memory import share_of_core
from bench.peer import TICKERS_PER_TABLE
from bench.processes import peer_load
from bench.workloads import bulk, verify

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.ours import Ours
    from bench.place import Bench, Room

_CALM_SECONDS = 5.0


def bulk_2m(bench: Bench) -> None:
    """Two million rows, three times. In a full run also drips after them, and `stocketl verify`."""

    def then(room: Room, job: Ours) -> None:
        measure(bench, job, "drip-200-after-2m", day_drops(bench, room, bench.sizes.few, bench.sizes.bulk_dates))
        verify(bench, job)

    with bench.room("bulk-2m") as room:
        bulk(bench, room, "bulk-2m", bench.sizes.bulk_dates, None if bench.quick else then)


def bulk_10m(bench: Bench) -> None:
    """Ten million rows, then drips after them, then corrections of them."""
    few, dates = bench.sizes.few, bench.sizes.long_dates

    def then(room: Room, job: Ours) -> None:
        measure(bench, job, "drip-200-after-10m", day_drops(bench, room, few, dates))
        measure(bench, job, "late", late_drops(bench, room, few, dates))
        check(bench, room, job)

    with bench.room("bulk-10m") as room:
        bulk(bench, room, "bulk-10m", dates, then)


def drip_200(bench: Bench) -> None:
    """200 tickers into an empty history. In a full run also an idle minute."""
    with bench.room("drip-200") as room:
        drops = day_drops(bench, room, bench.sizes.few, 0)
        peer = beside(bench, room, "200", drops)
        with ours.job(room, "job") as job:
            measure(bench, job, "drip-200", drops)
            bench.say(f"drip-200: {compare.same(job.uri, peer):,} cells the same as the peer's")
            if not bench.quick:
                idle(bench, job)


def drip_10000(bench: Bench) -> None:
    """10,000 tickers into an empty history. In a full run also after 10 M and 50 M cells."""
    sizes, many = bench.sizes, bench.sizes.many
    with bench.room("drip-10000") as room:
        drops = day_drops(bench, room, many, 0)
        peer = beside(bench, room, "10000", drops)
        with ours.job(room, "job") as job:
            measure(bench, job, "drip-10000", drops)
            bench.say(f"drip-10000: {compare.same(job.uri, peer):,} cells the same as the peer's")
            if bench.quick:
                return
            used = load_history(bench, room, job, len(drops), sizes.many_dates)
            bench.figures.add("checkpoint.per-cell", checkpoint.size(job.home / "checkpoint") / (used * many))
            used += checkpoint_drops(bench, room, job, used)
            check(bench, room, job)
            already = len(job.files)
            used = load_history(bench, room, job, used, sizes.most_dates)
            measure(bench, job, "drip-10000-after-50m", day_drops(bench, room, many, used))
            check(bench, room, job, already + data.FILES - 1)


def s3(bench: Bench) -> None:
    """200 tickers, everything but the database on a local S3 server; the job moves the objects."""
    from bench.bucket import bucket_job  # noqa: PLC0415 (moto takes seconds to load)

    with bench.room("s3") as room, bucket_job(room) as job:
        measure(bench, job, "s3-drip-200", day_drops(bench, room, bench.sizes.few, 0))
        check(bench, room, job)


def start(bench: Bench) -> None:
    """A start with one file in the input; then kill -9, another file, and the next start."""
    for _ in range(bench.repeats):
        with bench.room("start") as room:
            drops = day_drops(bench, room, bench.sizes.few, 0)
            home, uri = room.folder / "job", room.create()
            (home / "input").mkdir(parents=True)
            ours.Ours(None, home, uri).prepare(drops[0].path)()
            began = time.perf_counter()
            with ours.started(home, uri, [drops[0].path]) as job:
                job.await_batch(0)
                bench.figures.add("start", time.perf_counter() - began)
                job.settle()
                for drop in drops[1:4]:
                    job.load([drop.path])
                time.sleep(_CALM_SECONDS)
                batch = job.batches()
                job.kill()
            job.prepare(drops[4].path)()
            began = time.perf_counter()
            with ours.started(home, uri, job.files) as job:
                job.await_batch(batch)
                bench.figures.add("restart", time.perf_counter() - began)
                job.settle()
                check(bench, room, job)


def beside(bench: Bench, room: Room, count: str, drops: list[Drop]) -> str:
    """The floor and the peer on the same files, before the job so that nothing else runs; the peer's database."""
    on_floor = [Drop(drop.path, "SELECT 1 FROM floor WHERE key = %s", (drop.path.name,)) for drop in drops]
    with ours.floor(room, "floor") as floor:
        bench.figures.add_latencies(f"floor-{count}", drip(floor, on_floor, bench.sizes.warm_up))
    with ours.peer(room, "peer") as peer:
        bench.figures.add_latencies(f"peer-{count}", drip(peer, drops, bench.sizes.warm_up))
    for name in ("floor", "peer"):
        bench.say(f"{name}-{count}: p50 {bench.figures.value(f'{name}-{count}.p50'):.3f} s")
    return peer.uri


def measure(bench: Bench, job: Ours, name: str, drops: Sequence[Drop]) -> None:
    """Drips into the job; adds the latencies and where the time of the batches went."""
    warm_up = bench.sizes.warm_up
    job.calm()
    seconds = drip(job, drops, warm_up)
    bench.figures.add_latencies(name, seconds)
    bench.stages[name] = stages.mean_seconds(
        job.home, job.output, job.uri, [drop.path.name for drop in drops[warm_up:]]
    )
    bench.say(f"{name}: p50 {bench.figures.value(f'{name}.p50'):.3f} s of {len(seconds)} drops")


def day_drops(bench: Bench, room: Room, count: int, first: int, number: int | None = None) -> list[Drop]:
    """Files of one date each from date `first` on, and how the last `returns` table shows them."""
    number = bench.sizes.warm_up + bench.sizes.drops if number is None else number
    last = (count - 1) // TICKERS_PER_TABLE + 1
    table = "returns" if last == 1 else f"returns_{last}"
    folder = room.folder / "days"
    folder.mkdir(exist_ok=True)
    paths = [data.one_day(folder / f"{n:06}.csv", bench.seed, count, n) for n in range(first, first + number)]
    query = f"SELECT 1 FROM {table} WHERE date = %s"  # noqa: S608 - one of our own names
    return [Drop(path, query, (data.day(n),)) for n, path in enumerate(paths, first)]


def late_drops(bench: Bench, room: Room, count: int, dates: int) -> list[Drop]:
    """Files that correct 200 random cells of the history each, and how one of them shows."""
    drops = []
    for number in range(bench.sizes.warm_up + bench.sizes.drops):
        path = room.folder / "days" / f"late-{number:03}.csv"
        day, ticker, price = data.corrections(path, bench.seed + number, count, dates, 200)
        drops.append(Drop(path, f'SELECT 1 FROM prices WHERE date = %s AND "stk_{ticker}" = %s', (day, price)))  # noqa: S608 - as above
    return drops


def load_history(bench: Bench, room: Room, job: Ours, first: int, dates: int) -> int:
    """Loads the dates from `first` up to `dates` in ten files; the number of dates that are there now."""
    folder = room.folder / f"history-{first}"
    files = data.in_order(folder, bench.seed, bench.sizes.many, first, dates - first)
    bench.say(f"history: {dates:,} dates in {job.load(files):.0f} s")
    return dates


def checkpoint_drops(bench: Bench, room: Room, job: Ours, first: int) -> int:
    """Drips after 10 M cells, what is written into the checkpoint meanwhile; the number of dates used."""
    warm_up, number = bench.sizes.warm_up, bench.sizes.checkpoint_drops
    drops = day_drops(bench, room, bench.sizes.many, first, warm_up + number)
    job.calm()
    drip(job, drops[:warm_up], 0)
    with checkpoint.Watch(job.home / "checkpoint") as watch:
        seconds = drip(job, drops[warm_up:], 0)
    name = "drip-10000-after-10m"
    bench.figures.add_latencies(name, seconds)
    bench.figures.add("checkpoint.bytes", watch.bytes / number)
    bench.figures.add("checkpoint.files", watch.files / number)
    bench.stages[name] = stages.mean_seconds(job.home, job.output, job.uri, [d.path.name for d in drops[warm_up:]])
    bench.say(f"{name}: p50 {bench.figures.value(f'{name}.p50'):.3f} s, {watch.bytes / number / 1e6:.2f} MB a batch")
    return len(drops)


def idle(bench: Bench, job: Ours) -> None:
    """A while without drops: the share of one core, and the memory at its end."""
    time.sleep(_CALM_SECONDS)
    job.calm()
    share, usage = share_of_core(job.leader, bench.sizes.idle)
    bench.figures.add("idle.share", share)
    bench.figures.add("idle.memory", usage.bytes)
    bench.figures.add("idle.python", usage.python)
    bench.figures.add("idle.java", usage.java)


def check(bench: Bench, room: Room, job: Ours, since: int = 0) -> None:
    """Compares the job's tables with the peer's of the same files. `since`: from the second date of this file on."""
    uri = room.create()
    peer_load(uri, job.files[since:])
    bench.say(f"{compare.same(job.uri, uri, after_first=since > 0):,} cells the same as the peer's")
