"""A folder for the Unix sockets of Java and Python's workers.

Over TCP each batch waits for delayed acknowledgements, 0.03 s of a drop's way to the tables. Spark's own default is the
folder of temporary files, which is emptied by age: a job of months would lose a socket that it still needs.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import os
import shutil
import socket
import tempfile
from pathlib import Path

from streaming.spark.wrappers import cache_folder

_NAME = f".{'0' * 36}.sock"
"""As long as the names that Spark gives."""
_LOCK = ".lock"
_held = list[int]()
"""The locks of this process. While one is held, no other process removes its folder."""


@functools.cache
def socket_folder() -> Path | None:
    """A folder of this process that only its user can enter; None if no socket can be made there (a long name).

    It goes when the next job starts.
    """
    every = cache_folder() / "sockets"
    try:
        every.mkdir(parents=True, exist_ok=True)
        for other in every.iterdir():
            _remove_if_dead(other)
        folder = Path(tempfile.mkdtemp(dir=every))
        _held.append(_locked(folder))
        with socket.socket(socket.AF_UNIX) as tried:
            tried.bind(str(folder / _NAME))
        (folder / _NAME).unlink()
    except OSError:
        return None
    return folder


def _locked(folder: Path) -> int:
    """Its descriptor. Raises BlockingIOError if a process that lives has it, perhaps one of another container."""
    lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        raise
    return lock


def _remove_if_dead(folder: Path) -> None:
    with contextlib.suppress(OSError):
        lock = _locked(folder)
        shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)
