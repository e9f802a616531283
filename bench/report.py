"""The table: on the terminal, as Markdown and as JSON."""

from __future__ import annotations

import contextlib
import importlib.metadata
import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import psutil
import psycopg2
from rich import box
from rich.table import Table

from bench import ROOT, picture
from bench.stages import STAGES
from bench.targets import MB, Judged, misses
from streaming.spark.java import java_home

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from rich.console import Console

    from bench.place import Bench
    from bench.targets import Result, Target

_PACKAGES = ("pyspark", "delta-spark", "pyarrow", "numpy", "polars", "psycopg2-binary")
_HEADINGS = ("measure", "ours", "beside", "ratio", "must", "aim", "verdict")
_UNITS = {
    "bytes": "bytes",
    "files": "",
    "java": "bytes",
    "listens": "",
    "lists": "",
    "memory": "bytes",
    "pathway-peak": "bytes",
    "peak": "bytes",
    "peer-peak": "bytes",
    "per-cell": "B",
    "python": "bytes",
    "sessions": "",
    "share": "share",
}  # by the last part of a figure's name; seconds where it is not here


def lines(outcome: list[Result]) -> list[tuple[str, ...]]:
    """The table's cells as text."""
    return [
        (
            result.target.title,
            shown(result.target.figure, result.ours),
            shown(result.target.figure, result.beside),
            "" if result.ratio is None else f"{result.ratio:.2f} x",
            limit(result.target, result.target.must),
            limit(result.target, result.target.aim),
            result.verdict,
        )
        for result in outcome
    ]


def show(console: Console, bench: Bench, outcome: list[Result], about: dict[str, str]) -> None:
    """Both tables, the rows that miss their must, what it ran on."""
    console.print(_table("ours, what stands beside it, and the targets", [_HEADINGS, *lines(outcome)]))
    if any(bench.stages.values()):
        console.print(_table("where the time of a batch goes", _stage_table(bench)))
    for line in [*misses(outcome), *bench.notes]:
        console.print(line)
    console.print(", ".join(f"{name} {value}" for name, value in about.items()))


def save(bench: Bench, outcome: list[Result], about: dict[str, str]) -> Path:
    """Writes `results-<time>.json`, `time-of-a-batch.svg` and `results.md`; the path of the latter."""
    now = datetime.now(UTC)
    content = {"about": about, "samples": bench.figures.samples, "stages": bench.stages}
    (bench.folder / f"results-{now:%Y%m%dT%H%M%S}.json").write_text(json.dumps(content, indent=1))
    text = [_row(_HEADINGS), _row("---" for _ in _HEADINGS), *(_row(row) for row in lines(outcome))]
    if any(bench.stages.values()):
        headings, *rows = _stage_table(bench)
        text += ["", _row(headings), _row("---" for _ in headings), *map(_row, rows)]
    if drawn := picture.bars(bench.figures, bench.stages):
        (bench.folder / "time-of-a-batch.svg").write_text(picture.svg(drawn))
    text += ["", *(f"- {line}" for line in [*misses(outcome), *bench.notes]), ""]
    text += [f"{now:%Y-%m-%d}: " + ", ".join(f"{name} {value}" for name, value in about.items()), ""]
    path = bench.folder / "results.md"
    path.write_text("\n".join(text))
    return path


def about(server: str) -> dict[str, str]:
    """Versions, the machine's size, the commit."""
    with contextlib.closing(psycopg2.connect(server)) as connection:
        version = connection.server_version
    java = subprocess.run([java_home() / "bin" / "java", "-version"], capture_output=True, text=True, check=True)  # noqa: S603
    return {
        "Python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
        "PostgreSQL": f"{version // 10_000}.{version % 10_000}",
        "Java": java.stderr.split('"')[1],
        "cores": str(os.cpu_count()),
        "memory": f"{psutil.virtual_memory().total / 1024**3:.0f} GB",
        "commit": _commit(),
    }


def _table(title: str, rows: list[tuple[str, ...]]) -> Table:
    table = Table(title=title, box=box.SIMPLE, padding=0, collapse_padding=True)
    for number, heading in enumerate(rows[0]):
        table.add_column(heading, justify="right" if number else "left", overflow="fold")
    for row in rows[1:]:
        table.add_row(*row, style="red" if row[-1] == "missed" else "")
    return table


def _commit() -> str:
    git = ["git", "-C", str(ROOT)]
    head = subprocess.run([*git, "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S603
    changed = subprocess.run([*git, "status", "--porcelain"], capture_output=True, text=True, check=False)  # noqa: S603
    return (head.stdout.strip() or "unknown") + (" and changes" if changed.stdout.strip() else "")


def shown(figure: str, value: float | None) -> str:
    """A figure in its unit, which the last part of its name tells."""
    if value is None:
        return ""
    unit = _UNITS.get(figure.rpartition(".")[2], "s")
    if unit == "bytes":
        return f"{value / MB:,.2f} MB" if value < 10 * MB else f"{value / MB:,.0f} MB"
    if unit == "share":
        return f"{value:.1%}"
    return f"{value:.3f} {unit}".strip() if value < 1 else f"{value:,.2f} {unit}".strip()


def limit(target: Target, number: float | None) -> str:
    """A limit of a row, in the unit of what it is for."""
    if number is None:
        return ""
    if target.judged is Judged.RATIO:
        return f"{number:.3g} x"
    if target.judged is Judged.DIFFERENCE:
        return f"+{number:g} s"
    return shown(target.figure, number)


def _stage_table(bench: Bench) -> list[tuple[str, ...]]:
    """Headings, then mean seconds by stage for each workload that has them."""
    told = {name: seconds for name, seconds in bench.stages.items() if seconds}
    names = [name for name in STAGES.values() if any(name in seconds for seconds in told.values())]
    rows = [
        (workload, *(f"{seconds[name]:.3f}" if name in seconds else "" for name in names))
        for workload, seconds in told.items()
    ]
    return [("seconds of a batch", *names), *rows]


def _row(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cells) + " |"
