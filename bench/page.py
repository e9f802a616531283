"""`python -m bench.page`: measures the live page on a long history, and prints the table.

The job loads the history, then the page is opened in Chromium. The job goes on: it is given new dates and corrections.
"""

from __future__ import annotations

import json
import shutil
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench import ROOT, report
from bench.figures import Figures
from bench.targets import MB, Target, results
from streaming.database import embedded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.place import Bench
    from bench.targets import Result

sys.path.insert(0, str(ROOT / "tests" / "support"))  # as in __main__.py; the browser, too, is that of the tests

_OUTPUT = 4_000  # characters of the job's, after an error
HEADINGS = ("measure", "target", "found", "verdict")
_VERDICTS = {"must": "kept", "aim": "kept"}
_KINDS = {"day": "a new date of all tickers", "cell": "one old cell", "cells": "200 old cells"}

app = typer.Typer(add_completion=False)
console = Console(highlight=False)


def targets(viewers: int) -> list[Target]:
    """The rows of the table, for so many viewers in all."""
    rows = [
        Target("first paint", "paint", None, 1.5),
        Target("first paint: the chart is there", "chart"),
        Target("`stocketl page` until it tells its address", "start"),
    ]
    for name, number in (("three", 3), ("all", viewers)):
        who = f"{number} viewers"
        for kind, title in _KINDS.items():
            # many cells lie all over the past, so the whole chart and the whole calendar are read again
            limits = (0.3, 0.05) if kind != "cells" else (None, None)
            rows += [
                Target(f"{who}, {title}: from the table to the page, p50", f"{name}.{kind}.page", None, limits[0]),
                Target(f"{who}, {title}: database for an event", f"{name}.{kind}.database", None, limits[1]),
            ]
        rows += [
            Target(f"{who}: memory of the page", f"{name}.memory", None, 150 * MB),
            Target(f"{who}: sessions that listen", f"{name}.listens", None, 1),
            Target(f"{who}: sessions of the page", f"{name}.sessions", None, 4),
            Target(f"{who}, a new date: the movers", f"{name}.day.movers"),
            Target(f"{who}, a new date: the calendar", f"{name}.day.calendar"),
            Target(f"{who}, a new date: processor of the page", f"{name}.day.process"),
            Target(f"{who}, a new date: the last viewer has all", f"{name}.day.answers"),
            Target(f"{who}, a new date: from the drop to the table", f"{name}.day.drop"),
        ]
    return rows


def lines(outcome: Sequence[Result]) -> list[tuple[str, ...]]:
    """The table's cells as text."""
    return [
        (
            result.target.title,
            report.limit(result.target, result.target.must),
            report.shown(result.target.figure, result.ours),
            _VERDICTS.get(result.verdict, result.verdict),
        )
        for result in outcome
    ]


@app.command()
def main(
    *,
    tickers: Annotated[int, typer.Option(min=10, help="Tickers of each date.")] = 10_000,
    dates: Annotated[int, typer.Option(min=10, help="Dates of the history.")] = 2_500,
    viewers: Annotated[int, typer.Option(min=3, help="Viewers in all, three of them in a browser.")] = 20,
    events: Annotated[int, typer.Option(min=3, help="Drops of one date or one cell, for each number of viewers.")] = 15,
    home: Annotated[Path, typer.Option(help="Folder for all data, and the results.", show_default="bench-home")] = ROOT
    / "bench-home",
) -> None:
    """Measures and prints the table. Exit code 1: an error. A missed target is told, and is no error."""
    from databases import Databases  # noqa: PLC0415 (only now on the path)

    from bench.place import Bench, Sizes  # noqa: PLC0415 (as above)

    home = home.resolve()
    uri = embedded.start(home / "postgres")
    sizes = Sizes(many=tickers, many_dates=dates)
    bench = Bench(home, Databases(uri), sizes, Figures(), 1, quick=False, say=say)
    try:
        whole = _measured(bench, viewers, events)
        about = report.about(uri) | {"tickers": f"{tickers:,}", "dates": f"{dates:,}"}
        outcome = results(bench.figures, targets(viewers))
        _show(outcome, about)
        say(f"written to {_save(home, bench.figures, about)}")
    finally:
        embedded.stop(home / "postgres")
        shutil.rmtree(home / "postgres")
    raise typer.Exit(0 if whole else 1)


def _measured(bench: Bench, viewers: int, events: int) -> bool:
    """Whether all was measured. An error is shown; what was measured before it is still worth a table."""
    from chromium import chromium  # noqa: PLC0415 (as above)

    from bench import ours, series  # noqa: PLC0415 (as above)
    from bench.page_watch import measure  # noqa: PLC0415 (as above)

    with bench.room("page") as room, ours.job(room, "job") as job, chromium() as browser:
        try:
            series.load_history(bench, room, job, 0, bench.sizes.many_dates)
            job.calm()
            measure(bench, room, job, browser, viewers=viewers, number=events)
        except Exception:  # noqa: BLE001 - as above
            traceback.print_exc()
            console.print(job.output[-_OUTPUT:], markup=False)
            return False
    return True


def say(text: str) -> None:
    """One line of progress, with the time of day."""
    console.print(f"{datetime.now().astimezone():%H:%M:%S} {text}")


def _show(outcome: Sequence[Result], about: dict[str, str]) -> None:
    table = Table(*HEADINGS, title="the live page")
    for row in lines(outcome):
        table.add_row(*row, style="red" if row[-1] == "missed" else "")
    console.print(table)
    console.print(", ".join(f"{name} {value}" for name, value in about.items()))


def _save(home: Path, figures: Figures, about: dict[str, str]) -> Path:
    path = home / f"page-{datetime.now(UTC):%Y%m%dT%H%M%S}.json"
    path.write_text(json.dumps({"about": about, "samples": figures.samples}, indent=1))
    return path


if __name__ == "__main__":
    app()
