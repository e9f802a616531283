r"""What lies in a folder, as keys and versions.

A key is the path below the folder. Bytes of a name that are not UTF-8 stand in it as `\xFF`, a backslash as `\x5C`.
"""

from __future__ import annotations

import os
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from streaming.errors import StorageError
from streaming.storage.place import Version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
_RAW = re.compile(r"[\\\udc80-\udcff]")
_ESCAPED = re.compile(r"\\x(5C|[89A-F][0-9A-F])")


def key_of(path: str) -> str:
    """The key of a path below the folder: always valid UTF-8."""
    if path.isascii() and "\\" not in path:
        return path
    return _RAW.sub(lambda found: f"\\x{ord(found[0]) & 0xFF:02X}", path)


def path_of(root: str, key: str) -> str:
    """The inverse of `key_of`, below `root`; raises `StorageError` for a key that would lead out of it."""
    if "\0" in key or any(component in {"", ".", ".."} for component in key.split("/")):
        msg = f"{key!r} is no name below {root}: expected components that are neither empty nor dots"
        raise StorageError(msg)
    if "\\" in key:
        key = _ESCAPED.sub(lambda found: os.fsdecode(bytes([int(found[1], 16)])), key)
    return f"{root}/{key}"


def etag_of(status: os.stat_result) -> str:
    """Identity of a file's content. Not its ctime: links and renames change that."""
    return f"{status.st_mtime_ns}.{status.st_size}.{status.st_ino}"


def modified_ns(version: Version) -> int:
    """The mtime in an etag, in nanoseconds."""
    return int(version.etag.partition(".")[0])


def version_of(key: str, status: os.stat_result) -> Version:
    """The version that a file is now; an mtime outside the calendar counts as its nearest end."""
    try:
        modified = EPOCH + timedelta(microseconds=status.st_mtime_ns // 1000)
    except OverflowError:
        modified = _LAST if status.st_mtime_ns > 0 else _FIRST
    return Version(key, etag_of(status), None, status.st_size, modified)


def walk(
    root: str, wanted: Callable[[str], bool], tell: Callable[[str, OSError], None]
) -> Iterator[tuple[str, os.stat_result]]:
    """Path below `root` and status (of a link: its own) of each file and link whose names are all wanted.

    What vanishes meanwhile is left out; what may not be looked at is told. Raises OSError if `root` itself cannot be
    listed.
    """
    folders = [""]
    while folders:
        folder = folders.pop()
        try:
            entries = os.scandir(f"{root}/{folder}")
        except OSError as error:
            if not folder:
                raise
            _unless_gone(folder, error, tell)
            continue
        with entries:
            for entry in entries:
                if not wanted(entry.name):
                    continue
                path = folder + entry.name
                try:
                    if entry.is_file(follow_symlinks=False) or (entry.is_symlink() and not _leads_to_folder(entry)):
                        yield path, entry.stat(follow_symlinks=False)
                    elif entry.is_dir(follow_symlinks=False):
                        folders.append(f"{path}/")
                except OSError as error:
                    _unless_gone(path, error, tell)


def _leads_to_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a circle of links, a target that may not be looked at
        return False


def _unless_gone(path: str, error: OSError, tell: Callable[[str, OSError], None]) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        tell(path, error)
