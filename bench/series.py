"""Series of drips into one job, and what is asked of it before and after them."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import psycopg2

from bench import compare, data, stages
from bench.drip import Drop, drip
from bench.memory import share_of_core
from bench.peer import TICKERS_PER_TABLE
from bench.processes import peer_load

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.ours import Ours
    from bench.place import Bench, Room

_CALM_SECONDS = 5.0


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
    """Loads the dates from `first` up to `dates` in ten files; the number of dates that are there now.

    Then the database is vacuumed and analysed. Else PostgreSQL does so by itself in the minutes after a load, and takes
    half a core from what is measured.
    """
    folder = room.folder / f"history-{first}"
    files = data.in_order(folder, bench.seed, bench.sizes.many, first, dates - first)
    bench.say(f"history: {dates:,} dates in {job.load(files):.0f} s")
    with contextlib.closing(psycopg2.connect(job.uri)) as connected, connected.cursor() as cur:
        connected.autocommit = True
        cur.execute("VACUUM (ANALYZE)")
    return dates


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
