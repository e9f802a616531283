"""One file after another into a quiet system: how long until another connection sees each."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psycopg2

from bench.data import FIRST_MODIFIED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from psycopg2.extensions import connection

WAIT_SECONDS = 240.0
LOOK_SECONDS = 0.002
_SPREAD = 0.2  # seconds added at random, so that the drops meet a trigger or a commit at every phase


@dataclass(frozen=True)
class Drop:
    """A file, and the query that has a row once its content is in the tables."""

    path: Path
    query: str
    parameters: tuple[Any, ...]


class Target(Protocol):
    """Where drops go: the job or a peer.

    rest: seconds from the moment a drop is visible to the next one, for
    what works on in the background. look: seconds between two looks for a drop.
    """

    uri: str
    rest: float
    look: float

    @property
    def leader(self) -> int:
        """The process that leads its session."""

    def prepare(self, path: Path) -> Callable[[], object]:
        """Makes all ready but the last step, which the returned function takes: a rename, a close, or PUT on S3."""

    def alive(self) -> bool:
        """Whether its process runs."""

    def settle(self) -> None:
        """Waits until all work for the drops so far is done."""


@dataclass(frozen=True)
class Pause:
    """Between the moment a drop is visible and the next one.

    rest: seconds; spread: up to so many more, at random; settle: whether the receipt is waited for, too.
    """

    rest: float
    spread: float = _SPREAD
    settle: bool = True


BACK_TO_BACK = Pause(0.1, 0.0, settle=False)


def drip(target: Target, drops: Iterable[Drop], warm_up: int, pause: Pause | None = None, seed: int = 1) -> list[float]:
    """The seconds from each last step to the moment its content is visible, without the first `warm_up` drops."""
    rng, pause = np.random.default_rng(seed), pause or Pause(target.rest)
    seconds = []
    visible = time.perf_counter()
    with observer(target.uri) as seen:
        for drop in drops:
            put = target.prepare(drop.path)
            time.sleep(max(0.0, visible + pause.rest - time.perf_counter()) + rng.uniform(0, pause.spread))
            started = time.perf_counter()
            put()
            await_seen(seen, drop, target)
            visible = time.perf_counter()
            seconds.append(visible - started)
            if pause.settle:
                target.settle()
    return seconds[warm_up:]


def await_seen(seen: Callable[[str, tuple[Any, ...]], bool], drop: Drop, target: Target) -> None:
    """Waits until a drop is visible. Raises TimeoutError as `await_true` does."""
    await_true(lambda: seen(drop.query, drop.parameters), drop.path.name, target.alive, look=target.look)


@contextlib.contextmanager
def observer(uri: str) -> Iterator[Callable[[str, tuple[Any, ...]], bool]]:
    """A function that tells on a connection of its own whether a query has a row; False while a table is not there."""
    with contextlib.closing(psycopg2.connect(uri)) as connected:
        connected.autocommit = True
        yield lambda query, parameters: _has_row(connected, query, parameters)


def _has_row(connected: connection, query: str, parameters: tuple[Any, ...]) -> bool:
    with connected.cursor() as cur:
        try:
            cur.execute(query, parameters)
        except (psycopg2.errors.UndefinedTable, psycopg2.errors.InvalidSchemaName):
            return False
        return bool(cur.fetchall())


def await_true(
    condition: Callable[[], object],
    what: str,
    alive: Callable[[], bool],
    *,
    look: float = LOOK_SECONDS,
    limit: float = WAIT_SECONDS,
) -> None:
    """Looks every `look` seconds until the condition holds. Raises TimeoutError after `limit` seconds or a death."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end or not alive():
            msg = f"waited in vain for {what}: " + ("it takes too long" if alive() else "the process has ended")
            raise TimeoutError(msg)
        time.sleep(look)


def renamed_into(folder: Path, path: Path, number: int) -> Callable[[], object]:
    """Links a file beside its target; the function returned renames it. `number`: its place in the order of arrival.

    It looks old, so it is whole for a reader that waits until a file was left alone.
    """
    hidden = folder / f".{path.name}.tmp"
    hidden.hardlink_to(path)
    os.utime(hidden, (FIRST_MODIFIED + number, FIRST_MODIFIED + number))
    return lambda: hidden.rename(folder / path.name)


def moved_into(folder: Path, path: Path, _number: int) -> Callable[[], object]:
    """A writer that writes to a hidden name, here and now; the function returned renames it."""
    hidden = folder / f".{path.name}.tmp"
    hidden.write_bytes(path.read_bytes())
    return lambda: hidden.rename(folder / path.name)


def written_into(folder: Path, path: Path, _number: int) -> Callable[[], object]:
    """A writer that writes the first half in place; the function returned writes the other one and closes the file."""
    content = path.read_bytes()
    half = len(content) // 2
    file = (folder / path.name).open("wb", buffering=0)
    file.write(content[:half])

    def end() -> None:
        with file:
            file.write(content[half:])

    return end
