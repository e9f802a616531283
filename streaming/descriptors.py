"""How many descriptors the processes of the job have open, and whether the job should begin anew before none are left.

Spark before 4.1.4 leaves two sockets open in Java for each task of the state and batch (SPARK-58932), and nothing but
the end of that Java closes them. At the limit nothing can be opened any more, so the job ends in good time, between two
batches, and begins anew: by itself on one machine, as another step under spark-submit.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming.telemetry.metrics import Metrics
    from streaming.telemetry.observer import Published

log = logging.getLogger(__name__)

WORN = 0.7  # of the limit: a batch takes a few dozen at most, so there is time to end in order
FRESH = 0.5  # a job that begins with more than that gains nothing by beginning anew
_GENERATIONS = 6  # from a Python worker up to its Java: the daemon that forks it, perhaps a shell
_PROC = Path("/proc")


@dataclass(frozen=True)
class Descriptors:
    """Of one process: how many are open (files, sockets, pipes), and how many may be."""

    process: str
    open: int
    limit: int

    @property
    def share(self) -> float:
        """Of the limit that is used, 0 to 1."""
        return self.open / self.limit

    def to_json(self) -> bytes:
        """As a row of the stream."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Descriptors:
        """The inverse of `to_json`."""
        return cls(**json.loads(text))


def of_process(pid: int, name: str) -> Descriptors | None:
    """None if the system does not tell: not Linux, another user's process, one that is gone."""
    folder = _PROC / str(pid)
    try:
        count = len(os.listdir(folder / "fd"))  # noqa: PTH208 (there may be ten thousands: names alone)
        limit = _limit((folder / "limits").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return Descriptors(f"{name} {pid} on {os.uname().nodename}", count, min(limit, _ports()))


def of_java_above() -> Descriptors | None:
    """Of the Java that this process runs for; None if there is none above it."""
    pid = os.getpid()
    for _ in range(_GENERATIONS):
        try:
            pid = _parent(pid)
            name = (_PROC / str(pid) / "comm").read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            return None
        if name == "java":
            return of_process(pid, "java")
    return None


class Wear:
    """Told after each batch what its processes have open. highest: of the last batch, by its share; None at first.

    ended: whether the job ends for this reason.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._least = 1.0
        self._told = False
        self.highest: Descriptors | None = None
        self.ended = self._out = False

    def begins(self, batch_id: int) -> None:
        """Nothing yet."""

    def breaks_off(self) -> None:
        """Nothing: the next one tells."""

    def published(self, batch: Published) -> None:
        """What the batch says of each Java in which a part of the state was worked on."""
        self.see(batch.held)

    def see(self, of_the_state: Iterable[Descriptors]) -> None:
        """of_the_state: each Java in which a part of the state was worked on. Adds this process and its Java."""
        own = of_process(os.getpid(), "python"), of_java_above()
        found = [*of_the_state, *(one for one in own if one is not None)]
        if not found:
            return
        self.highest = highest = max(found, key=lambda one: one.share)
        self._metrics.descriptors(highest.share)
        self._least = min(self._least, highest.share)
        if highest.share < WORN or self._told:
            return
        self._told = True
        held = f"{highest.process} has {highest.open:,} of {highest.limit:,} descriptors open"
        if self._least < FRESH:
            self._out = True
            log.warning("%s: the job ends between two batches and begins anew, nothing is lost", held)
        else:
            log.warning("%s from the beginning: raise its limit (`ulimit -n`), or the job may end", held)

    def ends(self, *, between_batches: bool) -> bool:
        """Whether the job is to end now. between_batches: each batch that was published has its receipts."""
        self.ended = self.ended or (self._out and between_batches)
        return self.ended


def begin_anew() -> None:
    """The same command in the place of this process. Does not return. Not for a process that Java has started."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (what runs now, once more)


def shown(descriptors: Descriptors | None) -> dict[str, object] | None:
    """As it stands in a heartbeat."""
    return None if descriptors is None else asdict(descriptors)


def _limit(limits: str) -> int:
    """The soft limit of open files in the text of `/proc/<pid>/limits`. Raises ValueError."""
    line = next((line for line in limits.splitlines() if line.startswith("Max open files")), "")
    soft = line.removeprefix("Max open files").split()
    if not soft:
        msg = f"expected a line 'Max open files', got {limits!r}"
        raise ValueError(msg)
    return sys.maxsize if soft[0] == "unlimited" else max(int(soft[0]), 1)


def _ports() -> int:
    """How many sockets of one address can listen or connect: each takes a port of this range. Raises ValueError."""
    first, last = (_PROC / "sys/net/ipv4/ip_local_port_range").read_text(encoding="ascii").split()
    return int(last) - int(first) + 1


def _parent(pid: int) -> int:
    """The fourth field of `/proc/<pid>/stat`; the second is the name in brackets, which may hold anything."""
    after_the_name = (_PROC / str(pid) / "stat").read_bytes().rpartition(b")")[2]
    return int(after_the_name.split()[1])
