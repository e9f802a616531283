"""Waits until something may have arrived in a folder: the kernel says so (inotify), or the time is over.

Only the moment of a look depends on it, never what the look finds. Where the kernel says nothing (a file system of
another machine, no watches left), each wait takes its whole time.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import select
import struct
import time
from typing import TYPE_CHECKING

from streaming.storage.place import is_drop_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# of sys/inotify.h
_CLOSE_WRITE, _MOVED_TO, _CREATE, _OVERFLOW, _IGNORED = 0x8, 0x80, 0x100, 0x4000, 0x8000
_ONLY_FOLDERS, _IS_FOLDER = 0x1000000, 0x40000000
_WATCHED = _CLOSE_WRITE | _MOVED_TO | _CREATE | _ONLY_FOLDERS
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 16


class Wake:
    """The folder `root` and the folders below it. A context; closed, it lets every wait take its time.

    whole: told the path below `root` of each file that its writer has closed, or that was renamed to this name.
    trouble: none that a person need hear of.
    """

    trouble = ""

    def __init__(self, root: str, whole: Callable[[str], None] | None = None) -> None:
        self._whole = whole or (lambda _: None)
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._root = root
        self._folders: dict[int, str] = {}
        self._fd = self._open()
        self._watch_root()

    def wait(self, seconds: float) -> bool:
        """Whether something may have arrived; else, False after so many seconds."""
        end = time.monotonic() + seconds
        self._watch_root()
        while True:
            left = max(0.0, end - time.monotonic())
            if self._fd is None:
                time.sleep(left)
            elif select.select([self._fd], [], [], left)[0] and self._arrived():
                return True
            if left == 0.0:
                return False

    def until_quiet(self, quiet: float, most: float) -> bool:
        """Waits until nothing has arrived for `quiet` seconds, `most` seconds at most; whether anything has."""
        end = time.monotonic() + most
        arrived = False
        while time.monotonic() < end and self.wait(quiet):
            arrived = True
        return arrived

    def close(self) -> None:
        """Gives the kernel's watches back."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _open(self) -> int | None:
        with contextlib.suppress(AttributeError):  # no Linux
            number = self._libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
            return number if number >= 0 else None
        return None

    def _watch_root(self) -> None:
        """Again, if it was removed meanwhile and made anew."""
        if self._fd is not None and self._root not in self._folders.values():
            self._watch(self._root)

    def _watch(self, folder: str) -> bool:
        """This folder and those below it; whether they hold anything, which may have come before the watch."""
        watch = self._libc.inotify_add_watch(self._fd, os.fsencode(folder), _WATCHED)
        if watch < 0:
            if ctypes.get_errno() not in {errno.ENOENT, errno.ENOTDIR}:
                self.close()  # no watches left: better none than some, so that all files are treated alike
            return True
        self._folders[watch] = folder
        found = False
        with contextlib.suppress(OSError), os.scandir(folder) as entries:
            for entry in entries:
                if is_drop_name(entry.name):
                    found = True
                    if entry.is_dir(follow_symlinks=False) and self._fd is not None:
                        self._watch(entry.path)
        return found

    def _arrived(self) -> bool:
        """Whether the events that wait to be read tell of a drop."""
        arrived = False
        for watch, mask, name in self._events():
            if mask & _OVERFLOW:
                arrived = True
            elif mask & _IGNORED:
                self._folders.pop(watch, None)
            elif not is_drop_name(name):
                continue
            elif mask & _IS_FOLDER:
                folder = self._folders.get(watch)
                if folder is not None and self._fd is not None:
                    arrived |= self._watch(f"{folder}/{name}")
            elif mask & (_CLOSE_WRITE | _MOVED_TO):
                arrived = True
                if (folder := self._folders.get(watch)) is not None:
                    self._whole(f"{folder}/{name}"[len(self._root) + 1 :])
        return arrived

    def _events(self) -> Iterator[tuple[int, int, str]]:
        if self._fd is None:
            return
        with contextlib.suppress(BlockingIOError):
            data = os.read(self._fd, _READ_BYTES)
            at = 0
            while at < len(data):
                watch, mask, _, length = _EVENT.unpack_from(data, at)
                name = data[at + _EVENT.size : at + _EVENT.size + length].rstrip(b"\0")
                yield watch, mask, os.fsdecode(name)
                at += _EVENT.size + length
