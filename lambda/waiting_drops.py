"""How many drops lie in the input and for how long: what no receipt has taken away yet."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming.errors import StorageError
from streaming.storage import is_drop_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from datetime import datetime

    from mypy_boto3_s3.client import S3Client

_LAST_SECONDS = 5.0
_KEYS = 5


@dataclass(frozen=True, slots=True)
class Waiting:
    """drops, too_long: how many; oldest_seconds: age of the oldest, 0 without one; oldest: keys of some too long."""

    drops: int
    oldest_seconds: float
    too_long: int
    oldest: list[str]


def waiting(
    s3: S3Client, bucket: str, prefix: str, *, now: datetime, limit_seconds: float, time_left: Callable[[], float]
) -> Waiting:
    """Looks at every version under the prefix; those at or under a delete marker and unfinished names are no drops.

    limit_seconds: the age above which a drop is too old. The memory it takes does not depend on their number. Raises
    `StorageError` when time_left (seconds) runs out.
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
    return Waiting(drops, longest, too_long, [key for age, key in oldest if age > limit_seconds])


def _lying(pages: Iterable[Any], prefix: str) -> Iterator[list[tuple[str, datetime]]]:
    """The drops that wait, a page at a time; the last key of a page comes with the next, which may go on with it."""
    versions: list[Mapping[str, Any]] = []
    markers: list[Mapping[str, Any]] = []
    for page in pages:
        versions += page.get("Versions", ())
        markers += page.get("DeleteMarkers", ())
        last = page.get("NextKeyMarker") if page["IsTruncated"] else None
        yield _on_top(
            [entry for entry in versions if entry["Key"] != last],
            [entry for entry in markers if entry["Key"] != last],
            prefix,
        )
        versions = [entry for entry in versions if entry["Key"] == last]
        markers = [entry for entry in markers if entry["Key"] == last]


def _on_top(
    versions: list[Mapping[str, Any]], markers: list[Mapping[str, Any]], prefix: str
) -> list[tuple[str, datetime]]:
    marked: dict[str, datetime] = {}
    for marker in markers:
        at = marker["LastModified"]
        marked[marker["Key"]] = max(at, marked.get(marker["Key"], at))
    deleted = {marker["Key"] for marker in markers if marker["IsLatest"]}
    # times have seconds: of what was put and deleted in the same one, what is on top counts
    return [
        (entry["Key"], entry["LastModified"])
        for entry in versions
        if is_drop_key(entry["Key"][len(prefix) :], entry["Size"])
        and entry["Key"] not in deleted
        and entry["LastModified"] >= marked.get(entry["Key"], entry["LastModified"])
    ]
