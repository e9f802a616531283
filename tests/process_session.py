"""All that a command has started in a session of its own, also what left its process group or outlives its parent."""

from __future__ import annotations

import contextlib
import os
import signal
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable


def living(leader: int) -> list[psutil.Process]:
    """The processes of the session whose leader has, or had, this number, and what these have started elsewhere."""
    found = {process for process in psutil.process_iter() if _session(process.pid) == leader}
    found |= {child for process in found for child in _children(process)}
    return [process for process in found if lives(process)]


def lives(process: psutil.Process) -> bool:
    """Whether it runs or is stopped; one that waits to be collected by its parent does not live."""
    try:
        return process.status() not in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return False


def freeze(leader: int) -> list[psutil.Process]:
    """Stops every process of a session in its tracks, as a suspended machine does; those that it stopped."""
    frozen: list[psutil.Process] = []
    while new := [process for process in living(leader) if process not in frozen]:
        _signal_each(new, signal.SIGSTOP)
        frozen += new
    return frozen


def wake(leader: int) -> None:
    """Lets a frozen session go on."""
    _signal_each(living(leader), signal.SIGCONT)


def kill(leader: int) -> list[psutil.Process]:
    """kill -9 of a session, frozen before so that nobody in it sees another one die; those that it killed."""
    killed = freeze(leader)
    _signal_each(killed, signal.SIGKILL)
    return killed


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return None


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _signal_each(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
