"""Several runs of the bench as one table: `python -m bench.spread results-….json…`, of other days or other machines.

Each row shows the median of the runs, from the least to the greatest, and the verdict of each run.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from bench.figures import Figures
from bench.report import limit, shown
from bench.targets import TARGETS, Judged, results

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.targets import Result, Target

HEADINGS = ("measure", "runs", "median", "least to greatest", "must", "aim", "verdicts")


def lines(runs: Sequence[Figures]) -> list[tuple[str, ...]]:
    """A row for each target that a run has measured, in the table's order. What is shown is what its limits are for."""
    by_title: dict[str, list[Result]] = {}
    for run in runs:
        for result in results(run):
            if result.judged is not None:
                by_title.setdefault(result.target.title, []).append(result)
    return [_line(target, by_title[target.title]) for target in TARGETS if target.title in by_title]


def _line(target: Target, found: list[Result]) -> tuple[str, ...]:
    numbers = [number for result in found if (number := result.judged) is not None]
    least, median, greatest = (_told(target, f(numbers)) for f in (min, statistics.median, max))
    verdicts = ", ".join(result.verdict for result in found)
    return (
        target.title,
        str(len(numbers)),
        median,
        f"{least} to {greatest}",
        limit(target, target.must),
        limit(target, target.aim),
        verdicts.strip(", "),
    )


def _told(target: Target, number: float) -> str:
    if target.judged is Judged.RATIO:
        return f"{number:.2f} x"
    return f"{number:+.3f} s" if target.judged is Judged.DIFFERENCE else shown(target.figure, number)


def main() -> None:
    """The command above."""
    runs = [Figures(json.loads(Path(path).read_text())["samples"]) for path in sys.argv[1:]]
    console = Console(highlight=False, soft_wrap=True)
    for row in [HEADINGS, tuple("---" for _ in HEADINGS), *lines(runs)]:
        console.print("| " + " | ".join(row) + " |", markup=False)


if __name__ == "__main__":
    main()
