"""The environment of a peer that cannot share ours: made on demand, and anew if its pins change."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

REQUIREMENTS = Path(__file__).with_name("requirements.txt")
_READY = ".ready"
_LAST = 300


class UnavailableError(Exception):
    """A peer cannot be had; the text says why."""


def python(folder: Path, requirements: Path = REQUIREMENTS) -> Path:
    """The Python of the environment in this folder, which may take minutes. Raises UnavailableError.

    An environment counts as made once it holds the requirements that it was made from.
    """
    stamp, found, wanted = folder / _READY, folder / "bin" / "python", requirements.read_text()
    if stamp.exists() and stamp.read_text() == wanted:
        return found
    shutil.rmtree(folder, ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    _run(sys.executable, "-m", "venv", str(folder))
    _run(
        str(found), "-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--requirement", str(requirements)
    )
    stamp.write_text(wanted)
    return found


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - venv and pip
    if done.returncode:
        msg = f"{' '.join(command[1:4])} ended with {done.returncode}: {(done.stderr or done.stdout).strip()[-_LAST:]}"
        raise UnavailableError(msg)
