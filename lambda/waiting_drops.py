"""How many drops lie in the input and for how long: what no receipt has taken away yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.errors import StorageError
from streaming.storage import is_drop_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from mypy_boto3_s3.client import S3Client

_LAST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Waiting:
    """drops: their number; oldest_seconds: age of the oldest, 0 without one; too_long: the keys of those too old."""

    drops: int
    oldest_seconds: float
    too_long: list[str]


def waiting(
    s3: S3Client, bucket: str, prefix: str, *, now: datetime, limit_seconds: float, time_left: Callable[[], float]
) -> Waiting:
    """Looks at every version under the prefix; those at or under a delete marker and unfinished names are no drops.

    limit_seconds: the age above which a drop is too old. Raises `StorageError` when time_left (seconds) runs out.
    """
    versions: list[tuple[str, datetime]] = []
    marked: dict[str, datetime] = {}
    deleted: set[str] = set()
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        found = ((entry["Key"], entry["Size"], entry["LastModified"]) for entry in page.get("Versions", ()))
        versions += [(key, at) for key, size, at in found if _is_drop(key[len(prefix) :], size)]
        for marker in page.get("DeleteMarkers", ()):
            at = marker["LastModified"]
            marked[marker["Key"]] = max(at, marked.get(marker["Key"], at))
            if marker["IsLatest"]:
                deleted.add(marker["Key"])
        if time_left() < _LAST_SECONDS:
            msg = f"no time is left to count what waits in s3://{bucket}/{prefix} after {len(versions)} versions"
            raise StorageError(msg)
    # times have seconds: of what was put and deleted in the same one, what is on top counts
    lying = [(key, at) for key, at in versions if key not in deleted and at >= marked.get(key, at)]
    ages = sorted((((now - at).total_seconds(), key) for key, at in lying), reverse=True)
    too_long = [key for age, key in ages if age > limit_seconds]
    return Waiting(len(ages), max(ages[0][0], 0.0) if ages else 0.0, too_long)


def _is_drop(key: str, size: int) -> bool:
    """As the job's listing has it."""
    last = key.rpartition("/")[2]
    return bool(key) and (bool(last) or size > 0) and is_drop_name(last) and "\0" not in key
