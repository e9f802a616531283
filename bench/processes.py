"""Peers as processes of their own, in sessions of their own, killed as a whole."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import process_session

from bench import ROOT
from bench.memory import Sampler

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_START_SECONDS = 120.0


def peer_load(database: str, files: Sequence[Path]) -> tuple[float, float]:
    """Seconds from the first file to COMMIT, and the peak of its memory in bytes. Raises RuntimeError."""
    told, peak = output_of([sys.executable, "-m", "bench.peer", "load", database, *map(str, files)])
    return json.loads(told.splitlines()[-1])["seconds"], peak


def output_of(command: Sequence[str]) -> tuple[str, float]:
    """What a command prints, and the peak of its memory in bytes. Raises RuntimeError if it fails."""
    with started(command) as process:
        with Sampler(process.pid, 0.25) as sampler:
            output, _ = process.communicate()
        if process.returncode:
            msg = f"{command[2]} ended with {process.returncode}: {output[-2000:]}"
            raise RuntimeError(msg)
        return output, sampler.peak.bytes


@contextlib.contextmanager
def following(command: Sequence[str], log: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """A peer that watches a folder, from when it says `ready` until the context ends. log: for its standard error."""
    with started(command, log) as process:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            told = "" if log is None else log.read_text(errors="replace")[-2000:]
            msg = f"{command[1:3]} did not start: {told}"
            raise RuntimeError(msg)
        yield process


@contextlib.contextmanager
def started(
    command: Sequence[str], log: Path | None = None, environment: dict[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    """A process in a session of its own, killed with it in the end. environment: None for that of this process."""
    with contextlib.ExitStack() as stack:
        errors = None if log is None else stack.enter_context(log.open("wb"))
        process = subprocess.Popen(  # noqa: S603 - our own modules
            command,
            cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors,
            text=True, start_new_session=True, env=environment,
        )  # fmt: skip
        try:
            yield process
        finally:
            process_session.kill(process.pid)
            process.wait(_START_SECONDS)
            if process.stdout is not None:
                process.stdout.close()
