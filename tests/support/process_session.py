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
    """The processes of the session whose leader has, or had, this number, and what these have started elsewhere.

    One look at each process: the bench asks while it measures.
    """
    everyone = list(psutil.process_iter())
    found = {process.pid: process for process in everyone if _session(process.pid) == leader}
    children: dict[int, list[psutil.Process]] = {}
    for process in everyone:
        children.setdefault(_parent(process), []).append(process)
    new = list(found.values())
    while new:
        new = [child for process in new for child in children.get(process.pid, ()) if child.pid not in found]
        found |= {child.pid: child for child in new}
    return [process for process in found.values() if lives(process)]


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


def _parent(process: psutil.Process) -> int:
    try:
        return process.ppid()
    except psutil.NoSuchProcess:
        return 0


def _signal_each(processes: Iterable[psutil.Process], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)
