"""The job, the floor and the peer as targets of drops: each a process of its own that watches a folder."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psycopg2
from job_process import Job

from bench.drip import await_true, observer, renamed_into
from bench.memory import await_calm
from bench.processes import following

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from bench.place import Room

_LOOK_SECONDS, _LOOK_SECONDS_IN_SWARM = 0.01, 0.1
_SWARM = 1_000  # files; to list as many receipts a hundred times a second would take a core
_LOAD_SECONDS = 1800.0


@dataclass
class Ours:
    """A job with settle 0 (None: not started yet), its home and database, the files that it was given, in order."""

    job: Job | None
    home: Path
    uri: str
    files: list[Path] = field(default_factory=list)
    rest: float = 1.0

    @property
    def process(self) -> Job:
        """The command. Raises RuntimeError if it was not started."""
        if self.job is None:
            msg = f"no job runs on {self.home}"
            raise RuntimeError(msg)
        return self.job

    @property
    def leader(self) -> int:
        """The process id of the command."""
        return self.process._process.pid  # noqa: SLF001 (the tests have no other use for it)

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.process.output

    def prepare(self, path: Path) -> Callable[[], object]:
        """See `bench.drip.Target`."""
        self.files.append(path)
        return renamed_into(self.home / "input", path, len(self.files))

    def alive(self) -> bool:
        """See `bench.drip.Target`."""
        return self.process.running

    def settle(self) -> None:
        """Until every file given has been moved by its receipt."""
        self._await("SELECT 1 FROM stocketl.receipts HAVING count(moved_at) >= %s", len(self.files))

    def await_batch(self, batch: int) -> None:
        """Until the ledger has this batch."""
        self._await("SELECT 1 FROM stocketl.batches WHERE batch_id >= %s AND committed_at IS NOT NULL", batch)

    def batches(self) -> int:
        """How many batches the ledger has."""
        with contextlib.closing(psycopg2.connect(self.uri)) as connection, connection.cursor() as cur:
            cur.execute("SELECT count(*) FROM stocketl.batches WHERE committed_at IS NOT NULL")
            return sum(count for (count,) in cur.fetchall())

    def calm(self) -> None:
        """Waits until nothing runs in the background any more: the lake has all that the tables have."""
        await_calm(self.leader)

    def kill(self) -> None:
        """Ends the whole tree with kill -9."""
        self.process.kill()

    def load(self, files: Sequence[Path]) -> float:
        """Renames all files into the input at once; seconds from the first rename to the last receipt."""
        puts = [self.prepare(path) for path in files]
        pause = _LOOK_SECONDS if len(files) < _SWARM else _LOOK_SECONDS_IN_SWARM
        started = time.perf_counter()
        for put in puts:
            put()
        while _receipts(self.home) < len(self.files):
            if not self.process.running or time.perf_counter() - started > _LOAD_SECONDS:
                msg = f"the job did not load {len(files)} files:\n{self.output[-4000:]}"
                raise RuntimeError(msg)
            time.sleep(pause)
        seconds = time.perf_counter() - started
        self.settle()
        return seconds

    def _await(self, query: str, number: int) -> None:
        with observer(self.uri) as seen:
            await_true(lambda: seen(query, (number,)), f"{query} with {number}", self.alive, look=_LOOK_SECONDS)


@dataclass
class Follower:
    """The floor or the peer; it moves nothing and writes no receipts."""

    process: subprocess.Popen[str]
    folder: Path
    uri: str
    commits: Path | None = None
    given: int = 0
    rest: float = 0.05

    def prepare(self, path: Path) -> Callable[[], Path]:
        """See `bench.drip.Target`."""
        self.given += 1
        return renamed_into(self.folder, path, self.given)

    def alive(self) -> bool:
        """See `bench.drip.Target`."""
        return self.process.poll() is None

    def settle(self) -> None:
        """The floor: until Spark has committed the batch."""
        if self.commits is not None:
            await_true((self.commits / str(self.given - 1)).exists, "Spark's commit", self.alive)


@contextlib.contextmanager
def job(room: Room, name: str, *options: str, env: dict[str, str] | None = None) -> Iterator[Ours]:
    """A fresh home and a fresh database, a job that watches the home's input."""
    home, uri = room.folder / name, room.create()
    (home / "input").mkdir(parents=True)
    with started(home, uri, options=options, env=env) as ours:
        yield ours


@contextlib.contextmanager
def started(
    home: Path, uri: str, files: Sequence[Path] = (), options: Sequence[str] = (), env: dict[str, str] | None = None
) -> Iterator[Ours]:
    """A job on a home that got these files before, once it watches its input."""
    with Job(home, uri, "--settle", "0", "--log-format", "json", *options, env=env) as running:
        running.wait_for("the query", lambda: '"watching ' in running.output)
        yield Ours(running, home, uri, list(files))


@contextlib.contextmanager
def floor(room: Room, name: str) -> Iterator[Follower]:
    """The floor on a home of its own."""
    home, uri = room.folder / name, room.create()
    with following("bench.floor", str(home), uri) as process:
        yield Follower(process, home / "input", uri, home / "checkpoint" / "commits")


@contextlib.contextmanager
def peer(room: Room, name: str) -> Iterator[Follower]:
    """The peer's polling loop on a folder of its own."""
    folder, uri = room.folder / name, room.create()
    folder.mkdir(parents=True)
    with following("bench.peer", "follow", uri, str(folder)) as process:
        yield Follower(process, folder, uri)


def _receipts(home: Path) -> int:
    try:
        with os.scandir(home / "receipts") as entries:
            return sum(entry.name.endswith(".json") and entry.name[0] != "." for entry in entries)
    except FileNotFoundError:
        return 0
