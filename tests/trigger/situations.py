"""Situations of the trigger, in seconds before a fixed present."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from trigger.memory import Intention, Memory
from trigger.situation import Beat, Cluster, Policy, Step, World

NOW = datetime(2026, 3, 2, 20, 0, tzinfo=UTC)
POLICY = Policy(
    version="1.2.3",
    stale=timedelta(seconds=120),
    start=timedelta(seconds=600),
    pending=timedelta(seconds=180),
    cancel=timedelta(seconds=120),
    max_starts=6,
    first_pause=timedelta(seconds=15),
    longest_pause=timedelta(seconds=900),
)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


def cluster(state: str = "WAITING", name: str = "j-1", made: float = 9000) -> Cluster:
    return Cluster(name, state, ago(made))


def step(state: str = "RUNNING", name: str = "s-1", made: float = 5000, version: str = "1.2.3") -> Step:
    started = None if state == "PENDING" else ago(made)
    return Step(name, "j-1", version, f"of {name}", state, ago(made), started)


def beat(seconds: float, of: str | None = "s-1") -> Beat:
    return Beat(ago(seconds), of)


def starts(*seconds: float, kind: str = "step") -> Memory:
    return Memory(starts={"step": (), "cluster": ()} | {kind: tuple(map(ago, seconds))})


READY = World(clusters=(cluster(),))
WELL = replace(READY, steps=(step(),), heartbeat=beat(10))
CANCELLED = Memory(cancelled={"s-1": ago(30)})
STARTING = Intention("0a", "step", ago(100), "why", cluster="j-1")
MAKING = Intention("0a", "cluster", ago(100), "why")
REPLACING = Intention("0a", "end", ago(100), "why", cluster="j-1")
ENDING = Intention("0a", "cancel", ago(100), "why", cluster="j-1", step="s-1")
