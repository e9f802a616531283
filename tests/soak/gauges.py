"""What a running job holds: descriptors, sockets, memory, threads and processes by role, files of its checkpoint."""

from __future__ import annotations

import contextlib
import os
import statistics
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import process_session
import psutil

if TYPE_CHECKING:
    from pathlib import Path

_MIB = 1 << 20


def role(process: psutil.Process, leader: int) -> str:
    """`driver`, `java`, `workers` (the daemon and what it forks), `source` (the reader of the input), or `other`."""
    if process.pid == leader:
        return "driver"
    if process.name() == "java":
        return "java"
    words = " ".join(process.cmdline())
    if "streaming.spark.worker_daemon" in words or "pyspark.daemon" in words:
        return "workers"
    return "source" if "python_streaming_source_runner" in words else "other"


def of_processes(leader: int) -> Counter[str]:
    """Figures by `<role> <what>`, over all processes of the session. Memory is resident, in MiB."""
    found: Counter[str] = Counter()
    for process in process_session.living(leader):
        with contextlib.suppress(psutil.NoSuchProcess), process.oneshot():
            who = role(process, leader)
            figures = {
                "processes": 1,
                "descriptors": process.num_fds(),
                "sockets": len(process.net_connections("all")),
                "threads": process.num_threads(),
                "memory": process.memory_info().rss // _MIB,
            }
            found.update({f"{who} {what}": figure for what, figure in figures.items()})
    return found


def files_below(folder: Path) -> int:
    """The number of files in a folder and all below it, while others make and remove some."""
    return sum(len(names) for _, _, names in os.walk(folder))


@dataclass
class Series:
    """Samples along a run, and whether they stay flat once it is warm."""

    samples: list[tuple[int, Counter[str]]] = field(default_factory=list)

    def add(self, batch: int, figures: Counter[str]) -> None:
        """What was seen after so many batches."""
        self.samples.append((batch, figures))

    def median(self, name: str, first: float, last: float) -> float:
        """Of the samples between two fractions of the run."""
        end = self.samples[-1][0]
        inside = [figures[name] for batch, figures in self.samples if first * end <= batch <= last * end]
        return statistics.median(inside)

    def growth(self, allowed: dict[str, float], warm: tuple[float, float], end: tuple[float, float]) -> list[str]:
        """A line for each figure whose median at the end lies further above the warm one than is allowed.

        allowed: by the last word of the figure's name, as a sum of units.
        """
        told = []
        for name in sorted(set().union(*(figures for _, figures in self.samples))):
            before, after = self.median(name, *warm), self.median(name, *end)
            limit = allowed[name.split()[-1]]
            if after > before + limit:
                along = ", ".join(f"{batch}: {figures[name]}" for batch, figures in self.samples)
                told.append(f"{name}: {before:g} once warm, {after:g} at the end, may grow by {limit:g}: {along}")
        return told
