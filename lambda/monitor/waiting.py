"""How many drops lie in the input, and for how long: those that no receipt has moved yet."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streaming.errors import StorageError
from streaming.storage.place import is_drop_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from mypy_boto3_s3.client import S3Client

_LAST_SECONDS = 5.0
_KEYS = 5


@dataclass(frozen=True, slots=True)
class WaitingInput:
    """drops, too_long: how many; oldest_seconds: age of the oldest, else 0; oldest: keys of some that wait too long."""

    drops: int
    oldest_seconds: float
    too_long: int
    oldest: list[str]


def waiting(
    s3: S3Client, bucket: str, prefix: str, *, now: datetime, limit_seconds: float, time_left: Callable[[], float]
) -> WaitingInput:
    """Looks at every version under the prefix. Unfinished names, and what is at or under a delete marker, are no drops.

    limit_seconds: the age above which a drop is too old. The memory it takes does not depend on their number, but for
    the versions of one key. Raises `StorageError` when time_left (seconds) runs out.
    """
    drops = too_long = 0
    oldest: list[tuple[float, str]] = []
    for lying in _lying(s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix), prefix):
        ages = [((now - at).total_seconds(), key) for key, at in lying]
        drops += len(ages)
        too_long += sum(age > limit_seconds for age, _ in ages)
        oldest = heapq.nlargest(_KEYS, oldest + ages)
        if time_left() < _LAST_SECONDS:
            msg = f"no time is left to count what waits in s3://{bucket}/{prefix} after {drops} drops"
            raise StorageError(msg)
    longest = max(oldest[0][0], 0.0) if oldest else 0.0
    return WaitingInput(drops, longest, too_long, [key for age, key in oldest if age > limit_seconds])


@dataclass(slots=True)
class _Key:
    """The versions of one key that may be drops (last modified, whether the newest), and its delete markers.

    marked: last modified of the newest marker; deleted: whether it is on top.
    """

    versions: list[tuple[datetime, bool]] = field(default_factory=list)
    marked: datetime | None = None
    deleted: bool = False

    def lying(self) -> list[datetime]:
        """Of those on top of all markers. Times tell, in seconds; a multipart upload has the time of its beginning."""
        if self.deleted:
            return []
        return [at for at, newest in self.versions if newest or self.marked is None or at >= self.marked]


def _lying(pages: Iterable[Any], prefix: str) -> Iterator[list[tuple[str, datetime]]]:
    """The drops that wait, page by page. The next page may go on with the last key of a page, so it comes with that."""
    seen: dict[str, _Key] = {}
    for page in pages:
        for version in page.get("Versions", ()):
            if is_drop_key(version["Key"][len(prefix) :], version["Size"]):
                found = seen.setdefault(version["Key"], _Key())
                found.versions.append((version["LastModified"], version["IsLatest"]))
        for marker in page.get("DeleteMarkers", ()):
            found = seen.setdefault(marker["Key"], _Key())
            found.marked = max(marker["LastModified"], found.marked or marker["LastModified"])
            found.deleted |= marker["IsLatest"]
        last = page.get("NextKeyMarker") if page["IsTruncated"] else None
        yield [(key, at) for key, found in seen.items() if key != last for at in found.lying()]
        seen = {key: found for key, found in seen.items() if key == last}
