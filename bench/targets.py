"""The targets as data, and what the figures make of them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.figures import Figures

MB, GB = 1 << 20, 1 << 30


class Judged(Enum):
    """What the limits of a row are for: the ratio, the figure itself (in its unit), or what it is more than `over`."""

    RATIO = "ratio"
    FIGURE = "figure"
    DIFFERENCE = "difference"


@dataclass(frozen=True)
class Target:
    """One row of the table: a figure of ours, what stands beside it (`over`), how much it must and should be at most.

    No limits: the row is there to be read.
    """

    title: str
    figure: str
    over: str | None = None
    must: float | None = None
    aim: float | None = None
    by: Judged | None = None

    @property
    def judged(self) -> Judged:
        """What the limits are for; if nothing is said, the ratio, or the figure if nothing stands beside it."""
        return self.by or (Judged.FIGURE if self.over is None else Judged.RATIO)


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
        """The ratio, the figure itself or the difference; None if the other side was not measured."""
        if self.target.judged is Judged.FIGURE:
            return self.ours
        if self.target.judged is Judged.DIFFERENCE:
            return None if self.beside is None else self.ours - self.beside
        return self.ratio

    @property
    def verdict(self) -> str:
        """`aim`, `must` or `missed`; empty without limits or without a number to judge."""
        target, number = self.target, self.judged
        if number is None or target.must is None:
            return ""
        if number > target.must:
            return "missed"
        return "aim" if target.aim is not None and number <= target.aim else "must"


def results(figures: Figures, targets: Sequence[Target] | None = None) -> list[Result]:
    """One for each target whose figure was measured, in the table's order. targets: None for those below."""
    found = ((target, figures.value(target.figure)) for target in (TARGETS if targets is None else targets))
    return [Result(target, ours, figures.value(target.over)) for target, ours in found if ours is not None]


def misses(outcome: list[Result]) -> list[str]:
    """A sentence for each result that misses its must."""
    told = []
    for result in outcome:
        number, must = result.judged, result.target.must
        if result.verdict == "missed" and number is not None and must is not None:
            by = (
                f"{number - must:.3f} s"
                if result.target.judged is Judged.DIFFERENCE
                else f"a factor of {number / must:.2f}"
            )
            told.append(f"{result.target.title}: misses its must by {by}")
    return told


_PATHWAY, _POLARS = "over Pathway", "over polars + COPY"

