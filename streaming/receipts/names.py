"""Free names at a target, for keys of any length and any characters, whatever lies there."""

from __future__ import annotations

import hashlib
import itertools
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

    from streaming.storage.place import Place

_COMPONENT_BYTES = 255
_USUAL_BYTES = 900  # leaves room for a prefix and a number within the 1,024 bytes of an S3 key
_SUFFIXES = re.compile(r"(?:\.[A-Za-z][^./]{0,15})?(?i:\.gz)?\Z")
_LITERAL_BACKSLASH = re.compile(r"\\(?!x(?:5C|[89A-F][0-9A-F]))")


def free_name(target: Place, key: str, seq: int, taken: Collection[str] = frozenset()) -> str:
    """A key for the file that nothing has at the target and that is not in `taken`.

    Its own key if that is free; if the name is taken, the drop's number is added: `a.12.csv.gz`. For a folder, a part
    that could lead out of it or cannot be a file name is escaped (`..` becomes `%2E.`, nothing becomes `%2F`, a
    backslash `%5C`) or cut. If a file stands in the way of a folder, all `/` become `%2F`. For S3 see `within`.
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
    """The key with a number before its suffixes. A long one (255 bytes a component, 900 in all) does not grow."""
    head, slash, last = key.rpartition("/")
    stem, suffixes = _split(last)
    return _cut(f"{head}{slash}{stem}.{number}{suffixes}", max(_USUAL_BYTES, len(key.encode())), _COMPONENT_BYTES)


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
