"""The targets as data, and what the figures make of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.figures import Figures

MB, GB = 1 << 20, 1 << 30


@dataclass(frozen=True)
class Target:
    """One row of the table: a figure of ours, what it is divided by (`over`), how much it must and should be at most.

    Without `over`, or with `absolute`, the limits are of the figure itself (seconds, bytes or a share), else of the
    ratio. No limits: the row is there to be read.
    """

    title: str
    figure: str
    over: str | None = None
    must: float | None = None
    aim: float | None = None
    absolute: bool = False


@dataclass(frozen=True)
class Result:
    """A target with what was measured. `judged`: the number that the limits are for."""

    target: Target
    ours: float
    beside: float | None

    @property
    def ratio(self) -> float | None:
        """Ours over what stands beside it."""
        return self.ours / self.beside if self.beside else None

    @property
    def judged(self) -> float | None:
        """The ratio or the figure itself; None if the other side was not measured."""
        return self.ours if self.target.over is None or self.target.absolute else self.ratio

    @property
    def verdict(self) -> str:
        """`aim`, `must` or `missed`; empty without limits or without a number to judge."""
        target, number = self.target, self.judged
        if number is None or target.must is None:
            return ""
        if number > target.must:
            return "missed"
        return "aim" if target.aim is not None and number <= target.aim else "must"


def results(figures: Figures) -> list[Result]:
    """One for each target whose figure was measured, in the table's order."""
    found = ((target, figures.value(target.figure)) for target in TARGETS)
    return [Result(target, ours, figures.value(target.over)) for target, ours in found if ours is not None]


def misses(outcome: list[Result]) -> list[str]:
    """A sentence for each result that misses its must."""
    told = []
    for result in outcome:
        number, must = result.judged, result.target.must
        if result.verdict == "missed" and number is not None and must is not None:
            told.append(f"{result.target.title}: misses its must by a factor of {number / must:.2f}")
    return told


TARGETS = [
    Target("bulk 2 M: first drop to last receipt, over polars + COPY", "bulk-2m", "bulk-2m.peer", 2.0, 1.0),
    Target("bulk 10 M, over polars + COPY", "bulk-10m", "bulk-10m.peer"),
    Target("bulk --rows, over polars + COPY", "bulk-rows", "bulk-rows.peer"),
    Target("bulk 2 M: until the lake has it too and all is calm", "bulk-2m.calm", "bulk-2m.peer"),
    Target("bulk 2 M: peak memory, over polars + COPY", "bulk-2m.peak", "bulk-2m.peer-peak"),
    Target("bulk 2 M: of the peak Python", "bulk-2m.peak.python"),
    Target("bulk 2 M: of the peak Java", "bulk-2m.peak.java"),
    Target("bulk 10 M: until the lake has it too and all is calm", "bulk-10m.calm", "bulk-10m.peer"),
    Target("bulk 10 M: peak memory, over polars + COPY", "bulk-10m.peak", "bulk-10m.peer-peak"),
    Target("dense 10 M, over polars + COPY", "dense", "dense.peer", 1.5, 0.7),
    Target("dense 10 M: until the lake has it too and all is calm", "dense.calm", "dense.peer"),
    Target("drip 200: p50 over the floor", "drip-200.p50", "floor-200.p50", 3.0, 1.5),
    Target("drip 200: p95 over the floor's p50", "drip-200.p95", "floor-200.p50", 4.5),
    Target("drip 200: max over the floor's max", "drip-200.max", "floor-200.max"),
    Target("drip 200: p50 over polars + COPY", "drip-200.p50", "peer-200.p50"),
    Target("drip 10,000: p50 over the floor", "drip-10000.p50", "floor-10000.p50", 4.5, 2.5),
    Target("drip 10,000: p95 over the floor's p50", "drip-10000.p95", "floor-10000.p50", 6.0),
    Target("drip 10,000: max over the floor's max", "drip-10000.max", "floor-10000.max"),
    Target("drip 10,000: p50 over polars + COPY", "drip-10000.p50", "peer-10000.p50"),
    Target("drip 200 after 2 M cells: p50 over empty", "drip-200-after-2m.p50", "drip-200.p50"),
    Target("drip 200 after 10 M cells: p50 over empty", "drip-200-after-10m.p50", "drip-200.p50", 1.2, 1.0),
    Target("drip 10,000 after 10 M cells: p50 over empty", "drip-10000-after-10m.p50", "drip-10000.p50", 1.2, 1.0),
    Target("drip 10,000 after 50 M cells: p50 over empty", "drip-10000-after-50m.p50", "drip-10000.p50", 1.3, 1.0),
    Target("late, 200 corrections: p50 over drip p50", "late.p50", "drip-200-after-10m.p50", 2.0, 1.2),
    Target("s3 drip 200: p50 over folder", "s3-drip-200.p50", "drip-200.p50"),
    Target("s3 drip 200: p95 over folder's p95", "s3-drip-200.p95", "drip-200.p95"),
    Target("swarm of 10,000 files, receipted (s)", "swarm", "swarm.peer", 60.0, 20.0, absolute=True),
    Target("big: peak memory, 4 GB file over 1 GB file", "big-4g.peak", "big-1g.peak", 1.1),
    Target("big 4 GB: peak memory (GB)", "big-4g.peak", None, 4 * GB, 2.5 * GB),
    Target("big 4 GB: of the peak Python", "big-4g.peak.python"),
    Target("big 4 GB: of the peak Java", "big-4g.peak.java"),
    Target("big 1 GB: peak memory, over polars + COPY", "big-1g.peak", "big-1g.peer-peak"),
    Target("big 1 GB, over polars + COPY", "big-1g", "big-1g.peer"),
    Target("big 4 GB over big 1 GB", "big-4g", "big-1g"),
    Target("start to first batch (s)", "start", None, 25.0, 12.0),
    Target("kill -9 to first batch after restart (s)", "restart", None, 25.0, 12.0),
    Target("checkpoint bytes per drip batch of 10,000", "checkpoint.bytes", None, 8 * MB, 1 * MB),
    Target("checkpoint files per drip batch of 10,000", "checkpoint.files"),
    Target("checkpoint bytes per cell after 10 M cells", "checkpoint.per-cell"),
    Target("idle for a minute: share of one core", "idle.share", None, 0.10, 0.03),
    Target("idle: memory of the tree", "idle.memory", None, 2 * GB, 1.2 * GB),
    Target("idle: of it Python", "idle.python"),
    Target("idle: of it Java", "idle.java"),
    Target("verify on 2 M cells (s)", "verify", None, 20.0, 5.0),
]
