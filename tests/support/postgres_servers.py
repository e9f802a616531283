"""PostgreSQL servers that a test promotes, stops and copies: the wheel's binaries, or those of another version."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path

from streaming.database import embedded

BIN = "POSTGRES_BIN"  # the variable with another version's folder of binaries: make test-postgres BIN=…


def binaries() -> Path:
    """The folder of the server programs that the tests run on."""
    return Path(os.environ.get(BIN) or embedded.psql_path().parent)


class PostgresServer:
    """One server in a folder of its own, reached by a Unix socket there; any role gets in without a password."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "data"
        self._folder = folder
        folder.mkdir(parents=True)
        # PostgreSQL refuses to run as root
        self._account = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._account:
            os.chown(folder, self._account.pw_uid, self._account.pw_gid)

    @property
    def uri(self) -> str:
        """The URI of its own database."""
        return f"postgresql://postgres@/postgres?host={self._folder}&port=5432"

    def initialise(self) -> None:
        """An empty cluster."""
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres", "--no-sync"]
        self._run("initdb", "-D", str(self.data), *options)

    def copy(self, primary: PostgresServer) -> None:
        """A standby of a running server, by pg_basebackup; it streams once it is started."""
        where = f"host={primary._folder} port=5432 user=postgres application_name={self._folder.name}"
        self._run("pg_basebackup", "-D", str(self.data), "-d", where, "-R", "-X", "stream", "-c", "fast", "--no-sync")

    def start(self, *settings: str) -> None:
        """Returns once it takes connections. settings: `name=value`."""
        chosen = [f"-c {setting}" for setting in ("listen_addresses=", "fsync=off", *settings)]
        options = " ".join([*chosen, "-p 5432", f"-k {self._folder}"])
        log = str(self._folder / "server.log")
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "300", "-l", log, "-o", options, "start")

    def promote(self) -> None:
        """Makes a standby the writer; returns once it is."""
        self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "300", "promote")

    def stop(self) -> None:
        """Cuts its sessions; nothing happens if it is not up."""
        if (self.data / "postmaster.pid").exists():
            self._run("pg_ctl", "-D", str(self.data), "-w", "-t", "300", "-m", "immediate", "stop")

    def remove(self) -> None:
        """Stops it and removes its folder."""
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str) -> None:
        owner = self._account
        done = subprocess.run(
            [str(binaries() / program), *arguments],
            cwd=self._folder,
            env={"LC_MESSAGES": "C", "PATH": os.environ["PATH"]},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            errors="replace",
            check=False,
            **({"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []} if owner else {}),
        )
        log = self._folder / "server.log"
        assert done.returncode == 0, (program, done.stdout, log.read_text()[-2000:] if log.exists() else "")
