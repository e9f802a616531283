"""Drips after a long history, and after many batches in one process."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from bench import checkpoint, data, ours, stages
from bench.drip import Pause, drip
from bench.series import check, day_drops, load_history, measure

if TYPE_CHECKING:
    from bench.ours import Ours
    from bench.place import Bench, Room

_AT_ONCE = Pause(0.0, 0.0, settle=False)


def after_history(bench: Bench, room: Room, job: Ours) -> None:
    """Drips of 10,000 tickers after 10 M cells, with what they write into the checkpoint, and after 50 M cells."""
    sizes, many = bench.sizes, bench.sizes.many
    used = load_history(bench, room, job, len(job.files), sizes.many_dates)
    bench.figures.add("checkpoint.per-cell", checkpoint.size(job.home / "checkpoint") / (used * many))
    used += checkpoint_drops(bench, room, job, used)
    check(bench, room, job)
    already = len(job.files)
    used = load_history(bench, room, job, used, sizes.more_dates)
    measure(bench, job, "drip-10000-after-50m", day_drops(bench, room, many, used))
    check(bench, room, job, already + data.FILES - 1)


def after_100m(bench: Bench) -> None:
    """The same on its own: an empty history, then 100 M cells."""
    sizes, many = bench.sizes, bench.sizes.many
    with bench.room("cells-100m") as room, ours.job(room, "job") as job:
        drops = day_drops(bench, room, many, 0)
        measure(bench, job, "drip-10000-before-100m", drops)
        used = load_history(bench, room, job, len(drops), sizes.most_dates)
        measure(bench, job, "drip-10000-after-100m", day_drops(bench, room, many, used))
        check(bench, room, job, len(drops) + data.FILES - 1)


def batches(bench: Bench) -> None:
    """200 tickers, a batch after the other in one process: a series after 100 of them, and one after 10,000."""
    sizes = bench.sizes
    series = sizes.warm_up + sizes.drops
    with bench.room("batches") as room, ours.job(room, "job") as job:
        drops = iter(day_drops(bench, room, sizes.few, 0, sizes.young + sizes.batches + 2 * series))
        for name, number in (("drip-200-young", sizes.young), ("drip-200-old", sizes.batches)):
            drip(job, itertools.islice(drops, number), 0, _AT_ONCE)
            job.settle()
            measure(bench, job, name, list(itertools.islice(drops, series)))
        check(bench, room, job)


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
