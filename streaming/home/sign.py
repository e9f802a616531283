"""The sign of life that a job leaves in its home: who runs, since when, what it waits for now.

Two small files. `.job.lock` is locked for as long as the job lives. However the process ends, the system frees the
lock, so a process id that another program has by now deceives nobody. `.job.json` says who holds the lock, and is
written again every few seconds. Both work while the database is down.

Delivery: none is promised. If the home cannot be written, the job gives a warning and goes on without the sign.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import logging
import os
import socket
import struct
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from streaming import waiting
from streaming.settings import given_options

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from streaming.settings import Settings

LOCK, DOCUMENT = ".job.lock", ".job.json"
EVERY_SECONDS = 5.0

_PLACES = ("input", "success", "failed", "receipts", "checkpoint", "lake", "heartbeat")
_TYPES = {"process_id": int, "host": str, "home": str, "database": str, "started_at": str, "seen_at": str}
_WAIT = {"what", "seconds", "tries", "reason"}
_FLOCK = "hhqqi4x"  # struct flock of Linux on 64 bits: type, whence, start, length, process

log = logging.getLogger(__name__)


def own_name() -> str:
    """This process as the database lists it: the end of the application_name of a job's sessions."""
    return name_of(os.getpid(), socket.gethostname())


def name_of(process_id: int, host: str) -> str:
    """A job's process, short enough for an application_name (63 bytes) with something before it."""
    return f"{process_id}@{host[:32]}"


@contextlib.contextmanager
def sign_of_life(settings: Settings) -> Iterator[None]:
    """Says in the home that this process is its job, until the block ends."""
    try:
        settings.home.mkdir(parents=True, exist_ok=True)
        handle = os.open(settings.home / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        log.warning("`stocketl status` cannot find this job by its home: %s", error)
        yield
        return
    ended = threading.Event()
    writer = _Writer(settings, ended)
    try:
        with contextlib.suppress(OSError):  # a file system without locks: the document alone remains
            # shared: a job that takes over holds it beside the job that ends
            fcntl.fcntl(handle, fcntl.F_OFD_SETLK, _flock(fcntl.F_RDLCK))
        writer.start()
        yield
    finally:
        ended.set()
        writer.join()
        os.close(handle)


def read_document(home: Path) -> dict[str, Any] | None:
    """What the last job of this home wrote last; None if that is not whole. Raises OSError if it may not be read."""
    try:
        document = json.loads((home / DOCUMENT).read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    return document if isinstance(document, dict) and _is_whole(document) else None


def is_locked(home: Path) -> bool | None:
    """Whether a living job holds the lock of this home; None if the file system has no locks. Raises OSError."""
    try:
        handle = os.open(home / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return False
    try:
        found = fcntl.fcntl(handle, fcntl.F_OFD_GETLK, _flock(fcntl.F_WRLCK))
    except OSError:
        return None
    finally:
        os.close(handle)
    return bool(struct.unpack(_FLOCK, found)[0] != fcntl.F_UNLCK)


def as_last_run(settings: Settings, named: Collection[str] = ()) -> Settings:
    """The settings, with the place that the last job of this home used wherever none is given.

    What lay in the home is looked for in the home, which may have been moved since. named: settings that were given,
    whatever their value is.
    """
    with contextlib.suppress(OSError):
        told = read_document(settings.home) or {}
        before = f"{told.get('home')}/"
        given = {name for name in _PLACES if getattr(settings, name) not in {None, str(settings.home / name)}}
        left = set(_PLACES) - given - set(named)
        places = {name: told[name] for name in _PLACES if name in left and isinstance(told.get(name), str)}
        moved = {
            name: str(settings.home / place[len(before) :])
            for name, place in places.items()
            if place.startswith(before)
        }
        without = {"lake": None} if "lake" in left and told.get("lake", "") is None else {}
        return settings.model_copy(update=places | moved | without)
    return settings


class _Writer(threading.Thread):
    """Writes the document now, then every few seconds, and a last time with `ended_at`."""

    def __init__(self, settings: Settings, ended: threading.Event) -> None:
        super().__init__(name="sign of life", daemon=True)
        self._home = settings.home
        self._ended = ended
        self._told = False
        self._facts = {
            "process_id": os.getpid(),
            "host": socket.gethostname(),
            "home": str(settings.home),
            "database": settings.shown_database,
            **{name: getattr(settings, name) for name in _PLACES},
            "input": _input(settings),
            "options": given_options(settings),
            "started_at": _now(),
        }

    def run(self) -> None:
        """Until the event is set."""
        self._write({})
        while not self._ended.wait(EVERY_SECONDS):
            self._write({})
        self._write({"ended_at": _now()})

    def _write(self, more: dict[str, object]) -> None:
        waits = [vars(held) for held in waiting.under_way()]
        document = self._facts | {"seen_at": _now(), "waits": waits} | more
        try:
            if more and (read_document(self._home) or {}).get("process_id") != os.getpid():
                return  # a job that took over writes it now
            self._put(json.dumps(document, default=str).encode())
        except OSError as error:
            if not self._told:
                log.warning("no sign of life can be left in %s: %s", self._home, error)
            self._told = True
        else:
            self._told = False

    def _put(self, data: bytes) -> None:
        """As a whole. If the disk is full, overwrites the old one in place, since just then `status` must tell."""
        fresh = self._home / f"{DOCUMENT}.{os.getpid()}.tmp"
        try:
            fresh.write_bytes(data)
            fresh.replace(self._home / DOCUMENT)
        except OSError as error:
            with contextlib.suppress(OSError):
                fresh.unlink(missing_ok=True)
            if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
                raise
            with (self._home / DOCUMENT).open("r+b") as old:
                old.write(data)
                old.truncate()


def _is_whole(document: dict[str, object]) -> bool:
    waits = document.get("waits")
    return all(isinstance(document.get(name), kind) for name, kind in _TYPES.items()) and (
        isinstance(waits, list) and all(isinstance(held, dict) and held.keys() >= _WAIT for held in waits)
    )


def _input(settings: Settings) -> str:
    """The input of the home: a rebuild reads the old files from a folder of its own, `old-<stamp>/again`."""
    if not settings.input.startswith(f"{settings.home}/old-"):
        return settings.input
    with contextlib.suppress(OSError):
        told = (read_document(settings.home) or {}).get("input")
        return told if isinstance(told, str) else f"{settings.home}/input"
    return f"{settings.home}/input"


def _flock(kind: int) -> bytes:
    return struct.pack(_FLOCK, kind, os.SEEK_SET, 0, 0, 0)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
