"""A standalone Spark cluster on this machine: one master and workers, each with processes of its own."""

from __future__ import annotations

import os
import re
import subprocess
import time
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Self

import process_session

from streaming.spark.java import java_home

if TYPE_CHECKING:
    from types import TracebackType

DEADLINE = 900.0  # seconds, so that what hangs ends: on a busy machine each step may take minutes
SPARK_HOME = Path(str(resources.files("pyspark")))
_MASTER = re.compile(r"spark://127\.0\.0\.1:\d+")


class Standalone:
    """The cluster while the context lasts; each worker has one core and 1 GiB.

    env: of the workers and so of the executors. url: of the master, for spark-submit.
    """

    def __init__(self, folder: Path, env: dict[str, str], workers: int) -> None:
        self._folder = folder
        self._env = {**env, "JAVA_HOME": str(java_home()), "SPARK_HOME": str(SPARK_HOME), "SPARK_NO_DAEMONIZE": "1"}
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._workers = workers

    def __enter__(self) -> Self:
        self._start("master", "org.apache.spark.deploy.master.Master", "--port", "0")
        self.url = self._wait("master", _MASTER)
        for number in range(self._workers):
            self.start_worker(number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in list(self._processes):
            self._kill(name)

    def start_worker(self, number: int) -> None:
        """A new worker under this number, registered at the master."""
        name = f"worker-{number}"
        (self._folder / f"{name}.log").unlink(missing_ok=True)
        work = ("--cores", "1", "--memory", "1g", "--work-dir", str(self._folder / name))
        self._start(name, "org.apache.spark.deploy.worker.Worker", *work, self.url)
        self._wait(name, re.compile("Successfully registered with master"))

    def worker_of(self, pid: int) -> int:
        """Which worker this process belongs to."""
        leader = os.getsid(pid)
        return next(int(name[-1]) for name, process in self._processes.items() if process.pid == leader)

    def kill_worker(self, number: int) -> None:
        """kill -9 of the worker, its executor and the executor's Python processes."""
        self._kill(f"worker-{number}")

    def _start(self, name: str, main: str, *arguments: str) -> None:
        address = ("--host", "127.0.0.1", "--webui-port", "0")
        with (self._folder / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                [SPARK_HOME / "bin" / "spark-class", main, *address, *arguments],
                cwd=self._folder,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def _wait(self, name: str, pattern: re.Pattern[str]) -> str:
        log, end = self._folder / f"{name}.log", time.monotonic() + DEADLINE
        while (found := pattern.search(log.read_text(errors="replace"))) is None:
            assert self._processes[name].poll() is None, f"{name} ended:\n{log.read_text(errors='replace')}"
            assert time.monotonic() < end, f"{name} does not start:\n{log.read_text(errors='replace')}"
            time.sleep(0.05)
        return found[0]

    def _kill(self, name: str) -> None:
        process = self._processes.pop(name)
        process_session.kill(process.pid)
        process.wait(DEADLINE)
