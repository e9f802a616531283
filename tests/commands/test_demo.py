"""The demo's last words."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from streaming.commands import demo
from streaming.settings import load

if TYPE_CHECKING:
    import pytest


def test_the_last_commands_can_be_pasted(tmp_path: Path) -> None:
    """A shell takes them apart as they were meant, also in a folder with blanks and quotes."""
    home = tmp_path / "Bob's demo home"
    out = Console(record=True, width=40)
    demo._show_next_steps(load(environment=False, home=str(home)), out)  # noqa: SLF001 - the part without a job
    lines = out.export_text().splitlines()
    commands = [shlex.split(line) for line in lines if line.startswith("  ")]
    assert [command[1] for command in commands] == ["psql", "status", "receipts", "verify", "page"]
    assert all(command[2:4] == ["--home", str(home)] for command in commands)
    title, stocketl, *words = shlex.split(lines[-1])
    assert (title, Path(stocketl).name, words) == ("next:", "stocketl", ["run", "--home", f"{tmp_path}/stocketl-home"])


def test_each_step_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A reader sees which step it is, of how many, and how long it took."""
    steps = demo._Steps(Console(width=40))  # noqa: SLF001 - the part without a job
    steps.begin("Starting a PostgreSQL in a folder with a long name. Usually 1 to 5 s.")
    steps.end("It is up")
    assert capsys.readouterr().out.splitlines() == [
        "1 of 6: Starting a PostgreSQL in a folder with a long name. Usually 1 to 5 s.",
        "It is up after 0 s.",
    ]
    text = Path(demo.__file__).read_text(encoding="utf-8")
    assert text.count("steps.begin(") == demo._STEPS  # noqa: SLF001 - what the steps say of themselves
