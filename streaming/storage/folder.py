# ruff: noqa: PTH103, PTH105, PTH115, PTH118, PTH120, PTH123, PTH208
# Names are polled five times a second by the ten thousand: str and os calls, no Path objects.
"""A folder of drops on a POSIX file system (Linux).

Delivery: when a drop is admitted, its bytes are copied to `.claims/<seq>`. So a replay reads the same bytes, whatever
the producer does to the file. A hard link would not do: a file that is rewritten in place changes under all its names.
Later the claim is moved: the bytes that were loaded, with their old mtime and permissions.

Not drops: names that begin with `.` or `_`, or end in `.tmp`, `.part` or `._COPYING_` (folders too); what lies behind a
symbolic link to a folder; pipes, sockets, devices. Any other symbolic link is a drop that cannot be read.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import shutil
import stat
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, BinaryIO

from streaming.errors import ChangedError, SettingsError, SymbolicLinkError, VanishedError
from streaming.storage import crash_safe
from streaming.storage.entries import EPOCH, etag_of, key_of, modified_ns, path_of, version_of, walk
from streaming.storage.folder_errors import FULL, check_writing, plain_errors, said
from streaming.storage.place import CHUNK, is_drop_name, is_passed_over
from streaming.storage.writers import is_being_written

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from streaming.storage.place import Place, Version

log = logging.getLogger(__name__)

_CLAIMS = ".claims"
_OWN = ".stocketl-"
_LONG_OPEN = 60.0  # seconds after which it is told that a file waits for its writer
_CHANGED = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENXIO, errno.ESTALE}
# of the disk or of this process, whichever file it is
_OF_ALL = FULL | {errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM}


class Folder:
    """A `Place` in a folder. settle: seconds for which a file must have been left alone to be a drop."""

    longest_key = 2048  # a path may have 4,096 bytes, the folder's own included
    longest_component: int | None = 255

    def __init__(self, root: str, settle: float = 0.0) -> None:
        self.url = root
        self._settle = settle
        self._ahead: dict[str, tuple[str, float]] = {}
        self._held: dict[str, str] = {}
        self._told: set[str] = set()
        self._whole: set[str] = set()

    def __reduce__(self) -> tuple[type[Folder], tuple[str, float]]:
        return Folder, (self.url, self._settle)

    def check(self, *, of_drops: bool = False) -> None:
        """Makes the folder if it is not there, and writes to it; raises `SettingsError` if it cannot be used."""
        try:
            os.makedirs(self.url, exist_ok=True)
        except OSError as error:
            msg = f"expected a folder at {self.url}, got: {error.strerror}; give another place or the right to make it"
            raise SettingsError(msg) from error
        for folder in (self.url, f"{self.url}/{_CLAIMS}") if of_drops else (self.url,):
            crash_safe.remove_leftovers(folder)
            check_writing(folder)

    def take_for_whole(self, path: str) -> None:
        """A file below the folder need not settle, unless it is empty: its writer has closed it."""
        self._whole.add(path)

    def versions(self) -> list[Version]:
        """As `Place` says. If something may not be listed or read, it stays where it is, and the log names it once."""
        found, ahead, now = [], {}, time.time_ns()
        whole: set[str] = set()
        self._held.clear()
        with self._plainly("list"):
            for path, status in walk(self.url, is_drop_name, self._tell):
                version = version_of(key_of(path), status)
                age = now - status.st_mtime_ns
                if age < 0:  # a clock is wrong: count for how long the file has looked like this
                    etag, since = self._ahead.get(path, ("", 0.0))
                    ahead[path] = (version.etag, since if etag == version.etag else time.monotonic())
                    age = int((time.monotonic() - ahead[path][1]) * 1e9)
                if path in self._whole:
                    whole.add(path)
                if age >= self._settle * 1e9 or (path in whole and status.st_size):
                    found.append(version)
        self._ahead, self._whole = ahead, whole
        return sorted(found, key=lambda version: (version.modified, version.key))

    def claim(self, version: Version, seq: int) -> Version | None:
        """Copies the bytes to `.claims/<seq>`, as a reflink if the file system has them."""
        claim = self._claim(seq)
        part = f"{claim}.part"
        if is_being_written(path_of(self.url, version.key)):
            if time.time() - version.modified.timestamp() > _LONG_OPEN:
                self._held[version.key] = "a process has it open for writing"
            return None
        with self._plainly(f"claim {version.key!r} in"):
            os.makedirs(os.path.dirname(claim), exist_ok=True)
            crash_safe.remove(part)
            try:
                if crash_safe.copy_as_it_was(path_of(self.url, version.key), version.etag, part):
                    os.replace(part, claim)
                    return version
            except OSError as error:
                if error.errno in _OF_ALL or error.filename == part:
                    raise
                if error.errno not in _CHANGED:  # of this file alone: it waits, and the others go on
                    self._tell(version.key, error)
            finally:
                with suppress(OSError):
                    crash_safe.remove(part)
        return None

    def passed_over(self) -> list[str]:
        """As `Place` says."""
        return [key for key in self.keys() if is_passed_over(key, 1) and not key.startswith(f"{_CLAIMS}/")]

    def held_back(self) -> dict[str, str]:
        """Files and folders that may not be listed, read or claimed now."""
        return dict(self._held)

    def read(self, version: Version, seq: int, start: int = 0, end: int | None = None) -> bytes:
        """From the claim. If the claim is lost and the file is as it was admitted, from the file itself."""
        count = max(min(version.size if end is None else end, version.size) - start, 0)
        with self._plainly(f"read {version.key!r} in"):
            if crash_safe.is_link(self._find(version, seq)[1]):
                msg = f"{version.key!r} in {self.url} is a symbolic link; symbolic links are not read"
                raise SymbolicLinkError(msg)
            with self.open(version, seq) as file:
                before = etag_of(os.fstat(file.fileno()))
                file.seek(start)
                data = file.read(count)
                if len(data) == count and etag_of(os.fstat(file.fileno())) == before:
                    return data
        raise self._lost(version)

    def open(self, version: Version, seq: int | None) -> BinaryIO:
        """As `Place` says; a regular file, or the text of a link in memory."""
        with self._plainly(f"read {version.key!r} in"):
            path, status = self._find(version, seq)
            try:
                if crash_safe.is_link(status):
                    return io.BytesIO(os.fsencode(os.readlink(path)))
                file = open(os.open(path, crash_safe.READ), "rb")  # noqa: SIM115 - the caller closes it
            except OSError as error:
                if error.errno not in _CHANGED:
                    raise
                raise self._lost(version) from error
            if etag_of(os.fstat(file.fileno())) == etag_of(status):
                return file
            file.close()
        raise self._lost(version)

    def claimed(self) -> set[int]:
        """The seqs in `.claims`."""
        with self._plainly("list the claims of"), suppress(FileNotFoundError):
            return {int(name) for name in os.listdir(f"{self.url}/{_CLAIMS}") if name.isdecimal()}
        return set()

    def release(self, seq: int) -> None:
        """Removes `.claims/<seq>`."""
        with self._plainly("release a claim in"):
            crash_safe.remove(self._claim(seq))

    def put(self, key: str, data: bytes | crash_safe.Made, *, durable: bool = True) -> None:
        """Temporary name, fsync if it is to be durable, rename."""
        path = path_of(self.url, key)
        with self._plainly(f"write {key!r} to"):
            temporary = self._temporary(path, f"{os.getpid()}-{threading.get_ident()}")
            crash_safe.write(temporary, data, durable=durable)
            try:
                os.replace(temporary, path)
            except OSError:
                crash_safe.remove(temporary)
                raise
            if durable:
                crash_safe.sync(os.path.dirname(path))

    def get(self, key: str) -> bytes | None:
        """The file's bytes; a symbolic link is followed: what is read by its key is the job's own."""
        found = self.get_version(key)
        return None if found is None else found[1]

    def get_version(self, key: str) -> tuple[Version, bytes] | None:
        """As `get`, with what the file is after it was read: a change while it was read shows."""
        with (
            self._plainly(f"read {key!r} in"),
            suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError),
            open(path_of(self.url, key), "rb") as file,
        ):
            data = file.read()
            return version_of(key, os.fstat(file.fileno())), data
        return None

    def exists(self, key: str) -> bool:
        """Whether a file, link or folder has this name."""
        return os.path.lexists(path_of(self.url, key))

    def keys(self) -> list[str]:
        """All files and links except claims and temporary files; none if the folder does not exist."""
        with self._plainly("list"), suppress(FileNotFoundError):
            every = walk(self.url, lambda name: name != _CLAIMS and not name.startswith(_OWN), self._tell)
            return sorted(key_of(path) for path, _ in every)
        return []

    def head(self, key: str) -> Version | None:
        """The file or link of this name."""
        with self._plainly(f"look at {key!r} in"), suppress(FileNotFoundError, NotADirectoryError):
            status = os.lstat(path_of(self.url, key))
            return None if stat.S_ISDIR(status.st_mode) else version_of(key, status)
        return None

    def free(self, key: str) -> bool:
        """Whether the name is unused and nothing but folders stands on the way to it."""
        path = path_of(self.url, key)
        return not os.path.lexists(path) and crash_safe.parents_are_folders(self.url, path)

    def take(self, source: Place, version: Version, seq: int, key: str) -> None:
        """Links another folder's claim, or copies it from another file system or a bucket. Forced to the disk."""
        path = path_of(self.url, key)
        with self._plainly(f"move {version.key!r} to {key!r} in"):
            temporary = self._temporary(path, str(seq))
            linked = False
            try:
                if isinstance(source, Folder):
                    linked = crash_safe.link_or_copy(source.held(version, seq), temporary)
                else:
                    with (
                        source.open(version, seq) as data,
                        open(os.open(temporary, crash_safe.NEW, 0o666), "wb") as file,
                    ):
                        shutil.copyfileobj(data, file, CHUNK)
                    crash_safe.set_modified(temporary, (version.modified - EPOCH) // timedelta(microseconds=1) * 1000)
                crash_safe.sync(temporary)
                crash_safe.link(temporary, path)
            finally:
                crash_safe.remove(temporary)
            if not linked:
                crash_safe.sync(os.path.dirname(path))

    def held(self, version: Version, seq: int) -> str:
        """The path of a version's claim. If the claim was lost, makes it again. Raises `VanishedError`."""
        if self._find(version, seq)[0] != self._claim(seq) and self.claim(version, seq) is None:
            raise self._lost(version)
        return self._claim(seq)

    def delete(self, version: Version, seq: int) -> None:
        """Removes the file if it is as it was admitted, see `crash_safe.remove_as_it_was`."""
        path = path_of(self.url, version.key)
        with self._plainly(f"remove {version.key!r} from"):
            crash_safe.remove_as_it_was(path, version.etag, os.path.join(os.path.dirname(path), f"{_OWN}{seq}.gone"))

    def _find(self, version: Version, seq: int | None) -> tuple[str, os.stat_result]:
        own = path_of(self.url, version.key)
        for path in [own] if seq is None else [self._claim(seq), own]:
            with suppress(FileNotFoundError, NotADirectoryError):
                status = os.lstat(path)
                content = (status.st_mtime_ns, status.st_size)  # a claim has these from its file, but has its own inode
                if content == (modified_ns(version), version.size) if path != own else etag_of(status) == version.etag:
                    return path, status
        raise self._lost(version)

    def _lost(self, version: Version) -> VanishedError:
        if os.path.lexists(path_of(self.url, version.key)):
            return ChangedError(f"{version.key!r} in {self.url} is no longer what it was when it was admitted")
        return VanishedError(f"{version.key!r} in {self.url} is gone")

    def _claim(self, seq: int) -> str:
        return f"{self.url}/{_CLAIMS}/{seq}"

    def _temporary(self, path: str, name: str) -> str:
        """A free name beside `path`, its folder made."""
        if not crash_safe.parents_are_folders(self.url, path):
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        temporary = os.path.join(os.path.dirname(path), f"{_OWN}{name}.part")
        crash_safe.remove(temporary)
        return temporary

    def _tell(self, path: str, error: OSError) -> None:
        self._held[key_of(path)] = said(error)
        if path not in self._told:
            self._told.add(path)
            log.warning("%r in %s waits: %s; give this user the right to read it", path, self.url, error.strerror)

    def _plainly(self, what: str) -> AbstractContextManager[None]:
        return plain_errors(what, self.url)
