"""A job among others' faults: its own PostgreSQL behind a proxy, a producer, a small disk, somebody who restarts it."""

from __future__ import annotations

import contextlib
import logging
import os
import random
import subprocess
import time
from typing import TYPE_CHECKING, Self

import psutil
from databases import Databases
from gauges import role
from job_process import Job, noise
from process_session import living
from producer import POISON, Producer
from tcp_proxy import TcpProxy

from streaming.database import embedded

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType

log = logging.getLogger(__name__)

_MOUNT, _UNMOUNT = ["/bin/mount", "-t", "tmpfs", "-o", "size=48m", "soak"], ["/bin/umount", "-l"]
_PLACES = ("checkpoint", "receipts", "success", "lake")
_POLL = 0.1


class World:
    """Starts with the job running. held: faults that last, each with what ends it; events: all that was done."""

    def __init__(self, folder: Path, server: Path, seed: int) -> None:
        self.home, self.server = folder / "home", server
        # one for the drops, one for whom a fault meets: the drops stay the same whatever processes there are
        drops, self.chance = (random.Random(f"{seed} {what}") for what in ("drops", "faults"))  # noqa: S311 (repeatable)
        self.database = Databases(embedded.start(server)).create(f"seed_{seed}")
        self.proxy = TcpProxy(self.database)
        self.producer = Producer(self.home / "input", drops)
        self.held: dict[str, Callable[[], None]] = {}
        self.events: list[str] = []
        self.jobs: list[Job] = []
        self._excused: set[int] = set()
        self._options = ["--max-batch-bytes", drops.choice(["8000", "40000", "192M"]), "--heartbeat-every", "1s"]
        self._options += ["--heartbeat", str(self.home / "control")]
        self._began = time.monotonic()
        self.disk = self._mounted(drops.choice(_PLACES))

    @property
    def job(self) -> Job:
        """The newest."""
        return self.jobs[-1]

    def told(self, what: str) -> None:
        """Keeps a line for whoever looks for the cause of a failure."""
        self.events.append(f"{time.monotonic() - self._began:6.1f} s  {what}")
        log.info("%s", self.events[-1])

    def start_job(self) -> None:
        """Another one; an older one may still run."""
        env = {"STOCKETL_FAULT": f"die:{POISON}"}
        self.jobs.append(Job(self.home, self.proxy.uri, *self._options, env=env))

    def excuse(self, job: Job) -> None:
        """Its end is the harness's own doing."""
        self._excused.add(job.pid)

    def tend(self) -> None:
        """Starts the job again if it was made to end; one that ended by itself fails the test."""
        if self.job.running:
            return
        code = self.job.wait_exit()
        assert self.job.pid in self._excused, f"the job ended by itself with exit code {code}:\n{self.job.output}"
        self.told(f"the job has ended with exit code {code} and is started again")
        self.start_job()

    def wait_for(self, what: str, condition: Callable[[], object], deadline: float) -> None:
        """Tends the job until the condition holds."""
        end = time.monotonic() + deadline
        while not condition():
            self.tend()
            assert time.monotonic() < end, f"waited {deadline} s in vain for {what}:\n{self.job.output}"
            time.sleep(_POLL)

    def processes(self, who: str) -> list[psutil.Process]:
        """Those of the newest job with this role, see `gauges.role`; oldest first."""
        found = []
        for process in living(self.job.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                if role(process, self.job.pid) == who:
                    found.append((process.create_time(), process.pid, process))
        return [process for _, _, process in sorted(found, key=lambda entry: entry[:2])]

    def signal(self, who: str, number: signal.Signals) -> bool:
        """Sends it to one process of this role, if there is any."""
        found = self.processes(who)
        if not found:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            self.chance.choice(found).send_signal(number)
        return True

    def stop_server(self, number: signal.Signals) -> None:
        """SIGINT: fast, SIGQUIT: immediate, which leaves the next start to recover."""
        postmaster = psutil.Process(int((self.server / "postmaster.pid").read_text().split()[0]))
        postmaster.send_signal(number)
        postmaster.wait(60)

    def start_server(self) -> None:
        """The database as it was left."""
        embedded.start(self.server)

    def fill_disk(self) -> None:
        """To the last byte."""
        with (self.home / self.disk / ".filler").open("wb", buffering=0) as filler:
            for size in (1 << 20, 4096, 1):
                with contextlib.suppress(OSError):
                    while filler.write(b"\0" * size):
                        pass

    def empty_disk(self) -> None:
        """Ends `fill_disk`."""
        (self.home / self.disk / ".filler").unlink(missing_ok=True)

    def noise(self) -> list[str]:
        """Stack traces that the jobs have shown on the terminal."""
        return [line for job in self.jobs for line in noise(job.output)]

    def heal(self) -> None:
        """Ends every fault that lasts."""
        for name in list(self.held):
            self.end(name)

    def end(self, name: str) -> None:
        """Ends one fault, if it lasts."""
        if (ending := self.held.pop(name, None)) is not None:
            ending()
            self.told(f"end of {name}")

    def _mounted(self, place: str) -> str | None:
        """One of the job's places on a small disk of its own; None if this user may not mount one."""
        folder = self.home / place
        folder.mkdir(parents=True)
        if os.geteuid() != 0:
            return None
        done = subprocess.run([*_MOUNT, str(folder)], check=False)
        return place if done.returncode == 0 else None

    def __enter__(self) -> Self:
        self.proxy.__enter__()
        self.start_job()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for job in self.jobs:
            job.kill()
        for name in list(self.held):
            with contextlib.suppress(Exception):
                self.held.pop(name)()
        self.proxy.__exit__(kind, error, trace)
        if self.disk is not None:
            subprocess.run([*_UNMOUNT, str(self.home / self.disk)], check=False)