TARGETS = [
    Target(f"drip 200: p50, {_PATHWAY}", "drip-200.p50", "pathway-200.p50", 0.8, 0.5),
    Target(f"drip 200: p95, {_PATHWAY}'s p95", "drip-200.p95", "pathway-200.p95", 0.8, 0.6),
    Target(f"drip 10,000: p50, {_PATHWAY}", "drip-10000.p50", "pathway-10000.p50", 0.9, 0.6),
    Target(
        "default settings, writer renames: p50, more than drip 200",
        "drip-200-moved.p50", "drip-200.p50", 0.05, 0.0, Judged.DIFFERENCE,
    ),
    Target(
        "default settings, writer closes: p50, more than drip 200",
        "drip-200-closed.p50", "drip-200.p50", 0.05, 0.0, Judged.DIFFERENCE,
    ),
    Target("drip 200: CPU of a batch, over the other commit", "against.ours.cpu", "against.other.cpu", 0.4, 0.25),
    Target("back to back, 200: p50, over that with pauses", "drip-200-back-to-back.p50", "drip-200.p50", 1.15, 1.0),
    Target("start to first drop visible", "start", None, 7.0, 5.0),
    Target(f"bulk 2 M: first drop to last receipt, {_POLARS}", "bulk-2m", "bulk-2m.peer", 1.1, 0.9),
    Target(f"bulk 10 M, {_POLARS}", "bulk-10m", "bulk-10m.peer", 1.3, 1.0),
    Target(f"bulk --rows, {_POLARS}", "bulk-rows", "bulk-rows.peer"),
    Target(f"dense 10 M, {_POLARS}", "dense", "dense.peer", 1.5, 1.0),
    Target(f"bulk 2 M until all is calm, {_POLARS}", "bulk-2m.calm", "bulk-2m.peer", 2.0, 1.3),
    Target("bulk 2 M: peak memory", "bulk-2m.peak", "bulk-2m.peer-peak", 1.5 * GB, 1.0 * GB, Judged.FIGURE),
    Target("4 GB file over four times 1 GB", "big-4g", "big-1g.four-times", 1.05, 1.0),
    Target("4 GB file: peak memory", "big-4g.peak", "big-1g.peak", 2.5 * GB, 1.5 * GB, Judged.FIGURE),
    Target("s3 drip 200: p50 over folder", "s3-drip-200.p50", "drip-200.p50", 1.5, 1.2),
    Target("s3: LIST requests of an idle hour", "s3.lists", None, 360, 60),
    Target("drip 10,000 after 50 M cells: p50 over empty", "drip-10000-after-50m.p50", "drip-10000.p50", 1.1, 1.0),
    Target(
        "drip 10,000 after 100 M cells: p50 over empty",
        "drip-10000-after-100m.p50", "drip-10000-before-100m.p50", 1.1, 1.0,
    ),
    Target("drip 200 after 10,000 batches: p50 over 100", "drip-200-old.p50", "drip-200-young.p50", 1.1, 1.0),
    Target("backlog of 2 GB: p95 of drips beside it, over idle", "backlog.drip.p95", "backlog.idle.p95", 3.0, 1.5),
    Target("checkpoint bytes per drip batch of 10,000", "checkpoint.bytes", None, 1.5 * MB, 1.0 * MB),
    Target("reading `;`, decimal comma, dd.mm.yyyy: CPU over known CSV", "read.profile", "read.csv", 1 / 0.8),
    Target("the same with thousands separators", "read.thousands", "read.csv", 1 / 0.8),
    Target("reading Parquet: CPU over known CSV", "read.parquet", "read.csv", 1 / 3),
    # no limits from here on
    Target("reading known CSV: CPU for a million rows", "read.csv"),
    Target("drip 200: CPU of a batch, with a second's pause", "drip-200.cpu"),
    Target("drip 200: max, over Pathway's max", "drip-200.max", "pathway-200.max"),
    Target(f"drip 200: p50, {_POLARS}", "drip-200.p50", "peer-200.p50"),
    Target("drip 10,000: p95, over Pathway's p95", "drip-10000.p95", "pathway-10000.p95"),
    Target(f"drip 10,000: p50, {_POLARS}", "drip-10000.p50", "peer-10000.p50"),
    Target("back to back, 200: p95, over that with pauses", "drip-200-back-to-back.p95", "drip-200.p95"),
    Target("drip 10,000 after 10 M cells: p50 over empty", "drip-10000-after-10m.p50", "drip-10000.p50"),
    Target("late, 200 corrections: p50 over drips", "late.p50", "drip-200.p50"),
    Target("s3 drip 200: p95 over folder's p95", "s3-drip-200.p95", "drip-200.p95"),
    Target(f"bulk 2 M from the start of the process, {_PATHWAY}", "bulk-start", "bulk-start.pathway"),
    Target(f"the same: peak memory, {_PATHWAY}", "bulk-start.peak", "bulk-start.pathway-peak"),
    Target("bulk 2 M: of the peak Python", "bulk-2m.peak.python"),
    Target("bulk 2 M: of the peak Java", "bulk-2m.peak.java"),
    Target(f"bulk 10 M until all is calm, {_POLARS}", "bulk-10m.calm", "bulk-10m.peer"),
    Target(f"bulk 10 M: peak memory, {_POLARS}", "bulk-10m.peak", "bulk-10m.peer-peak"),
    Target(f"dense 10 M until all is calm, {_POLARS}", "dense.calm", "dense.peer"),
    Target(f"1 GB file, {_POLARS}", "big-1g", "big-1g.peer"),
    Target(f"1 GB file: peak memory, {_POLARS}", "big-1g.peak", "big-1g.peer-peak"),
    Target("backlog of 2 GB, until its last receipt", "backlog"),
    Target(f"swarm of 10,000 files, receipted, {_POLARS}", "swarm", "swarm.peer"),
    Target("kill -9 to first drop visible after restart", "restart"),
    Target("checkpoint files per drip batch of 10,000", "checkpoint.files"),
    Target("checkpoint bytes per cell after 10 M cells", "checkpoint.per-cell"),
    Target("idle for a minute: share of one core", "idle.share"),
    Target("idle: memory of the tree", "idle.memory"),
    Target("idle: of it Python", "idle.python"),
    Target("idle: of it Java", "idle.java"),
    Target("verify on 2 M cells", "verify"),
]  # fmt: skip
