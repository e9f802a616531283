"""Where drops, receipts and moved files lie: a folder or an S3 prefix behind one small interface."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from _typeshed import WriteableBuffer

    from streaming.storage.crash_safe import Made

CHUNK = 8 << 20
_UNFINISHED = (
    *(".tmp", ".part", ".partial", ".crdownload", ".filepart", ".download", ".gstmp", ".swp", "~", "._copying_"),
)
_OF_A_PATH = frozenset((".", ".."))  # components of a key on S3, where they mean nothing
_NO_DROPS = frozenset(("_temporary", "_SUCCESS", "_delta_log", "_spark_metadata"))
_COPIED_BY_AWS = re.compile(r"\.(?:csv|tsv|zip|parquet)(?:\.[a-z0-9]{2,3})?\.(?![0-9]{8}$)[0-9A-Fa-f]{8}$")


@dataclass(frozen=True, slots=True)
class Version:
    """One version of one object.

    key: relative to the place, components joined by `/`; etag: identity of the content (S3: the ETag without its
    quotes; folder: mtime in ns, size, inode); version: S3 version id (`null` without versioning), None in a
    folder; size in bytes; modified: UTC, microseconds.
    """

    key: str
    etag: str
    version: str | None
    size: int
    modified: datetime


class Place(Protocol):
    """A folder or a bucket prefix. Picklable; safe to use from several threads; connects when first used.

    Everything raises `StorageError` if trying again may help (no connection, full disk) and
    `SettingsError` if it does not (no such bucket, no credentials, access denied).
    """

    url: str
    longest_key: int
    """UTF-8 bytes that a key may have."""
    longest_component: int | None
    """Bytes between two `/`, and components must be plain names; None: keys have no structure."""

    def check(self, *, of_drops: bool = False) -> None:
        """Asks at the start for what the job will need. If it will never get it, raises `SettingsError`.

        Makes a folder and writes to it; leaves nothing behind. of_drops: drops are listed and read here.
        """

    def versions(self) -> list[Version]:
        """The drops that lie there now, in order of (modified, key); versions of one key oldest first."""

    def claim(self, version: Version, seq: int) -> Version | None:
        """Keeps the version's bytes safe from its producer. None: it vanished, changed or cannot be read yet.

        May be called again. If another version's claim has the same seq, it is replaced. Survives `kill -9` of the job.
        It is not forced to the disk: after a power cut the input is still there, and `read` falls back to it.
        """

    def passed_over(self) -> list[str]:
        """Keys of files that are no drops by their names, sorted; claims and what the job itself writes are none."""

    def held_back(self) -> dict[str, str]:
        """Drops that wait because they may not be read, as of the last look: why, by key."""

    def read(self, version: Version, seq: int, start: int = 0, end: int | None = None) -> bytes:
        """Bytes [start, end) of a claimed version, always the same. Raises `VanishedError`."""

    def claimed(self) -> set[int]:
        """The seqs that have a claim. On S3 none have, since versions stay by themselves."""

    def release(self, seq: int) -> None:
        """Removes the claim, if there is one."""

    def put(self, key: str, data: bytes | Made, *, durable: bool = True) -> None:
        """Writes an object as a whole: readers see the old or the new one. durable: forces it to the disk."""

    def get(self, key: str) -> bytes | None:
        """An object's bytes, None if there is none."""

    def get_version(self, key: str) -> tuple[Version, bytes] | None:
        """The same with what they are a version of, by one request."""

    def exists(self, key: str) -> bool:
        """Whether something has this key."""

    def keys(self) -> list[str]:
        """All keys, any names, sorted."""

    def head(self, key: str) -> Version | None:
        """The object that has this key now."""

    def free(self, key: str) -> bool:
        """Whether a new object can get this key."""

    def open(self, version: Version, seq: int | None) -> BinaryIO:
        """A claimed version's bytes as a stream, in bounded memory. seq None: an object as it lies there.

        A symbolic link opens as the name that it points to. Raises `VanishedError`.
        """

    def take(self, source: Place, version: Version, seq: int, key: str) -> None:
        """Copies a claimed version of another place to a new key here, as a whole, and never over another object.

        Raises `VanishedError`, and `StorageError` if the key is taken.
        """

    def delete(self, version: Version, seq: int) -> None:
        """Removes exactly this version, if it is still there. A newer one under its key stays."""


class Ranges(io.RawIOBase):
    """A version as a stream of range reads, so that a broken connection costs one range."""

    def __init__(self, place: Place, version: Version, seq: int) -> None:
        super().__init__()
        self._place, self._version, self._seq, self._at = place, version, seq, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer from the next range."""
        view = memoryview(buffer)
        end = min(self._at + len(view), self._version.size)
        data = self._place.read(self._version, self._seq, self._at, end)
        view[: len(data)] = data
        self._at += len(data)
        return len(data)


def discard(place: Place, key: str) -> None:
    """Removes the object that has this key now, if there is one."""
    found = place.head(key)
    if found is not None:
        place.delete(found, 0)


def is_drop_name(name: str) -> bool:
    """Whether a producer means this name (one component) to be read.

    Not hidden, not a mark of Spark, Delta or Databricks beside their files, not a name that writers use until they
    have finished (browsers, WinSCP, KDE, `gsutil`, editors, and `aws s3 cp`, which appends a dot and eight digits).
    """
    if name in _OF_A_PATH:
        return True
    if name.startswith((".", "_started", "_committed")) or name in _NO_DROPS:
        return False
    return not name.lower().endswith(_UNFINISHED) and not _COPIED_BY_AWS.search(name)


def is_drop_key(key: str, size: int) -> bool:
    """Whether an object of a bucket is a drop: key relative to the prefix, size in bytes.

    By each of its components, as in a folder. Not the prefix itself, a folder marker (an empty object whose key ends
    with `/`), or a key that holds NUL.
    """
    is_object = bool(key) and (not key.endswith("/") or size > 0) and "\0" not in key
    return is_object and all(map(is_drop_name, key.split("/")))


def is_passed_over(key: str, size: int) -> bool:
    """Whether an object lies there that looks like a file and is no drop by its name; folder markers do not."""
    return bool(key) and (not key.endswith("/") or size > 0) and not is_drop_key(key, size)
