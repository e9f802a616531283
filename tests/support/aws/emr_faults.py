"""What goes wrong with the local EMR: errors, lost answers, clusters that die, events that do not come. All by seed."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field
from random import Random
from typing import Any, Literal

CallFault = Literal["throttle", "fail", "quota", "lose_answer"]
_LOSSES = ("cut", "fail", "throttle")
_DOOMS = {
    "VALIDATION_ERROR": "The requested number of instances exceeds your EC2 quota",
    "BOOTSTRAP_FAILURE": "On the master instance, bootstrap action 1 returned a non-zero return code",
    "INSTANCE_FAILURE": "The master node was terminated",
    "INTERNAL_ERROR": "An internal error occurred",
}


class EmrError(Exception):
    """An error as EMR answers it. code: `__type`; status: of HTTP; members: what else the body says."""

    def __init__(self, message: str, code: str, *, status: int = 400, **members: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code, self.status = code, status
        modelled = code in {"InvalidRequestException", "InternalServerException"}
        self.body = {"Message" if modelled else "message": message, **members}


class ConnectionCut(Exception):  # noqa: N818 - not an answer of EMR but the absence of one
    """The connection ends without an answer."""


_PROBABILITIES = ("throttle", "fail", "quota", "lose_answer", "doom", "ignore_cancel")
_PROBABILITIES += ("lose_event", "repeat_event", "delay_event", "swap_event")


@dataclass
class Faults:
    """How often what goes wrong, each a probability; everything is off by default. Each fault that fires is counted.

    throttle: a call is refused with ThrottlingException; fail: with HTTP 500. quota: RunJobFlow is refused.
    lose_answer: the call takes effect, and the client sees a cut connection, a 500 or a ThrottlingException.
    doom: a new cluster will not come up, or dies at once. ignore_cancel: CancelSteps accepts and does nothing.
    lose_event, repeat_event, delay_event (by up to longest_delay seconds), swap_event (with one that is on its way).
    refuse_second_cancel: not a probability; whether a step in CANCEL_PENDING can no longer be cancelled with
    TERMINATE_PROCESS (the documents only speak of PENDING and RUNNING steps).
    """

    seed: int = 0
    throttle: float = 0.0
    fail: float = 0.0
    quota: float = 0.0
    lose_answer: float = 0.0
    doom: float = 0.0
    ignore_cancel: float = 0.0
    lose_event: float = 0.0
    repeat_event: float = 0.0
    delay_event: float = 0.0
    swap_event: float = 0.0
    longest_delay: float = 3600.0
    refuse_second_cancel: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    _once: dict[str, deque[CallFault]] = field(default_factory=dict)
    _doomed: deque[str] = field(default_factory=deque)

    def __post_init__(self) -> None:
        self._start_anew()

    def once(self, operation: str, fault: CallFault) -> None:
        """The next call of this operation (that has no such fault before it) meets this fault."""
        self._once.setdefault(operation, deque()).append(fault)

    def doom_next(self, code: str) -> None:
        """The next cluster ends in TERMINATED_WITH_ERRORS for this reason, before it is ready."""
        self._doomed.append(code)

    def heal(self) -> None:
        """Nothing more goes wrong; what has been counted stays, and so do delays that have begun."""
        for name in _PROBABILITIES:
            setattr(self, name, 0.0)
        self._once.clear()
        self._doomed.clear()

    def change(self, **settings: Any) -> None:
        """Sets fields by name; a new seed starts the random numbers anew."""
        for name, value in settings.items():
            if name not in {*_PROBABILITIES, "seed", "longest_delay", "refuse_second_cancel"}:
                msg = f"expected a fault of the local EMR, got {name!r}"
                raise ValueError(msg)
            setattr(self, name, value)
        if "seed" in settings:
            self._start_anew()

    def before(self, operation: str) -> bool:
        """Raises the fault that keeps the call from its effect; True: its answer is to be lost."""
        fault = self._drawn(operation)
        if fault is None:
            return False
        if fault == "lose_answer":
            return True
        self.count(fault, operation)
        raise _error(fault)

    def lost(self, operation: str) -> Exception:
        """What the client sees of a call that has taken effect and whose answer is lost."""
        self.count("lose_answer", operation)
        return _error(self.random.choice(_LOSSES))

    def doomed(self) -> tuple[str, str] | None:
        """The reason why a cluster that is being made will not live: code and message."""
        code = self._doomed.popleft() if self._doomed else None
        if code is None and self.draw("doom"):
            code = self.random.choice(sorted(_DOOMS))
        elif code is not None:
            self.count("doom")
        return None if code is None else (code, _DOOMS[code])

    def draw(self, fault: str, what: str = "") -> bool:
        """Whether this fault fires now; counts it if so."""
        fires = self.random.random() < getattr(self, fault)
        if fires:
            self.count(fault, what)
        return fires

    def count(self, fault: str, what: str = "") -> None:
        """Notes that a fault has fired, by itself and with what it hit: `throttle`, `throttle ListSteps`."""
        self.counts[fault] += 1
        if what:
            self.counts[f"{fault} {what}"] += 1

    def _start_anew(self) -> None:
        self.random = Random(self.seed)  # noqa: S311 - what is wanted is the same faults again

    def _drawn(self, operation: str) -> CallFault | None:
        if waiting := self._once.get(operation):
            return waiting.popleft()
        at = self.random.random()
        for fault in ("throttle", "fail", "lose_answer", "quota"):
            share = getattr(self, fault) if fault != "quota" or operation == "RunJobFlow" else 0.0
            if at < share:
                return fault
            at -= share
        return None


def _error(fault: str) -> Exception:
    match fault:
        case "throttle":
            return EmrError("Rate exceeded", "ThrottlingException")
        case "fail":
            return EmrError("The request processing has failed", "InternalFailure", status=500)
        case "quota":
            return EmrError("The number of active clusters exceeds the quota of this account.", "ValidationException")
        case "cut":
            return ConnectionCut("the connection ended without an answer")
    msg = f"no such fault: {fault!r}"
    raise ValueError(msg)
