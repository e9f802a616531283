# ruff: noqa: PTH103, PTH112, PTH208
# As in `folder`: str and os calls.
"""What the file system says of a folder, in plain words, with what to do."""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from streaming import files
from streaming.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator

FULL = {errno.ENOSPC, errno.EDQUOT}


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
        msg = f"cannot {what} {url}: {said(error)}"
        if error.errno in FULL:
            msg += "; free some space on its disk"
        elif not os.path.isdir(url):
            msg += "; the folder is gone: make it again, or mount its disk"
        raise StorageError(msg) from error


def check_writing(folder: str) -> None:
    """Makes and lists a folder and writes to it; leaves nothing behind. Raises `SettingsError`.

    A disk that is full is waited for by whoever writes next.
    """
    path = f"{folder}/.stocketl-check-{os.getpid()}.part"
    try:
        os.makedirs(folder, exist_ok=True)
        os.listdir(folder)
        files.remove(path)
        files.write(path, b"written", durable=False)
    except OSError as error:
        if error.errno in FULL:
            return
        msg = f"this user may not list, read and write in {folder}: {said(error)}; give it the rights, or give another "
        msg += "place"
        raise SettingsError(msg) from error
    finally:
        with suppress(OSError):
            files.remove(path)
