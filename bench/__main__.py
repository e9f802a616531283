"""`python -m bench`: measures the job beside Pathway and beside polars + COPY, and prints the table."""

from __future__ import annotations

import shutil
import sys
import time
import traceback
from datetime import datetime
from pathlib import Path  # noqa: TC003 (typer reads the annotations)
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from bench import ROOT, another_commit, report
from bench.figures import Figures
from bench.peers import environment
from bench.peers.environment import UnavailableError
from bench.targets import results
from streaming.database import embedded

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.place import Bench

sys.path.insert(
    0, str(ROOT / "tests" / "support")
)  # the job as a process, databases and the S3 server are the tests' own

app = typer.Typer(add_completion=False)
console = Console(highlight=False)


def say(text: str) -> None:
    """One line of progress, with the time of day."""
    console.print(f"{datetime.now().astimezone():%H:%M:%S} {text}")


@app.command()
def main(
    *,
    quick: Annotated[bool, typer.Option(help="Only drips into an empty history and bulk 2 M.")] = False,
    rows: Annotated[int | None, typer.Option(help="Also bulk with so many rows.")] = None,
    only: Annotated[list[str] | None, typer.Option(help="Only this workload; may be given again.")] = None,
    against: Annotated[str | None, typer.Option(help="Also the CPU of drips over that of this commit.")] = None,
    repeats: Annotated[
        int | None, typer.Option(help="Repetitions of the short loads.", show_default="3, quick 1")
    ] = None,
    keep_going: Annotated[bool, typer.Option(help="Go on with the next workload after an error.")] = False,
    scale: Annotated[float, typer.Option(help="A fraction of all data, to try the bench itself.")] = 1.0,
    home: Annotated[Path, typer.Option(help="Folder for all data, and the results.", show_default="bench-home")] = ROOT
    / "bench-home",
) -> None:
    """Measures and prints the table. Exit code 1: an error, or tables differ."""
    from databases import Databases  # noqa: PLC0415 (only now on the path)

    from bench import first_start  # noqa: PLC0415 (as above)
    from bench.place import Bench, Sizes  # noqa: PLC0415 (as above)
    from bench.plan import WITH_PATHWAY, WORKLOADS, chosen  # noqa: PLC0415 (as above)

    try:
        names = chosen(only or [], rows, against, quick=quick)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None
    home = home.resolve()
    sizes = Sizes(rows_dates=rows // 200 if rows else None)
    sizes = sizes.quick() if quick else sizes
    sizes = sizes if scale == 1 else sizes.scaled(scale)
    notes: list[str] = []
    pathway = (
        had(notes, "Pathway", lambda: environment.python(home / ".venv-pathway")) if WITH_PATHWAY & set(names) else None
    )
    other = had(notes, against, lambda: another_commit.program(home, against)) if against else None
    uri = embedded.start(home / "postgres")
    bench = Bench(
        home, Databases(uri), sizes, Figures(), repeats or (1 if quick else 3), quick, say, pathway, other, notes
    )
    try:
        first_start.archived(bench, names)
        failed = _run(bench, [(name, WORKLOADS[name]) for name in names], keep_going=keep_going)
        outcome, about = results(bench.figures), report.about(uri)
        if scale != 1:
            about["scale"] = f"{scale:g} of all data: not what the titles say"
        report.show(console, bench, outcome, about)
        say(f"written to {report.save(bench, outcome, about)}")
    finally:
        embedded.stop(home / "postgres")
        shutil.rmtree(home / "postgres")
    raise typer.Exit(1 if failed else 0)


def had(notes: list[str], what: str, get: Callable[[], Path]) -> Path | None:
    """What stands beside the job, made ready before anything is measured; None, and a note, if it cannot be had."""
    say(f"{what} is made ready; the first time this takes minutes")
    try:
        return get()
    except UnavailableError as error:
        notes.append(f"{what} was not measured: {error}")
        say(notes[-1])
        return None


def _run(bench: Bench, workloads: list[tuple[str, Callable[[Bench], None]]], *, keep_going: bool) -> list[str]:
    failed = []
    for name, workload in workloads:
        say(f"{name} begins")
        started = time.monotonic()
        try:
            workload(bench)
        except Exception:  # noqa: BLE001 - shown; what was measured before it is still worth a table
            traceback.print_exc()
            failed.append(name)
            if not keep_going:
                break
        say(f"{name} ended after {time.monotonic() - started:.0f} s")
    return failed


if __name__ == "__main__":
    app()
