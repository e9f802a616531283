"""What the trigger remembers between two invocations: `control/trigger.json`.

EMR takes no client token for RunJobFlow and AddJobFlowSteps. So each action is first written down here as an intention.
The write succeeds only if the state is still the one that was read: if two invocations saw the same state, one writes
and the other ends.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal, cast, get_args

from trigger.errors import ControlError

Kind = Literal["cluster", "step", "cancel", "end"]
_STARTS = frozenset({"cluster", "step"})
_FORMAT = 1


@dataclass(frozen=True, slots=True)
class Intention:
    """One action: written before the call, `outcome` after its answer (an id, or what EMR said).

    id: 8 hexadecimal digits, part of the step's name or a tag of the cluster; cluster, step: what it is about, where
    that is known before; why: the rule that wanted it.
    """

    id: str
    kind: Kind
    at: datetime
    why: str
    cluster: str | None = None
    step: str | None = None
    outcome: str | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """The newest thing that was started: `cluster` is where (of a cluster: its own id)."""

    id: str
    cluster: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything remembered; the methods return the next memory.

    starts: when steps and clusters were started, oldest first; cancelled: step id -> when it was last cancelled;
    refusals: how often EMR has refused a start since the last one that it took; last_stop: why a step was cancelled.
    """

    intention: Intention | None = None
    starts: dict[str, tuple[datetime, ...]] = field(default_factory=lambda: {"step": (), "cluster": ()})
    last_step: Started | None = None
    last_cluster: Started | None = None
    cancelled: dict[str, datetime] = field(default_factory=dict)
    refusals: int = 0
    refused_at: datetime | None = None
    last_stop: str | None = None

    def intend(self, intention: Intention, keep: timedelta, live: set[str]) -> Memory:
        """With an action that is about to be tried. A start counts from now on, even if it fails.

        keep: how long a start counts; live: the steps that EMR still has, of which it matters whether they were
        cancelled.
        """
        starts = {kind: tuple(at for at in times if at > intention.at - keep) for kind, times in self.starts.items()}
        if intention.kind in _STARTS:
            starts[intention.kind] += (intention.at,)
        cancelled = {step: at for step, at in self.cancelled.items() if step in live}
        return replace(self, intention=intention, starts=starts, cancelled=cancelled)

    def done(self, outcome: str, at: datetime) -> Memory:
        """With the answer to the intention: the id of what was started, or what EMR said to a cancellation."""
        intention = self._pending()
        memory = replace(self, intention=replace(intention, outcome=outcome))
        match intention.kind:
            case "step":
                return replace(memory, last_step=Started(outcome, intention.cluster or "", at), refusals=0)
            case "cluster":
                return replace(memory, last_cluster=Started(outcome, outcome, at), refusals=0)
            case "end":
                return memory
            case "cancel":
                stop = f"{intention.step}: {intention.why}"
                return replace(memory, cancelled=self.cancelled | {intention.step or "": at}, last_stop=stop)

    def refused(self, outcome: str, at: datetime) -> Memory:
        """With EMR's refusal of the intention, which therefore had no effect."""
        memory = self.came_to_nothing(outcome)
        if self._pending().kind not in _STARTS:
            return memory
        return replace(memory, refusals=self.refusals + 1, refused_at=at)

    def came_to_nothing(self, outcome: str) -> Memory:
        """Without the intention's effect: a start that had none is no start."""
        intention = self._pending()
        memory = replace(self, intention=replace(intention, outcome=outcome))
        if intention.kind not in _STARTS:
            return memory
        return replace(memory, starts=self.starts | {intention.kind: self.starts[intention.kind][:-1]})

    def unknown(self, outcome: str) -> Memory:
        """With an intention that may or may not have had an effect; nobody can tell any more."""
        return replace(self, intention=replace(self._pending(), outcome=outcome))

    def _pending(self) -> Intention:
        if self.intention is None or self.intention.outcome is not None:
            msg = f"expected an intention without outcome, got {self.intention!r}"
            raise ControlError(msg)
        return self.intention


def dump(memory: Memory) -> bytes:
    """As JSON, for people too: times in ISO 8601."""
    fields = {
        "format": _FORMAT,
        "intention": memory.intention and _plain(memory.intention),
        "starts": {kind: [at.isoformat() for at in times] for kind, times in memory.starts.items()},
        "last_step": memory.last_step and _plain(memory.last_step),
        "last_cluster": memory.last_cluster and _plain(memory.last_cluster),
        "cancelled": {step: at.isoformat() for step, at in memory.cancelled.items()},
        "refusals": memory.refusals,
        "refused_at": memory.refused_at and memory.refused_at.isoformat(),
        "last_stop": memory.last_stop,
    }
    return json.dumps(fields, indent=1).encode()


def load(text: bytes) -> Memory:
    """The inverse of `dump`; raises ControlError for anything else."""
    try:
        return _memory(cast("dict[str, Any]", json.loads(text)))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        msg = f"{text[:80]!r} is no memory of the trigger ({type(error).__name__}: {error})"
        raise ControlError(msg) from error


def _memory(found: dict[str, Any]) -> Memory:
    if found["format"] != _FORMAT:
        msg = f"expected format {_FORMAT}, got {found['format']!r}"
        raise ValueError(msg)
    return Memory(
        intention=_intention(found["intention"]),
        starts={kind: tuple(map(_time, found["starts"][kind])) for kind in ("step", "cluster")},
        last_step=_started(found["last_step"]),
        last_cluster=_started(found["last_cluster"]),
        cancelled={str(step): _time(at) for step, at in found["cancelled"].items()},
        refusals=int(found["refusals"]),
        refused_at=None if found["refused_at"] is None else _time(found["refused_at"]),
        last_stop=found["last_stop"],
    )


def _plain(value: Intention | Started) -> dict[str, str | None]:
    fields = {name: getattr(value, name) for name in value.__slots__}
    return fields | {"at": value.at.isoformat()}


def _intention(found: dict[str, Any] | None) -> Intention | None:
    if found is None:
        return None
    if found["kind"] not in get_args(Kind):
        msg = f"expected a kind of {get_args(Kind)}, got {found['kind']!r}"
        raise ValueError(msg)
    return Intention(**(found | {"at": _time(found["at"])}))


def _started(found: dict[str, Any] | None) -> Started | None:
    return None if found is None else Started(**(found | {"at": _time(found["at"])}))


def _time(text: str) -> datetime:
    time = datetime.fromisoformat(text)
    if time.tzinfo is None:
        msg = f"expected a time with its offset from UTC, got {text!r}"
        raise ValueError(msg)
    return time
