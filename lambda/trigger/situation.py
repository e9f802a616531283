"""What the rules of `keep_alive` look at, and what they decide: plain data, no calls.

A step of ours is live while EMR has it as PENDING, RUNNING or CANCEL_PENDING. It is given up once it was cancelled, and
good otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from trigger.memory import Memory

READY = ("RUNNING", "WAITING")
STARTING = ("STARTING", "BOOTSTRAPPING")
LIVE = ("PENDING", "RUNNING", "CANCEL_PENDING")
CLOCKS = timedelta(minutes=1)  # how far EMR's clock and ours may be apart
_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Policy:
    """The settings of the rules.

    version: of the wanted artifact; stale: age of a heartbeat that counts as silence; start: what a step may take to
    its first heartbeat; pending: after this time the effect of an action is seen in EMR's answers, if it has any;
    cancel: what a cancelled step may take to its end before it is killed; max_starts: of steps, and of clusters, in an
    hour; first_pause, longest_pause: between two starts, doubled from start to start of an hour; overlap: how many
    steps the cluster runs at a time (`StepConcurrencyLevel` of the cluster document); oldest: age at which a cluster is
    replaced, None for never.
    """

    version: str
    stale: timedelta
    start: timedelta
    pending: timedelta
    cancel: timedelta
    max_starts: int
    first_pause: timedelta
    longest_pause: timedelta
    overlap: int = 2
    oldest: timedelta | None = None

    @property
    def memorable(self) -> timedelta:
        """How long a start counts: an action may begin this much later than its intention, hence not just an hour."""
        return _HOUR + self.pending


@dataclass(frozen=True, slots=True)
class Cluster:
    """A cluster of ours, terminated ones only if they were made a short while ago; reason: of its end."""

    id: str
    state: str
    created: datetime
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """A step of ours, live or ended a short while ago; version and intention as its name says; reason: of its end."""

    id: str
    cluster: str
    version: str
    intention: str
    state: str
    created: datetime
    started: datetime | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Beat:
    """The job's last sign of life.

    step: the one that it runs as; waiting: how many drops wait; both None if it does not know.
    """

    time: datetime
    step: str | None
    waiting: int | None = None


@dataclass(frozen=True, slots=True)
class World:
    """What was seen, after the memory was read.

    steps: of open clusters only, since those of one that is terminating end with it; stopped, replace_cluster: when
    these markers were written, replace: the text of that one; None if there is none.
    """

    clusters: tuple[Cluster, ...] = ()
    steps: tuple[Step, ...] = ()
    heartbeat: Beat | None = None
    stopped: datetime | None = None
    replace: str | None = None
    replace_cluster: datetime | None = None

    @property
    def open_clusters(self) -> list[str]:
        """The ids of those that run steps, or soon will."""
        return [cluster.id for cluster in self.clusters if cluster.state in READY + STARTING]

    @property
    def live(self) -> list[Step]:
        """The live steps, oldest first."""
        return sorted((s for s in self.steps if s.state in LIVE), key=lambda s: (s.created, s.id))


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing; crash_loop: a start is due, and there have been too many of them."""

    why: str
    crash_loop: bool = False


@dataclass(frozen=True, slots=True)
class StartCluster:
    """RunJobFlow."""

    why: str


@dataclass(frozen=True, slots=True)
class StartStep:
    """AddJobFlowSteps."""

    cluster: str
    why: str


@dataclass(frozen=True, slots=True)
class CancelStep:
    """CancelSteps; force: by SIGKILL instead of SIGTERM; replaced: it is well, so first see that another may follow."""

    cluster: str
    step: str
    why: str
    force: bool = False
    replaced: bool = False


@dataclass(frozen=True, slots=True)
class EndCluster:
    """SetTerminationProtection, then TerminateJobFlows: its steps end with it, and the next rule starts another one."""

    cluster: str
    why: str


Decision = Wait | StartCluster | StartStep | CancelStep | EndCluster


@dataclass(frozen=True)
class Situation:
    """What the rules look at."""

    world: World
    memory: Memory
    now: datetime
    policy: Policy

    @cached_property
    def good(self) -> list[Step]:
        """Live steps that nobody cancelled, oldest first."""
        return [s for s in self.world.live if s.state != "CANCEL_PENDING" and s.id not in self.memory.cancelled]

    @cached_property
    def given_up(self) -> list[Step]:
        """Live steps that were cancelled, oldest first."""
        return [s for s in self.world.live if s not in self.good]

    def cluster(self, states: tuple[str, ...]) -> Cluster | None:
        """The newest cluster in one of these states."""
        found = [c for c in self.world.clusters if c.state in states]
        return max(found, key=lambda c: (c.created, c.id), default=None)

    def not_yet(self, kind: str) -> Wait | None:
        """Why nothing of this kind may be started now; None if it may."""
        policy, memory = self.policy, self.memory
        starts = [at for at in memory.starts[kind] if at > self.now - policy.memorable]
        so_far = f"{len(starts)} starts of a {kind} within an hour"
        if len(starts) >= policy.max_starts:
            until = starts[-policy.max_starts] + policy.memorable
            return Wait(f"{so_far}: none before {until:%H:%M:%S}", crash_loop=True)
        if starts and self.now < (until := starts[-1] + self._pause(len(starts))):
            return Wait(f"{so_far}: a pause until {until:%H:%M:%S}")
        if memory.refused_at and self.now < (until := memory.refused_at + self._pause(memory.refusals)):
            return Wait(f"EMR refused {memory.refusals} times in a row: a pause until {until:%H:%M:%S}")
        return None

    def _pause(self, times: int) -> timedelta:
        if times == 0:
            return timedelta(0)
        doubled = self.policy.first_pause * (1 << min(times - 1, 20))  # at most: timedelta overflows, and it is enough
        return min(doubled, self.policy.longest_pause)
