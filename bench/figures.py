"""What was measured: figures by name, each the median of its samples."""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass
class Figures:
    """Samples by name, such as `bulk-2m` or `drip-200.p50`. Units: seconds, bytes, or plain numbers."""

    samples: dict[str, list[float]] = field(default_factory=dict)

    def add(self, name: str, *values: float) -> None:
        """Adds samples of one figure."""
        self.samples.setdefault(name, []).extend(values)

    def add_latencies(self, name: str, seconds: Sequence[float]) -> None:
        """Adds `<name>.p50`, `.p95` and `.max`."""
        self.add(f"{name}.p50", statistics.median(seconds))
        self.add(f"{name}.p95", percentile(seconds, 95))
        self.add(f"{name}.max", max(seconds))

    def value(self, name: str | None) -> float | None:
        """The median of a figure's samples; None if it was not measured."""
        found = self.samples.get(name) if name else None
        return statistics.median(found) if found else None


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that so many percent of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * percent / 100) - 1)]
