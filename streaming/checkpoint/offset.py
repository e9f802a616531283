"""The source's offset as Spark logs it, and the spans of drops in it.

Spark compares offsets by their text, and the ledger keeps a digest of it: what is read is written back byte for byte.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

from streaming.storage.place import Version

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


BEFORE_PROFILES = "1"
"""How a drop was read whose span names no reading: an older version has admitted it."""


@dataclass(frozen=True)
class Span:
    """The part of one drop that one batch, or one task of it, reads: bytes [start, end); `whole` = not to be split.

    reading: how its rows are read, see `ticks.rules`: one of the built-in ways, or the digest of a profile.
    """

    seq: int
    version: Version
    start: int
    end: int
    whole: bool
    reading: str = BEFORE_PROFILES

    @property
    def bytes(self) -> int:
        """How many bytes it covers."""
        return self.end - self.start

    @property
    def last(self) -> bool:
        """Whether the drop ends here."""
        return self.end >= self.version.size

    def to_json(self) -> list[object]:
        """As it stands in an offset."""
        v = self.version
        fields = [
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
        return fields if self.reading == BEFORE_PROFILES else [*fields, self.reading]

    @classmethod
    def from_json(cls, fields: list[Any]) -> Span:
        """The inverse of `to_json`."""
        seq, key, etag, version, size, modified, start, end, whole, *reading = fields
        found = Version(key, etag, version, size, datetime.fromisoformat(modified))
        return cls(seq, found, start, end, whole, *reading)


@dataclass(frozen=True)
class Offset:
    """How far the source is, and what the batch that ends here reads.

    seq: the last one given; drops: the spans that a replay reads; lying: digest -> seq of every admitted version that
    may still lie in the prefix; profiles: those that read these drops, as JSON, by digest. So a replay reads each drop
    as it was meant to be read when it was admitted, whatever has become of `profiles.toml`.
    """

    seq: int
    drops: tuple[Span, ...]
    lying: Mapping[str, int]
    profiles: Mapping[str, str] = field(default_factory=dict)

    @property
    def open(self) -> bool:
        """Whether the last drop of the batch goes on in the next one."""
        return bool(self.drops) and not self.drops[-1].last

    def to_json(self) -> dict[str, object]:
        """As Spark logs it."""
        found: dict[str, object] = {"seq": self.seq, "drops": [span.to_json() for span in self.drops]}
        found["lying"] = dict(self.lying)
        return found | {"profiles": dict(self.profiles)} if self.profiles else found

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Offset:
        """The inverse of `to_json`. Raises ValueError, KeyError or TypeError for something else."""
        drops = tuple(Span.from_json(span) for span in fields["drops"])
        return cls(int(fields["seq"]), drops, dict(fields["lying"]), dict(fields.get("profiles", {})))


EMPTY_OFFSET = Offset(0, (), {})


def digest(version: Version) -> str:
    """Eight bytes, in hexadecimal, that stand for one version of one object."""
    identity = "\0".join(
        (version.key, version.etag, version.version or "", version.modified.isoformat(), str(version.size))
    )
    return hashlib.blake2b(identity.encode(), digest_size=8).hexdigest()


def batch_digest(drops: Iterable[Span]) -> str:
    """SHA-256, in hexadecimal, of the list of drops of a batch as it stands in its offset."""
    return hashlib.sha256(json.dumps([span.to_json() for span in drops]).encode()).hexdigest()
