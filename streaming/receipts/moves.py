"""Moves a drop out of the input, so that a crash can neither lose the file nor move it twice.

Delivery: at least once. The copy is complete before the input is removed, and the claim goes last. Whatever a crash
leaves, the same call again ends the move. So the name must be noted before `move` is called with it.
"""

from __future__ import annotations

import itertools
import logging
from typing import TYPE_CHECKING

from streaming import faults
from streaming.errors import StorageError, VanishedError
from streaming.storage.place import CHUNK

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from streaming.storage.place import Place, Version

log = logging.getLogger(__name__)


def move(source: Place, version: Version, seq: int, target: Place, name: str) -> bool:
    """Moves a claimed version to a key of the target that `free_name` gave. False: its bytes are gone everywhere.

    Overwrites nothing and verifies the copy. Then removes exactly this version and the claim; a newer file under the
    same key stays. Raises `StorageError` if another file has taken the name.
    """
    there = target.head(name)
    if there is None:
        try:
            target.take(source, version, seq, name)
        except VanishedError as error:
            log.warning("nothing to move to %s in %s: %s", name, target.url, error)
            source.release(seq)
            return False
        there = target.head(name)
        if there is None or there.size != version.size:
            msg = f"{name!r} in {target.url}: expected {version.size} bytes after the copy of {version.key!r}, "
            msg += f"got {there and there.size}; the original stays until a copy is whole"
            raise StorageError(msg)
    elif not _is_the_copy(source, version, seq, target, there):
        msg = f"{version.key!r} was to become {name!r} in {target.url}, where another file has appeared under this "
        msg += "name. Nothing is overwritten: give that file another name"
        raise StorageError(msg)
    faults.reach("moving")
    source.delete(version, seq)
    source.release(seq)
    return True


def _is_the_copy(source: Place, version: Version, seq: int, target: Place, there: Version) -> bool:
    """Whether a crash left our copy there. If only the original is gone, the copy was whole before it went."""
    if there.size != version.size:
        return False
    if there.etag == version.etag:
        return True
    try:
        with source.open(version, seq) as original, target.open(there, None) as copy:
            return all(a == b for a, b in itertools.zip_longest(_chunks(original), _chunks(copy)))
    except VanishedError:
        return target.head(there.key) == there


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    return iter(lambda: stream.read(CHUNK), b"")
