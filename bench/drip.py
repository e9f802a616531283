"""One file after another into a quiet system: how long until another connection sees each."""

from __future__ import annotations

import contextlib
import functools
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import psycopg2

from bench.data import FIRST_MODIFIED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from psycopg2.extensions import connection

WAIT_SECONDS = 240.0
_LOOK_SECONDS = 0.002
_SPREAD = 0.2  # seconds added at random, so that the drops meet the trigger at every phase


@dataclass(frozen=True)
class Drop:
    """A file, and the query that has a row once its content is in the tables."""

    path: Path
    query: str
    parameters: tuple[Any, ...]


class Target(Protocol):
    """Where drops go: the job, the floor or the peer.

    rest: seconds from the moment a drop is visible to the next one, for what works on in the background.
    """

    uri: str
    rest: float

    def prepare(self, path: Path) -> Callable[[], object]:
        """Makes all ready but the last step, which the returned function takes: a rename, or PUT on S3."""

    def alive(self) -> bool:
        """Whether its process runs."""

    def settle(self) -> None:
        """Waits until all work for the drops so far is done."""


def drip(target: Target, drops: Sequence[Drop], warm_up: int, seed: int = 1) -> list[float]:
    """The seconds from each rename to the moment its content is visible, without the first `warm_up` drops."""
    rng = np.random.default_rng(seed)
    seconds = []
    visible = time.perf_counter()
    with observer(target.uri) as seen:
        for drop in drops:
            put = target.prepare(drop.path)
            time.sleep(max(0.0, visible + target.rest - time.perf_counter()) + rng.uniform(0, _SPREAD))
            started = time.perf_counter()
            put()
            show = functools.partial(seen, drop.query, drop.parameters)
            await_true(show, drop.path.name, target.alive)
            visible = time.perf_counter()
            seconds.append(visible - started)
            target.settle()
    return seconds[warm_up:]


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
    condition: Callable[[], object], what: str, alive: Callable[[], bool], *, look: float = _LOOK_SECONDS
) -> None:
    """Looks every `look` seconds until the condition holds. Raises TimeoutError after 240 s or a death."""
    end = time.monotonic() + WAIT_SECONDS
    while not condition():
        if time.monotonic() > end or not alive():
            msg = f"waited in vain for {what}: " + ("it takes too long" if alive() else "the process has ended")
            raise TimeoutError(msg)
        time.sleep(look)


def renamed_into(folder: Path, path: Path, number: int) -> Callable[[], Path]:
    """Links a file beside its target; the function returned renames it. `number`: its place in the order of arrival."""
    hidden = folder / f".{path.name}.tmp"
    hidden.hardlink_to(path)
    os.utime(hidden, (FIRST_MODIFIED + number, FIRST_MODIFIED + number))
    return lambda: hidden.rename(folder / path.name)
