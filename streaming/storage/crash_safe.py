# ruff: noqa: PTH104, PTH108, PTH110, PTH114, PTH115, PTH120, PTH123, PTH211
# Flags and descriptors of single calls are the point of this module; a Path has no way to give them.
"""What `folder` asks of the file system: copies, links and removals that a crash cannot leave half done."""

from __future__ import annotations

import errno
import os
import re
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from streaming.storage.entries import etag_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    Made = Callable[[BinaryIO], object]
    """Writes the bytes of a file itself, so that they are nowhere as a whole."""

READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_OF_A_PROCESS = re.compile(r"\.stocketl-(?:check-)?([0-9]+)(?:-[0-9]+)?\.part")
_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
_NO_RANGES = {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM}


def copy_as_it_was(path: str, etag: str, new: str) -> bool:
    """Copies a file (a link as a link) with mtime and permissions to a new name, not forced to the disk.

    False, with perhaps a part under the new name, if the file is not what the etag names, before or after.
    """
    status = os.lstat(path)
    if etag_of(status) != etag:
        return False
    if is_link(status):
        os.symlink(os.readlink(path), new)
        set_modified(new, status.st_mtime_ns)
        return etag_of(os.lstat(path)) == etag
    with open(os.open(path, READ), "rb") as source, open(os.open(new, NEW, 0o600), "wb") as target:
        copied = _copy_bytes(source.fileno(), target.fileno(), status.st_size)
        if copied != status.st_size or etag_of(os.fstat(source.fileno())) != etag:
            return False
        os.fchmod(target.fileno(), status.st_mode & 0o777 | 0o600)
        os.utime(target.fileno(), ns=(status.st_mtime_ns, status.st_mtime_ns))
    return True


def _copy_bytes(source: int, target: int, size: int) -> int:
    # copy_file_range shares the blocks (reflink) if the file system can, else it copies inside the kernel:
    # man 2 copy_file_range
    done = 0
    copy: Callable[[int, int, int], int] = os.copy_file_range
    while done < size:
        try:
            count = copy(source, target, size - done)
        except OSError as error:
            if done or copy is _send or error.errno not in _NO_RANGES:
                raise
            copy = _send
            continue
        if not count:
            break
        done += count
    return done


def _send(source: int, target: int, count: int, /) -> int:
    return os.sendfile(target, source, None, count)


def link_or_copy(path: str, new: str) -> bool:
    """A second name on the same file system; else a copy (of a link: a link) with mtime and permissions.

    True if it was linked: then the file system's journal keeps the order of this and of later removals.
    """
    with suppress(OSError):  # no links between or on these file systems; whatever else it is, the copy meets it too
        os.link(path, new, follow_symlinks=False)
        return True
    if not copy_as_it_was(path, etag_of(os.lstat(path)), new):
        raise OSError(errno.EBUSY, os.strerror(errno.EBUSY), path)
    return False


def link(path: str, new: str) -> None:
    """Gives a file a second name that must be free; raises FileExistsError.

    Without hard links (FAT, some network and FUSE file systems; `fs.protected_hardlinks` for a file of another user)
    the file is renamed: between the look and the rename another process could take the name.
    """
    try:
        os.link(path, new, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(new):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new) from error
        os.rename(path, new)


def remove(path: str) -> None:
    """Removes a name, if it is there."""
    with suppress(FileNotFoundError):
        os.unlink(path)


def remove_as_it_was(path: str, etag: str, aside: str) -> None:
    """Removes a file if it is what the etag names. If it was rewritten or replaced, it stays.

    A producer may rename a new file over it at any moment, so it is first renamed to `aside`, a name that no producer
    uses, and looked at again there. What turns out to be a newer file gets its name back; if that has been taken again
    by an even newer one, it is dropped, as the producer's own rename would have replaced it a moment later. `aside`
    is also settled if a crash left it.
    """
    _settle(aside, etag, path)
    with suppress(FileNotFoundError, NotADirectoryError):
        if etag_of(os.lstat(path)) == etag:
            os.rename(path, aside)
    _settle(aside, etag, path)


def _settle(aside: str, etag: str, path: str) -> None:
    with suppress(FileNotFoundError, NotADirectoryError):
        if etag_of(os.lstat(aside)) != etag:
            with suppress(FileExistsError):
                link(aside, path)
        remove(aside)


def sync(path: str) -> None:
    """Forces a file's bytes, or a folder's names, to the disk (a symbolic link has nothing of its own)."""
    if os.path.islink(path):
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write(path: str, data: bytes | Made, *, durable: bool) -> None:
    """A new file with these bytes, if durable forced to the disk. If they cannot be written, no file stays."""
    with open(os.open(path, NEW, 0o666), "wb") as file:
        try:
            if callable(data):
                data(file)
            else:
                file.write(data)
            file.flush()
            if durable:
                os.fsync(file.fileno())
        except BaseException:
            remove(path)
            raise


def remove_leftovers(folder: str) -> None:
    """Removes what processes of this machine were writing when they died: `.stocketl-<pid>-….part`."""
    with suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            found = _OF_A_PROCESS.fullmatch(entry.name)
            if found and not os.path.exists(f"/proc/{found[1]}"):
                remove(entry.path)


def set_modified(path: str, nanoseconds: int) -> None:
    """Sets the times of a file, or of a symbolic link itself."""
    os.utime(path, ns=(nanoseconds, nanoseconds), follow_symlinks=False)


def is_link(status: os.stat_result) -> bool:
    """Whether this is a symbolic link."""
    return stat.S_ISLNK(status.st_mode)


def parents_are_folders(root: str, path: str) -> bool:
    """Whether all that exists between `root` and `path` are real folders: no files, no symbolic links."""
    parent = os.path.dirname(path)
    while len(parent) > len(root):
        with suppress(FileNotFoundError, NotADirectoryError):
            if not stat.S_ISDIR(os.lstat(parent).st_mode):
                return False
        parent = os.path.dirname(parent)
    return True
