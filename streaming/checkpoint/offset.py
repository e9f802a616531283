"""The source's offset as Spark logs it, and the spans of drops in it."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streaming.storage.place import Version

EMPTY_OFFSET: dict[str, Any] = {"seq": 0, "drops": [], "lying": {}}


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
