"""The peer and the floor as processes of their own, in sessions of their own, killed as a whole."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
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
    with _started("bench.peer", "load", database, *map(str, files)) as process:
        with Sampler(process.pid, 0.25) as sampler:
            output, _ = process.communicate()
        if process.returncode:
            msg = f"the peer ended with {process.returncode}: {output[-2000:]}"
            raise RuntimeError(msg)
        return json.loads(output.splitlines()[-1])["seconds"], sampler.peak.bytes


@contextlib.contextmanager
def following(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """`bench.peer follow …` or `bench.floor …`, from when it says `ready` until the context ends."""
    with _started(module, *arguments) as process:
        if process.stdout is None or process.stdout.readline().strip() != "ready":
            time.sleep(1)
            msg = f"{module} did not start: {arguments}"
            raise RuntimeError(msg)
        yield process


@contextlib.contextmanager
def _started(module: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process_session.kill(process.pid)
        process.wait(_START_SECONDS)
        if process.stdout is not None:
            process.stdout.close()
