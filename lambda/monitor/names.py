"""Which name a file gets at its target. An object beside the receipts reserves it for one receipt, for ever.

The reservation comes before the copy and is never changed, so whatever has a name without a reservation was put there
by somebody else, and a second call for the same receipt finds the same name.
"""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from s3_objects import Found, create, look, read

from streaming.receipts.names import numbered, within

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3.client import S3Client

    from monitor.receipts import PendingReceipt

_REASON = ".reason.json"
_LONGEST_KEY = 1024  # bytes of UTF-8, S3's limit
_NAMES = 100


class TargetNames:
    """The names in the bucket `target` for one receipt; `reservations`: the bucket of those."""

    def __init__(self, s3: S3Client, reservations: str, target: str, receipt: PendingReceipt) -> None:
        self._s3 = s3
        self._reservations = reservations
        self._target = target
        self._receipt = receipt

    def reserved(self) -> Iterator[tuple[str, Found | None]]:
        """Names that belong to this receipt from now on, the best first, and what lies there.

        The file's own key, else the seq before the suffixes (`a.12.csv`). For a failed file the name of its reason is
        reserved along with it.
        """
        for key in self._candidates():
            found = look(self._s3, self._target, key)
            if self._reserve(key, free=found is None) and (not self._receipt.failed or self._reserve_reason(key)):
                yield key, found

    def known(self) -> Iterator[str]:
        """The names that earlier calls have reserved for this receipt. Reserves nothing."""
        for key in self._candidates():
            owner = self._owner(key)
            if owner is None:
                return
            if owner == self._receipt.identity:
                yield key

    def _candidates(self) -> Iterator[str]:
        key, seq = within(self._receipt.key), self._receipt.seq
        yield key
        yield numbered(key, seq)
        for n in range(2, _NAMES):
            yield numbered(key, f"{seq}-{n}")

    def _reserve_reason(self, key: str) -> bool:
        name = reason_key(key)
        return self._reserve(name, free=look(self._s3, self._target, name) is None)

    def _reserve(self, key: str, *, free: bool) -> bool:
        """Whether the name is this receipt's. If it is neither free nor reserved, nobody gets it."""
        owner = self._receipt.identity if free else dict.fromkeys(self._receipt.identity)
        body = json.dumps({**owner, "target": f"s3://{self._target}/{key}"}, indent=1).encode()
        if create(self._s3, self._reservations, self._reservation(key), body):
            return free
        return self._owner(key) == self._receipt.identity

    def _owner(self, key: str) -> dict[str, Any] | None:
        data = read(self._s3, self._reservations, self._reservation(key))
        if data is None:
            return None
        body = json.loads(data)
        return {name: body.get(name) for name in self._receipt.identity}

    def _reservation(self, key: str) -> str:
        return f"moves/{hashlib.sha256(f'{self._target}/{key}'.encode()).hexdigest()}.json"


def reason_key(key: str) -> str:
    """The name of the reason beside a failed file. If that is too long, its beginning and a digest."""
    name = key + _REASON
    if len(name.encode()) <= _LONGEST_KEY:
        return name
    tail = f"~{hashlib.sha256(key.encode()).hexdigest()[:16]}{_REASON}"
    return key.encode()[: _LONGEST_KEY - len(tail)].decode(errors="ignore") + tail
