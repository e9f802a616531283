"""Whether a command may use a home. What the system refuses becomes one plain line with a way out."""

from __future__ import annotations

import contextlib
import errno
import os
import pwd
from pathlib import Path
from typing import TYPE_CHECKING

from streaming.errors import DatabaseError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.settings import Settings

_ADVICE = {
    errno.EROFS: "the embedded server must write there even to read: make the file system writable, or copy the home",
    errno.ENOSPC: "make room there",
    errno.EDQUOT: "make room there, or raise the quota",
    errno.ENOTDIR: "expected a folder, found a file: correct --home, or move the file away",
    errno.EISDIR: "expected a file, found a folder: correct --home, or move the folder away",
    errno.EEXIST: "expected a folder, found a file: correct --home, or move the file away",
    errno.ELOOP: "symbolic links go round in circles: correct --home",
    errno.ENAMETOOLONG: "use a home with a shorter path",
}


def refuse_missing_home(settings: Settings, *, named: bool) -> None:
    """Raises SettingsError if the home is missing and the command needs it: it was given, or holds the database."""
    home = settings.home
    if not (named or settings.embedded):
        return
    with as_plain_errors(home):
        if home.is_dir():
            return
        there = os.path.lexists(home)
    if there:
        msg = f"home: {home} is not a folder; correct --home"
    else:
        msg = f"home: there is no folder {home}; correct --home, or begin with `stocketl run --home {home}`"
    raise SettingsError(msg)


@contextlib.contextmanager
def as_plain_errors(path: Path) -> Iterator[None]:
    """What the system refuses about this path or below it becomes a DatabaseError."""
    try:
        yield
    except OSError as error:
        where = Path(os.fsdecode(error.filename)) if isinstance(error.filename, str | bytes) else path
        said = error.strerror or str(error)
        code = errno.errorcode.get(error.errno or 0, "OSError")
        msg = f"{where} cannot be used: {said} [{code}]. What to do: {_advice(error, path)}."
        raise DatabaseError(msg) from error


def _advice(error: OSError, path: Path) -> str:
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"run as {_owner(path)}, or use a --database that both users may log in to"
    return _ADVICE.get(error.errno or 0, "check the disk, or correct --home")


def _owner(path: Path) -> str:
    """The user to whom the path belongs, or the nearest folder above it that may be seen."""
    for place in (path, *path.parents):
        with contextlib.suppress(OSError, KeyError):
            return f"the owner of {place} ({pwd.getpwuid(place.stat().st_uid).pw_name})"
    return "its owner"
