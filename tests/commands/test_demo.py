"""The demo's last words."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from rich.console import Console

from streaming.commands import demo
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path


def test_the_last_commands_can_be_pasted(tmp_path: Path) -> None:
    """A shell takes them apart as they were meant, also in a folder with blanks and quotes."""
    home = tmp_path / "Bob's demo home"
    out = Console(record=True, width=40)
    demo._show_next_steps(load(environment=False, home=str(home)), out)  # noqa: SLF001 - the part without a job
    commands = [shlex.split(line) for line in out.export_text().splitlines() if line.startswith("  ")]
    assert [command[1] for command in commands] == ["psql", "status", "receipts", "verify"]
    assert all(command[2:4] == ["--home", str(home)] for command in commands)
