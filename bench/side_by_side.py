"""Drips into an empty history: the job with its settings, the peers and another commit in turns, beside one another."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import compare, ours, stages
from bench.drip import BACK_TO_BACK, Pause, drip, moved_into, written_into
from bench.history import after_history
from bench.peers.long_table import on_long_table, pathway, same_long
from bench.processes import peer_load
from bench.series import check, day_drops, idle
from bench.turns import Lane, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.drip import Drop, Target
    from bench.ours import Follower, Ours
    from bench.place import Bench, Room
    from bench.turns import Measured


@dataclass(frozen=True)
class _Entrant:
    """A system that takes part, with its lanes by name: the target as this lane sees it, and its pace."""

    target: Target
    lanes: dict[str, tuple[Target, Pause]]
    drops: list[Drop]


def drip_200(bench: Bench) -> None:
    """200 tickers: also with default settings and two writers, and back to back. In a full run also an idle minute."""
    with (
        bench.room("drip-200") as room,
        _peers(bench, room, bench.sizes.few, "200") as (others, peers),
        ours.job(room, "job") as job,
        ours.job(room, "default", settle=None) as default,
    ):
        moved, closed = replace(default, writer=moved_into), replace(default, writer=written_into)
        rested = Pause(job.rest)
        plain = _Entrant(
            job, {"drip-200": (job, rested), "drip-200-back-to-back": (job, BACK_TO_BACK)}, _days(bench, room, 2)
        )
        usual = _Entrant(moved, {"drip-200-moved": (moved, rested), "drip-200-closed": (closed, rested)}, plain.drops)
        _tell_stages(bench, job, "drip-200", _take_turns(bench, [*others, plain, usual]))
        for each in (job, default):
            check(bench, room, each)
        peers()
        if not bench.quick:
            idle(bench, job)


def drip_10000(bench: Bench) -> None:
    """10,000 tickers. In a full run also after 10 M and 50 M cells."""
    many = bench.sizes.many
    with bench.room("drip-10000") as room, contextlib.ExitStack() as stack:
        job = stack.enter_context(ours.job(room, "job"))
        with _peers(bench, room, many, "10000") as (others, peers):
            entrant = _Entrant(job, {"drip-10000": (job, Pause(job.rest))}, _days(bench, room, 1, many))
            _tell_stages(bench, job, "drip-10000", _take_turns(bench, [*others, entrant]))
            peers()
        check(bench, room, job)
        if not bench.quick:
            after_history(bench, room, job)


def against(bench: Bench) -> None:
    """200 tickers, the job and that of another commit: CPU seconds for each batch, lake and receipts included."""
    if bench.against is None:
        return
    with bench.room("against") as room:
        home, uri = room.folder / "other", room.create()
        (home / "input").mkdir(parents=True)
        with ours.job(room, "job") as job, ours.started(home, uri, program=bench.against) as other:
            drops = _days(bench, room, 1)
            pairs = {"against.ours": job, "against.other": other}
            _take_turns(bench, [_Entrant(each, {name: (each, Pause(1.0))}, drops) for name, each in pairs.items()])
            for each in pairs.values():
                check(bench, room, each)


@contextlib.contextmanager
def _peers(bench: Bench, room: Room, tickers: int, name: str) -> Iterator[tuple[list[_Entrant], Callable[[], None]]]:
    """The peers as entrants, and what compares their tables with the truth."""
    drops = _days(bench, room, 1, tickers)
    with contextlib.ExitStack() as stack:
        polars = stack.enter_context(ours.peer(room, "polars"))
        entrants = [_Entrant(polars, {f"peer-{name}": (polars, Pause(polars.rest))}, drops)]
        long: Follower | None = None
        if bench.pathway is not None:
            long = stack.enter_context(pathway(room, "pathway", bench.pathway))
            lanes: dict[str, tuple[Target, Pause]] = {f"pathway-{name}": (long, Pause(long.rest))}
            entrants.append(_Entrant(long, lanes, on_long_table(drops, tickers)))

        def checked() -> None:
            uri = room.create()
            peer_load(uri, polars.files)
            bench.say(f"polars: {compare.same(polars.uri, uri):,} cells the same")
            if long is not None:
                bench.say(f"Pathway: {same_long(long.uri, long.files):,} cells the same")

        yield entrants, checked


def _days(bench: Bench, room: Room, lanes: int, tickers: int | None = None) -> list[Drop]:
    """So many drops as an entrant with so many lanes needs."""
    sizes = bench.sizes
    number = sizes.heat + lanes * sizes.rounds * (sizes.turn + 1)
    return day_drops(bench, room, tickers or sizes.few, 0, number)


def _take_turns(bench: Bench, entrants: list[_Entrant]) -> dict[str, Measured]:
    """Warms each system up, then lets them take turns; adds the latencies and the CPU seconds of each lane."""
    sizes, lanes = bench.sizes, []
    for entrant in entrants:
        drops = iter(entrant.drops)
        drip(entrant.target, [next(drops) for _ in range(sizes.heat)], 0, BACK_TO_BACK)
        entrant.target.settle()
        lanes += [Lane(name, target, drops, pause) for name, (target, pause) in entrant.lanes.items()]
    found = in_turns(lanes, sizes.rounds, sizes.turn)
    for name, measured in found.items():
        bench.figures.add_latencies(name, measured.seconds)
        bench.figures.add(f"{name}.cpu", measured.cpu)
        bench.say(f"{name}: p50 {bench.figures.value(f'{name}.p50'):.3f} s, {measured.cpu:.2f} s of CPU for a drop")
    return found


def _tell_stages(bench: Bench, job: Ours, name: str, found: dict[str, Measured]) -> None:
    bench.stages[name] = stages.mean_seconds(job.home, job.output, job.uri, found[name].names)
