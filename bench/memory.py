"""Memory and processor time of a process tree, Python and Java apart.

Memory is the proportional set size (PSS): a page that forked workers share counts once in the sum.
"""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass

import process_session
import psutil

from bench.watching import Watching

_CALM = 0.3  # an idle job uses a tenth of it


@dataclass(frozen=True)
class Usage:
    """One look at a tree: bytes of PSS, and processor seconds of the processes that live."""

    python: int
    java: int
    cpu: dict[int, float]

    @property
    def bytes(self) -> int:
        """Python and Java together."""
        return self.python + self.java


def usage(leader: int) -> Usage:
    """The tree of a session leader as it is now."""
    sizes = {"java": 0, "python": 0}
    cpu = {}
    for process in process_session.living(leader):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            kind = "java" if "java" in process.name() else "python"
            sizes[kind] += process.memory_full_info().pss
            times = process.cpu_times()
            cpu[process.pid] = times.user + times.system
    return Usage(sizes["python"], sizes["java"], cpu)


def cpu_seconds(leader: int) -> float:
    """Processor seconds that the tree of a session leader has used so far, with those of processes that have ended."""
    total = 0.0
    for process in process_session.living(leader):
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
            total += sum(process.cpu_times()[:4])  # user and system, then those of its ended children
    return total


class Sampler(Watching):
    """Looks at the tree of a session leader; `peak` is the look with the most bytes."""

    def __init__(self, leader: int, seconds: float = 1.0) -> None:
        super().__init__(seconds)
        self._leader = leader
        self.peak = Usage(0, 0, {})

    def look(self) -> None:
        """One look at the tree."""
        self.peak = max(self.peak, usage(self._leader), key=lambda seen: seen.bytes)


def await_calm(leader: int, limit: float = 600.0) -> None:
    """Waits until the tree has used less than 30 % of a core for a second, so that nothing runs in the background.

    Raises TimeoutError after `limit` seconds.
    """
    end = time.monotonic() + limit
    while share_of_core(leader, 1.0)[0] > _CALM:
        if time.monotonic() > end:
            msg = f"the job was not calm within {limit:.0f} s"
            raise TimeoutError(msg)


def share_of_core(leader: int, seconds: float) -> tuple[float, Usage]:
    """The share of one core that the tree uses during this time, and its usage at the end."""
    before, started = usage(leader), time.monotonic()
    time.sleep(seconds)
    after = usage(leader)
    spent = sum(cpu - before.cpu.get(process, 0.0) for process, cpu in after.cpu.items())
    return spent / (time.monotonic() - started), after
