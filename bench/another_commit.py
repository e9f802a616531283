"""The job of another commit: a worktree of it under the bench's folder, set up as its own Makefile does it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

from bench import ROOT
from bench.peers.environment import UnavailableError

if TYPE_CHECKING:
    from pathlib import Path

_LAST = 300


def program(folder: Path, commit: str) -> Path:
    """The installed `stocketl` of a commit, which may take minutes. Raises UnavailableError.

    The worktree `folder/against-<commit>` stays; `git worktree remove` frees its 2 GB.
    """
    number = _output("git", "rev-parse", "--short", "--verify", f"{commit}^{{commit}}")
    tree = folder / f"against-{number}"
    if not tree.exists():
        _output("git", "worktree", "prune")
        _output("git", "worktree", "add", "--detach", str(tree), number)
    _output("make", "-C", str(tree), "setup")
    return tree / ".venv" / "bin" / "stocketl"


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)  # noqa: S603 - git and make
    if done.returncode:
        told = (done.stderr or done.stdout).strip()[-_LAST:]
        msg = f"`{' '.join(command[:3])}` ended with {done.returncode}: {told}"
        raise UnavailableError(msg)
    return done.stdout.strip()
