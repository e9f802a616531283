"""Which drops make the next batch: seq numbers, the batch limit, and what is known of the prefix.

An offset is `{"seq", "drops", "lying"}`: the last seq given, the drops of the batch that ends here (the list that a
replay reads) and `digest -> seq` of every admitted version that may still lie in the prefix.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from streaming.errors import DropError
from streaming.storage.place import Version
from streaming.ticks.parse import splittable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.storage.place import Place

EMPTY_OFFSET: dict[str, Any] = {"seq": 0, "drops": [], "lying": {}}

_GZIP_RATIO = 5
_MAGIC_BYTES = 8


@dataclass(frozen=True)
class Limits:
    """Bytes of input in one batch, bytes read by one task at a time, and drops in one batch."""

    batch_bytes: int
    split_bytes: int
    batch_drops: int = 2_000


@dataclass(frozen=True)
class Span:
    """The part of one drop that one batch, or one task of it, reads: bytes [start, end); `whole` = not to be split."""

    seq: int
    version: Version
    start: int
    end: int
    whole: bool

    @property
    def bytes(self) -> int:
        """How many bytes it covers."""
        return self.end - self.start

    @property
    def last(self) -> bool:
        """Whether the drop ends here."""
        return self.end >= self.version.size

    def to_json(self) -> list[Any]:
        """As it stands in an offset."""
        v = self.version
        return [
            self.seq,
            v.key,
            v.etag,
            v.version,
            v.size,
            v.modified.isoformat(timespec="microseconds"),
            self.start,
            self.end,
            self.whole,
        ]

    @classmethod
    def from_json(cls, fields: list[Any]) -> Span:
        """The inverse of `to_json`."""
        seq, key, etag, version, size, modified, start, end, whole = fields
        return cls(seq, Version(key, etag, version, size, datetime.fromisoformat(modified)), start, end, whole)


def admit(offset: dict[str, Any], place: Place, limits: Limits) -> dict[str, Any]:
    """The next offset: first what is left of an open drop, then new versions in order; `offset` itself if neither."""
    seq = offset["seq"]
    batch = [_continued(offset, limits)] if is_open(offset) else []
    room = limits.batch_bytes - sum(span.bytes for span in batch)
    listed = {digest(version): version for version in place.versions()}
    lying = _still_lying(offset["lying"], listed, place.claimed())
    for key, version in listed.items():
        if key in lying:
            continue
        if len(batch) >= limits.batch_drops or (batch and (_weight(version) > room or not batch[-1].last)):
            break
        claimed = place.claim(version, seq + 1)
        if claimed is None:  # gone or still growing: the next listing tells
            continue
        seq += 1
        lying[digest(claimed)] = seq
        batch.append(_first_span(claimed, seq, place, limits))
        room -= batch[-1].bytes
    if not batch:
        return offset
    return {"seq": seq, "drops": [span.to_json() for span in batch], "lying": lying}


def spans(offset: dict[str, Any], limits: Limits) -> list[Span]:
    """The drops of the batch that ends at `offset`, the large ones cut into ranges of `split_bytes`."""
    return [piece for fields in offset["drops"] for piece in _pieces(Span.from_json(fields), limits.split_bytes)]


def is_open(offset: dict[str, Any]) -> bool:
    """Whether the last drop of the batch goes on in the next one."""
    return bool(offset["drops"]) and not Span.from_json(offset["drops"][-1]).last


def digest(version: Version) -> str:
    """Eight bytes, in hexadecimal, that stand for one version of one object."""
    identity = "\0".join(
        (version.key, version.etag, version.version or "", version.modified.isoformat(), str(version.size))
    )
    return hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()


def batch_digest(drops: list[list[Any]]) -> str:
    """SHA-256, in hexadecimal, of the list of drops of a batch as it stands in its offset."""
    return hashlib.sha256(json.dumps(drops).encode()).hexdigest()


def _still_lying(lying: dict[str, int], listed: dict[str, Version], claimed: set[int]) -> dict[str, int]:
    """Forgets what was moved away: a file that is put back into a folder is a new drop, though it is the same file."""
    return {
        key: seq for key, seq in lying.items() if key in listed and (listed[key].version is not None or seq in claimed)
    }


def _continued(offset: dict[str, Any], limits: Limits) -> Span:
    done = Span.from_json(offset["drops"][-1])
    end = min(done.end + _batch_range(limits), done.version.size)
    return Span(done.seq, done.version, done.end, end, whole=False)


def _first_span(version: Version, seq: int, place: Place, limits: Limits) -> Span:
    whole = version.size <= limits.split_bytes or not _is_splittable(version, seq, place)
    end = version.size if whole else min(version.size, _batch_range(limits))
    return Span(seq, version, 0, end, whole)


def _is_splittable(version: Version, seq: int, place: Place) -> bool:
    try:
        return splittable(place.read(version, seq, 0, _MAGIC_BYTES))
    except DropError:
        return False  # the read proper gives it its fate


def _batch_range(limits: Limits) -> int:
    """A batch takes whole splits of a drop that it cannot take at once."""
    return max(limits.batch_bytes // limits.split_bytes, 1) * limits.split_bytes


def _weight(version: Version) -> int:
    return version.size * (_GZIP_RATIO if version.key.lower().endswith(".gz") else 1)


def _pieces(span: Span, split_bytes: int) -> Iterator[Span]:
    if span.whole:
        yield span
        return
    for start in range(span.start, span.end, split_bytes):
        yield Span(span.seq, span.version, start, min(start + split_bytes, span.end), whole=False)
