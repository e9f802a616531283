"""The job and the peers as targets of drops: each a process of its own that watches a folder."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from job_process import Job

from bench.drip import LOOK_SECONDS, await_true, observer, renamed_into
from bench.memory import await_calm
from bench.processes import following

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Sequence

    from bench.place import Room

_LOOK_SECONDS, _LOOK_SECONDS_IN_SWARM = 0.01, 0.1
_SWARM = 1_000  # files; to list as many receipts a hundred times a second would take a core
_LOAD_SECONDS = 1800.0
COMMAND = Path(sys.executable).with_name("stocketl")

Writer = Callable[[Path, Path, int], Callable[[], object]]
"""Of a file into a folder, with its place in the order of arrival; it returns the last step."""


@dataclass
class Ours:
    """A job (None: not started yet), its home and database, the files that it was given, in order.

    writer: how a file comes into the input.
    """

    job: Job | None
    home: Path
    uri: str
    files: list[Path] = field(default_factory=list)
    rest: float = 1.0
    look: float = LOOK_SECONDS
    writer: Writer = renamed_into

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
        return self.process.pid

    @property
    def output(self) -> str:
        """What it has printed so far."""
        return self.process.output

    def prepare(self, path: Path) -> Callable[[], object]:
        """See `bench.drip.Target`."""
        self.files.append(path)
        return self.writer(self.home / "input", path, len(self.files))

    def alive(self) -> bool:
        """See `bench.drip.Target`."""
        return self.process.running

    def settle(self) -> None:
        """Until every file given has been moved by its receipt."""
        self._await("SELECT 1 FROM stocketl.receipts HAVING count(moved_at) >= %s", len(self.files))

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
    """A peer; it moves nothing and writes no receipts. files: those that it was given."""

    process: subprocess.Popen[str]
    folder: Path
    uri: str
    rest: float = 0.05
    look: float = LOOK_SECONDS
    files: list[Path] = field(default_factory=list)

    @property
    def leader(self) -> int:
        """Its process id."""
        return self.process.pid

    def prepare(self, path: Path) -> Callable[[], object]:
        """See `bench.drip.Target`."""
        self.files.append(path)
        return renamed_into(self.folder, path, len(self.files))

    def alive(self) -> bool:
        """See `bench.drip.Target`."""
        return self.process.poll() is None

    def settle(self) -> None:
        """What is visible is all there is."""


@contextlib.contextmanager
def job(
    room: Room, name: str, *options: str, env: dict[str, str] | None = None, settle: str | None = "0"
) -> Iterator[Ours]:
    """A fresh home and a fresh database, a job that watches the home's input. settle: None for the default."""
    home, uri = room.folder / name, room.create()
    (home / "input").mkdir(parents=True)
    with started(home, uri, options=options, env=env, settle=settle) as ours:
        yield ours


@contextlib.contextmanager
def started(
    home: Path,
    uri: str,
    files: Sequence[Path] = (),
    options: Sequence[str] = (),
    *,
    env: dict[str, str] | None = None,
    settle: str | None = "0",
    program: Path = COMMAND,
) -> Iterator[Ours]:
    """A job on a home that got these files before, once it watches its input."""
    home = home.resolve()  # it starts there, not in the project's folder, whose code another commit would run
    given = ("--log-format", "json", *options)
    with Job(home, uri, *given, env=env, settle=settle, program=str(program), folder=home) as running:
        running.wait_for("the query", lambda: '"watching ' in running.output)
        yield Ours(running, home, uri, list(files))


@contextlib.contextmanager
def peer(room: Room, name: str) -> Iterator[Follower]:
    """The loop of polars + COPY on a folder of its own."""
    folder, uri = room.folder / name, room.create()
    folder.mkdir(parents=True)
    with following([sys.executable, "-m", "bench.peer", "follow", uri, str(folder)]) as process:
        yield Follower(process, folder, uri)


def _receipts(home: Path) -> int:
    try:
        with os.scandir(home / "receipts") as entries:
            return sum(entry.name.endswith(".json") and entry.name[0] != "." for entry in entries)
    except FileNotFoundError:
        return 0
