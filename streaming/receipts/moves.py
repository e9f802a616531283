"""Moving a drop out of the prefix: which name it gets, and a move that a crash cannot make twice or lose.

Delivery: at least once. The copy is complete before the input is removed, the claim goes last; whatever a crash leaves,
the same call again ends the move. The name must therefore be written down before `move` is called with it.
"""

from __future__ import annotations

import hashlib
import itertools
import logging
import re
from typing import TYPE_CHECKING

from streaming import faults
from streaming.errors import StorageError, VanishedError
from streaming.storage.place import CHUNK

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import BinaryIO

    from streaming.storage.place import Place, Version

log = logging.getLogger(__name__)

_COMPONENT_BYTES = 255
_USUAL_BYTES = 900  # leaves room for a prefix and a number within the 1,024 bytes of an S3 key
_SUFFIXES = re.compile(r"(?:\.[A-Za-z][^./]{0,15})?(?i:\.gz)?\Z")
_LITERAL_BACKSLASH = re.compile(r"\\(?!x(?:5C|[89A-F][0-9A-F]))")


def free_name(target: Place, key: str, seq: int, taken: Collection[str] = frozenset()) -> str:
    """A key for the file that nothing has at the target, and that is none of those `taken`.

    Its own key if that is free, else with the seq before the suffixes: `a.csv.gz`, `a.12.csv.gz`. For a folder, what
    could lead out of it or cannot be a file name is escaped (`..` becomes `%2E.`, nothing becomes `%2F`, a backslash
    `%5C`) or cut, and where a file stands in the way of a folder all `/` become `%2F`. For S3 see `within`.
    """
    flat = key.replace("/", "%2F")
    more = (numbered(flat, f"{seq}-{n}") for n in itertools.count(2))
    names = itertools.chain((key, numbered(key, seq), numbered(flat, seq)), more)
    fitted = (_fitted(name, target) for name in names)
    return next(name for name in fitted if name not in taken and target.free(name))


def within(key: str) -> str:
    """The key as any bucket takes it: S3 refuses one that leads out of the bucket from left to right, and `soap`.

    docs.aws.amazon.com/AmazonS3/latest/userguide/object-keys.html
    """
    depth, segments = 0, key.split("/")
    for segment in segments:
        depth += -1 if segment == ".." else segment not in {"", "."}
        if depth < 0:
            return "/".join("%2E." if segment == ".." else segment for segment in segments)
    return "%73oap" if key == "soap" else key


def numbered(key: str, number: int | str) -> str:
    """The key with a number before its suffixes; what is long (255 bytes a component, 900 in all) does not grow."""
    head, slash, last = key.rpartition("/")
    stem, suffixes = _split(last)
    return _cut(f"{head}{slash}{stem}.{number}{suffixes}", max(_USUAL_BYTES, len(key.encode())), _COMPONENT_BYTES)


def move(source: Place, version: Version, seq: int, target: Place, name: str) -> bool:
    """Moves a claimed version to a key of the target that `free_name` gave; False if its bytes are gone everywhere.

    Overwrites nothing, verifies the copy, then removes exactly this version (a newer file under its key stays) and the
    claim. Raises `StorageError` where another file has taken the name.
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
        msg += "name; nothing is overwritten: give that file another name"
        raise StorageError(msg)
    faults.reach("moving")
    source.delete(version, seq)
    source.release(seq)
    return True


def _is_the_copy(source: Place, version: Version, seq: int, target: Place, there: Version) -> bool:
    """Whether a crash has left our copy there. If the original alone is gone, the copy was whole before it went."""
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


def _fitted(name: str, target: Place) -> str:
    if target.longest_component is None:
        name = within(name)
        return _cut(name, target.longest_key, len(name.encode()))
    components = [_shortened(_escaped(component), target.longest_component) for component in name.split("/")]
    return _cut("/".join(components), target.longest_key, target.longest_component)


def _escaped(component: str) -> str:
    """A component as a file name that is neither hidden nor a way up."""
    if not component:
        return "%2F"
    plain = _LITERAL_BACKSLASH.sub("%5C", component).replace("\0", "%00")
    return f"%2E{plain[1:]}" if plain.startswith(".") else plain


def _cut(key: str, longest: int, longest_last: int) -> str:
    head, slash, last = _shortened(key, longest).rpartition("/")
    return f"{head}{slash}{_shortened(last, longest_last)}"


def _shortened(text: str, longest: int) -> str:
    """The text itself, or its beginning, a digest of the whole and its suffixes, in `longest` bytes of UTF-8."""
    if len(text.encode()) <= longest:
        return text
    stem, suffixes = _split(text)
    tail = f"~{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}{suffixes}".encode()
    return (stem.encode()[: longest - len(tail)].decode(errors="ignore").encode() + tail).decode()


def _split(name: str) -> tuple[str, str]:
    found = _SUFFIXES.search(name)
    at = found.start() if found and found.start() else len(name)
    return name[:at], name[at:]
