"""How many descriptors a process has open, and how many it may have: as Linux tells it in `/proc`."""

from __future__ import annotations

import json
import os
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

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
