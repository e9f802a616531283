"""Several series of drips in turns within one run: a few drops into one system, a few into the next, and so on.

What a noisy machine does in one minute so meets all of them. While one is measured the others stand still (SIGSTOP).
"""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import process_session

from bench.drip import drip
from bench.memory import cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.drip import Drop, Pause, Target

_TAIL_SECONDS = 1.0  # for what follows the last receipt of a turn: the lake


@dataclass(frozen=True)
class Lane:
    """A series: the name of its figures, where its drops go, at which pace. Lanes of one target share its `drops`."""

    name: str
    target: Target
    drops: Iterator[Drop]
    pause: Pause


@dataclass(frozen=True)
class Measured:
    """Of one lane: the measured drops' names, seconds until each was visible, the tree's CPU seconds for one drop."""

    names: list[str]
    seconds: list[float]
    cpu: float


def in_turns(lanes: Sequence[Lane], rounds: int, drops: int) -> dict[str, Measured]:
    """What so many rounds give for each lane. A turn is `drops` drops after one that only counts for the CPU."""
    targets = list({lane.target.leader: lane.target for lane in lanes}.values())
    seconds: dict[str, list[float]] = {lane.name: [] for lane in lanes}
    names: dict[str, list[str]] = {lane.name: [] for lane in lanes}
    cpu = dict.fromkeys(seconds, 0.0)
    for target in targets:
        process_session.freeze(target.leader)
    try:
        for number in range(rounds):
            for lane in lanes if number % 2 == 0 else reversed(lanes):
                process_session.wake(lane.target.leader)
                before = cpu_seconds(lane.target.leader)
                taken = list(itertools.islice(lane.drops, drops + 1))
                seconds[lane.name] += drip(lane.target, taken, 1, lane.pause, seed=number + 1)
                names[lane.name] += [drop.path.name for drop in taken[1:]]
                lane.target.settle()
                time.sleep(_TAIL_SECONDS)
                cpu[lane.name] += cpu_seconds(lane.target.leader) - before
                process_session.freeze(lane.target.leader)
    finally:
        for target in targets:
            process_session.wake(target.leader)
    return {name: Measured(names[name], seconds[name], cpu[name] / (rounds * (drops + 1))) for name in seconds}
