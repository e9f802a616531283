"""`stocketl run` as a real process tree: started, watched, killed, frozen and stopped the way the world does it."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import process_session
import psutil

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

DEADLINE = 900.0  # seconds, so that what hangs ends: a start takes seven on two idle cores, and minutes on busy ones
_POLL = 0.05
_COMMAND = [str(Path(sys.executable).with_name("stocketl"))]
_NOISE = re.compile(r"Traceback|^\s+at \S+\(|Exception in thread|py4j|\bWARN\b|KeyboardInterrupt", re.IGNORECASE)
FIRST_DROP = 1_700_000_000  # a fixed time of modification, so that order and ledger are the same in each run


class Job:
    """A running `stocketl run`; leaving the context kills what is left of it.

    program: another installed `stocketl`; folder: where it is started. Python finds modules in this folder first.
    """

    def __init__(
        self,
        home: Path,
        database: str,
        *options: str,
        env: dict[str, str] | None = None,
        settle: str | None = "0.1",
        program: str = _COMMAND[0],
        folder: Path | None = None,
    ) -> None:
        home.mkdir(parents=True, exist_ok=True)
        number = len(list(home.parent.glob(f"{home.name}-*.out")))
        self._output = home.parent / f"{home.name}-{number}.out"
        settled = [] if settle is None else ["--settle", settle]
        arguments = ["run", "--home", str(home), "--database", database, *settled, *options]
        with self._output.open("wb") as sink:
            self._process = subprocess.Popen(
                [program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=clean_environment() | (env or {}),
                start_new_session=True,
            )
        self.home = home

    @property
    def output(self) -> str:
        """What the terminal would show so far, standard output and error together."""
        return self._output.read_text(errors="replace")

    @property
    def pid(self) -> int:
        """Of the command: the leader of the session in which all runs."""
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the command has not ended."""
        return self._process.poll() is None

    def wait_for(self, what: str, condition: Callable[[], object], deadline: float = DEADLINE) -> None:
        """Polls until the condition holds; fails at the deadline or when the job ends before."""
        end = time.monotonic() + deadline
        while not condition():
            assert self.running or condition(), f"the job ended while waiting for {what}:\n{self._told()}"
            assert time.monotonic() < end, f"waited {deadline} s in vain for {what}:\n{self._told()}"
            time.sleep(_POLL)

    def wait_exit(self, deadline: float = DEADLINE) -> int:
        """The exit code; fails where the command has not ended by the deadline (seconds)."""
        try:
            return self._process.wait(deadline)
        except subprocess.TimeoutExpired:
            msg = f"the job did not end within {deadline} s:\n{self._told()}"
            raise AssertionError(msg) from None

    def has_started(self, program: str) -> bool:
        """Whether a process of the tree has this in its name."""
        return bool(self.processes(program))

    def processes(self, program: str) -> list[psutil.Process]:
        """Those of the tree that have this in their name."""
        found = []
        for process in process_session.living(self._process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                if program in process.name():
                    found.append(process)
        return found

    def kill(self) -> None:
        """kill -9 of the whole tree, as if the machine had gone: nobody in it sees another one die."""
        killed = process_session.kill(self._process.pid)
        self._process.wait(DEADLINE)
        end = time.monotonic() + DEADLINE
        while left := [process for process in killed if process_session.lives(process)]:
            assert time.monotonic() < end, f"these do not die: {left}"
            time.sleep(_POLL)

    def wait_gone(self, deadline: float = 60.0) -> None:
        """Fails where something that the command started still runs so long after its end (seconds)."""
        end = time.monotonic() + deadline
        while left := process_session.living(self._process.pid):
            assert time.monotonic() < end, f"still running: {left}"
            time.sleep(_POLL)

    def freeze(self) -> None:
        """Stops every process of the tree in its tracks, as a suspended machine does."""
        process_session.freeze(self._process.pid)

    def wake(self) -> None:
        """Lets a frozen tree go on."""
        process_session.wake(self._process.pid)

    def terminate(self) -> None:
        """SIGTERM to the command, as `kill` and service managers send it."""
        self._process.terminate()

    def interrupt(self) -> None:
        """Ctrl-C: the terminal sends SIGINT to every process of the foreground group."""
        self.signal_group(signal.SIGINT)

    def signal_group(self, number: signal.Signals) -> None:
        """A signal to every process of the command's group, as a terminal, a shell or a CI sends it."""
        os.killpg(self._process.pid, number)

    def signal_everything(self, number: signal.Signals) -> None:
        """A signal to all that the command has started, as service managers and containers send it."""
        for process in process_session.living(self._process.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def started(self, program: str) -> psutil.Process:
        """The process of the tree that has this name, now; fails if there is none."""
        return next(process for process in process_session.living(self._process.pid) if process.name() == program)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()

    def _told(self) -> str:
        log = self.home / "logs" / "spark.log"
        tail = log.read_text(errors="replace").splitlines()[-60:] if log.exists() else []
        return "\n".join([self.output, "--- end of spark.log:", *tail])


def run_once(home: Path, database: str, *options: str, env: dict[str, str] | None = None) -> str:
    """Loads what is there with `--once`; the output. Fails unless it ends by itself with exit code 0."""
    code, output = try_once(home, database, *options, env=env)
    assert code == 0, output
    return output


def try_once(home: Path, database: str, *options: str, env: dict[str, str] | None = None) -> tuple[int, str]:
    """The exit code and the output of a run with `--once`, which must end by itself."""
    with Job(home, database, "--once", *options, env=env) as job:
        return job.wait_exit(), job.output


def kill_at(
    point: str, marker: Path, home: Path, database: str, *options: str, env: dict[str, str] | None = None
) -> Job:
    """Starts a run with `--once`, waits until it has reached the point, kills it there: the marker is the proof."""
    fault = {"STOCKETL_FAULT": f"{point}:{marker}"}
    with Job(home, database, "--once", *options, env=(env or {}) | fault) as job:
        job.wait_for(f"the point {point}", lambda: marker.exists() and marker.read_text())
        job.kill()
    assert marker.read_text().split()[0] == point
    assert job.wait_exit() == -signal.SIGKILL
    return job


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Another `stocketl` command, to its end."""
    return subprocess.run(
        [*_COMMAND, *arguments], env=clean_environment(), capture_output=True, text=True, timeout=DEADLINE, check=False
    )


def on_terminal(*arguments: str) -> tuple[int, str]:
    """The exit code of a command that a person has started, and what the terminal shows."""
    terminal, command_side = pty.openpty()
    with subprocess.Popen(
        [*_COMMAND, *arguments],
        stdin=command_side,
        stdout=command_side,
        stderr=command_side,
        env=clean_environment(),
        start_new_session=True,
    ) as process:
        os.close(command_side)
        shown = b""
        with contextlib.suppress(OSError):  # EIO: nobody holds the other side any more
            while more := os.read(terminal, 65_536):
                shown += more
        os.close(terminal)
        return process.wait(DEADLINE), shown.decode().replace("\r\n", "\n")


def assert_superseded(job: Job) -> None:
    """It has ended by itself, and says in plain words that a newer one took over."""
    assert job.wait_exit() not in {0, -signal.SIGTERM, -signal.SIGKILL}, job.output
    assert re.search("newer|another job|took over|superseded", job.output), job.output
    assert noise(job.output) == []


def noise(output: str) -> list[str]:
    """Lines that no person should see: stack traces of Python and Java, Spark's chatter."""
    return [line for line in output.splitlines() if _NOISE.search(line)]


def drop(folder: Path, name: str, content: bytes, number: int | None = None) -> Path:
    """Puts a file into a folder as a producer does: written under another name, then renamed.

    number: its place in the order of modification times, all of them long past; None = now.
    """
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.tmp")
    partial.write_bytes(content)
    if number is not None:
        os.utime(partial, (FIRST_DROP + number, FIRST_DROP + number))
    return partial.rename(target)


def clean_environment() -> dict[str, str]:
    """This process's environment without settings of the job."""
    return {name: value for name, value in os.environ.items() if not name.startswith("STOCKETL_")}
