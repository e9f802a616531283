# ruff: noqa: PTH103, PTH112, PTH123, PTH208
# As in `folder`: str and os calls.
"""The file system's errors of a folder in plain words, with what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from streaming.errors import SettingsError, StorageError
from streaming.storage import crash_safe
from streaming.waiting import Waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterator

FULL = {errno.ENOSPC, errno.EDQUOT}
_ELSEWHERE = ("nfs", "cifs", "smb", "fuse", "9p", "ceph", "lustre")
_LITTLE = 1 << 20
SPACE_SECONDS = 2.0


def said(error: OSError) -> str:
    """`No space left on device (ENOSPC)`."""
    name = errno.errorcode.get(error.errno or 0, "")
    return f"{error.strerror} ({name})" if name else str(error)


@contextmanager
def plain_errors(what: str, url: str) -> Iterator[None]:
    """Turns an OSError into a StorageError that says what to do."""
    try:
        yield
    except OSError as error:
        msg = f"cannot {what} {url}: {said(error)}{_advice(error, url)}"
        raise StorageError(msg) from error


def _advice(error: OSError, url: str) -> str:
    if error.errno in FULL:
        return "; free some space on its disk"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return "; give the job's user the right to read and write there"
    if error.errno == errno.EROFS:
        return "; its disk takes no writes: find out why (dmesg) and mount it again with rw"
    return "" if os.path.isdir(url) else "; the folder is gone: make it again, or mount its disk"


def full_disks(mounts: str = "/proc/mounts") -> list[str]:
    """The mount points of this machine's disks with less than 1 MiB left. Disks of the network are not asked."""
    found = []
    with suppress(OSError), open(mounts, encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            _, point, kind, options, *_ = line.split(" ")
            if kind.startswith(_ELSEWHERE) or "ro" in options.split(","):
                continue
            point = point.replace(r"\040", " ")
            with suppress(OSError):
                space = os.statvfs(point)
                if space.f_blocks and space.f_bavail * space.f_frsize < _LITTLE:
                    found.append(point)
    return found


def check_writing(folder: str) -> bool:
    """Makes and lists a folder and writes to it; leaves nothing behind. False: its disk is full.

    Raises `SettingsError` for whatever else is in the way.
    """
    path = f"{folder}/.stocketl-check-{os.getpid()}.part"
    try:
        os.makedirs(folder, exist_ok=True)
        os.listdir(folder)
        crash_safe.remove(path)
        crash_safe.write(path, b"written", durable=False)
    except OSError as error:
        if error.errno in FULL:
            return False
        msg = (
            f"this user may not list, read and write in {folder}: {said(error)}; give it these rights, or give another "
        )
        msg += "place"
        raise SettingsError(msg) from error
    finally:
        with suppress(OSError):
            crash_safe.remove(path)
    return True


def wait_for_space(folder: str, stop: threading.Event) -> None:
    """Returns once the folder can be written to, or `stop` is set; tells the wait."""
    wait = Waiting(f"the disk of {folder}")
    while not check_writing(folder):
        if stop.is_set():
            wait.given_up()
            return
        wait.failed("No space left on device (ENOSPC)", "Free some space there.")
        stop.wait(SPACE_SECONDS)
    wait.over()
