"""EMR's state changes as EventBridge publishes them, and their way to a target, on which they may get lost.

Documents and messages: the EMR Management Guide, "Monitoring Amazon EMR events with CloudWatch". EMR publishes no event
for a cluster in BOOTSTRAPPING or TERMINATING nor for a step that becomes INTERRUPTED.
"""

from __future__ import annotations

import copy
import heapq
import json
import threading
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from emr_faults import Faults
    from emr_records import Cluster, Step

ACCOUNT, REGION = "123456789012", "us-east-1"
_IN = "in Amazon EMR cluster {cluster}"
_TOOK = "The step started running at {started} and took {minutes} minutes to complete."
_CANCELLED = f"Cancellation request has succeeded for cluster step {{step}} {_IN} at {{now}}"
_STEP_EVENTS = {
    "PENDING": ("INFO", "Step {step} was added to Amazon EMR cluster {cluster} at {now} and is pending execution."),
    "CANCEL_PENDING": ("WARN", f"Step {{step}} {_IN} was cancelled at {{now}} and is pending cancellation."),
    "RUNNING": ("INFO", f"Step {{step}} {_IN} started running at {{now}}."),
    "COMPLETED": ("INFO", f"Step {{step}} {_IN} completed execution at {{now}}. {_TOOK}"),
    "CANCELLED": ("WARN", f"{_CANCELLED}, and the step is now cancelled."),
    "FAILED": ("ERROR", f"Step {{step}} {_IN} failed at {{now}}."),
}
_ENDED = "Amazon EMR Cluster {cluster} has terminated {how}at {now} with a reason of {code}."
_CLUSTER_EVENTS = {
    "STARTING": "Amazon EMR cluster {cluster} was requested at {now} and is being created.",
    "RUNNING": "Amazon EMR cluster {cluster} began running steps at {now}.",
    "WAITING": "Amazon EMR cluster {cluster} finished running all pending steps at {now}.",
    "TERMINATED": _ENDED.replace("{how}", ""),
    "TERMINATED_WITH_ERRORS": _ENDED.replace("{how}", "with errors "),
}
_FIRST_WAITING = "Amazon EMR cluster {cluster} was created at {now} and is ready for use."


def step_event(cluster: Cluster, step: Step, now: float, random: Random) -> dict[str, Any] | None:
    """The document of a step's new state; None if EMR publishes none."""
    if step.state not in _STEP_EVENTS:
        return None
    severity, message = _STEP_EVENTS[step.state]
    detail = {
        "severity": severity,
        "actionOnFailure": step.action_on_failure,
        "stepId": step.id,
        "name": step.name,
        "clusterId": cluster.id,
        "state": step.state,
        "message": message.format(
            step=f"{step.id} ({step.name})",
            cluster=f"{cluster.id} ({cluster.name})",
            now=_minute(now),
            started=_minute(step.started or now),
            minutes=int((now - (step.started or now)) // 60),
        ),
    }
    return _document("EMR Step Status Change", detail, now, random)


def cluster_event(cluster: Cluster, now: float, random: Random, *, first: bool = False) -> dict[str, Any] | None:
    """The document of a cluster's new state; None if EMR publishes none. first: it has run no step yet."""
    if cluster.state not in _CLUSTER_EVENTS:
        return None
    message = _FIRST_WAITING if first and cluster.state == "WAITING" else _CLUSTER_EVENTS[cluster.state]
    code, why = cluster.reason
    reason = {"code": code} | ({"message": why} if code else {})
    detail = {
        "severity": "CRITICAL" if cluster.state == "TERMINATED_WITH_ERRORS" else "INFO",
        "stateChangeReason": json.dumps(reason, separators=(",", ":")),
        "name": cluster.name,
        "clusterId": cluster.id,
        "state": cluster.state,
        "message": message.format(cluster=f"{cluster.id} ({cluster.name})", now=_minute(now), code=code),
    }
    return _document("EMR Cluster State Change", detail, now, random)


def _document(detail_type: str, detail: dict[str, Any], now: float, random: Random) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.UUID(int=random.getrandbits(128), version=4)),
        "detail-type": detail_type,
        "source": "aws.emr",
        "account": ACCOUNT,
        "time": datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": REGION,
        "resources": [],
        "detail": detail,
    }


def _minute(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M UTC")


class EventStream:
    """The way of events to one target: best effort, as EventBridge promises for EMR and no better.

    delay: seconds each event takes. A sink that raises gets no second try, and its error reaches who called `deliver`.
    Safe to use from several threads; the sink is called outside of all locks, so it may call EMR.
    """

    def __init__(self, faults: Faults, sink: Callable[[dict[str, Any]], None], delay: float = 0.0) -> None:
        self._faults, self._sink, self._delay = faults, sink, delay
        self._lock = threading.Lock()
        self._waiting: list[tuple[float, int, int, dict[str, Any]]] = []  # due, place in the heap, number, document
        self._published = self._places = self._newest_seen = 0

    @property
    def waiting(self) -> int:
        """Events that are on their way."""
        return len(self._waiting)

    def publish(self, document: dict[str, Any], now: float) -> None:
        """Sends an event on its way, or what the faults make of it."""
        faults, what = self._faults, document["detail-type"]
        with self._lock:
            self._published += 1
            if faults.draw("lose_event", what):
                return
            for _ in range(2 if faults.draw("repeat_event", what) else 1):
                due = now + self._delay
                if faults.draw("delay_event", what):
                    due += faults.random.uniform(0.0, faults.longest_delay)
                self._push(due, self._published, document)
            if len(self._waiting) > 1 and faults.draw("swap_event", what):
                self._swap()

    def deliver(self, now: float) -> None:
        """Hands over what is due by now, in the order of its due times."""
        while (found := self._next(now)) is not None:
            self._sink(found)

    def _push(self, due: float, number: int, document: dict[str, Any]) -> None:
        self._places += 1
        heapq.heappush(self._waiting, (due, self._places, number, document))

    def _swap(self) -> None:
        """The two that were sent last change places."""
        (a, last), (b, other) = sorted(enumerate(self._waiting), key=lambda found: found[1][1])[-2:]
        self._waiting[a], self._waiting[b] = (*last[:2], *other[2:]), (*other[:2], *last[2:])

    def _next(self, now: float) -> dict[str, Any] | None:
        with self._lock:
            if not self._waiting or self._waiting[0][0] > now:
                return None
            *_, number, document = heapq.heappop(self._waiting)
            if number < self._newest_seen:
                self._faults.count("overtaken_event", document["detail-type"])
            self._newest_seen = max(self._newest_seen, number)
            return copy.deepcopy(document)
