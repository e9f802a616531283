"""Copies objects of S3 into an input so that a job loads them in a given order, many at a time.

A job loads drops in order of (last modified, key), and S3 gives each copy the time of its making, in whole seconds. So
the copies carry their number in front, and are made in blocks, one after the other: within one second the numbers
decide. If a block meets the end of a second, some of its copies may be out of order: these are made again. If copies
take long, most blocks meet one, so a block that was out of order makes the next one smaller.

May be cut off and run again with the same sources at any time: what is there in order stays, all else is made anew.
Delivery: exactly once under each number, as long as nobody else writes there.
"""

from __future__ import annotations

import itertools
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streaming.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import CopySourceTypeDef, ObjectIdentifierTypeDef

AT_ONCE = 64
_LARGEST_COPY = 5 << 30  # CopyObject takes no more: docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
_MOST_DELETES = 1000
_TRIES = 10
_PAUSE_SECONDS = 1.0
_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Source:
    """A version of an object; name: the key that its copy gets behind its number; version: None for the current one."""

    bucket: str
    key: str
    version: str | None
    size: int
    name: str


@dataclass(frozen=True, slots=True)
class _Copy:
    key: str
    version: str
    modified: datetime


def fill(
    s3: S3Client,
    sources: Sequence[Source],
    bucket: str,
    prefix: str,
    *,
    told: Callable[[int], None],
    at_once: int = AT_ONCE,
) -> None:
    """Copies the sources to `prefix/NNNNNNNNN/name`, so that S3's times and keys have their order.

    What else lies below this prefix is removed: nobody else may use it. told: called with the number of copies that are
    there. Raises StorageError where a source is gone, and where blocks are out of order again and again.
    """
    prefix = f"{prefix.rstrip('/')}/"
    wanted = [(f"{prefix}{number:09d}/{source.name}", source) for number, source in enumerate(sources, 1)]
    there, last = _in_order(s3, bucket, prefix, wanted)
    told(there)
    size, in_vain = at_once, 0
    with ThreadPoolExecutor(at_once) as pool:
        while block := _block(wanted, there, size):
            copies = list(pool.map(lambda one: copied(s3, one[1], bucket, one[0]), block))
            times = [last, *(copy.modified for copy in copies)]
            good = next((n for n, (one, other) in enumerate(itertools.pairwise(times)) if other < one), len(copies))
            delete(s3, bucket, [(copy.key, copy.version) for copy in copies[good:]])
            there, last = there + good, times[good]
            size = min(at_once, 2 * size) if good == len(block) else max(1, len(block) // 2)
            told(there)
            in_vain = 0 if good else in_vain + 1
            if in_vain == _TRIES:
                msg = f"{block[0][0]!r} in {bucket} is older than the copy before it after {_TRIES} tries; try again"
                raise StorageError(msg)
            if in_vain:
                time.sleep(_PAUSE_SECONDS)  # S3's clocks are apart


def _block(wanted: Sequence[tuple[str, Source]], start: int, size: int) -> Sequence[tuple[str, Source]]:
    """The next ones, which are copied at once; alone if it is copied in parts: it has the time of its beginning."""
    block = wanted[start : start + size]
    large = next((n for n, (_, source) in enumerate(block) if source.size >= _LARGEST_COPY), len(block))
    return block[: max(1, large)]


def copied(s3: S3Client, source: Source, bucket: str, key: str) -> _Copy:
    """One object, with its metadata. Raises StorageError where it is gone."""
    of: CopySourceTypeDef = {"Bucket": source.bucket, "Key": source.key}
    if source.version is not None:
        of["VersionId"] = source.version
    try:
        if source.size < _LARGEST_COPY:
            answer = s3.copy_object(CopySource=of, Bucket=bucket, Key=key)
            return _Copy(key, answer.get("VersionId", "null"), answer["CopyObjectResult"]["LastModified"])
        s3.copy(of, bucket, key)
        head = s3.head_object(Bucket=bucket, Key=key)
        return _Copy(key, head.get("VersionId", "null"), head["LastModified"])
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] not in {"NoSuchKey", "NoSuchVersion", "404"}:
            raise
        msg = f"s3://{source.bucket}/{source.key} (version {source.version}) is gone: put it back, then try again"
        raise StorageError(msg) from error


def _in_order(s3: S3Client, bucket: str, prefix: str, wanted: Sequence[tuple[str, Source]]) -> tuple[int, datetime]:
    """How many of the first copies are there, in order, and the time of the last; all others are removed."""
    found: dict[str, list[tuple[datetime, str, int]]] = {}
    surplus: list[tuple[str, str]] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix):
        for one in page.get("Versions", ()):
            found.setdefault(one["Key"], []).append((one["LastModified"], one["VersionId"], one["Size"]))
        surplus += [(one["Key"], one["VersionId"]) for one in page.get("DeleteMarkers", ())]
    count, last = 0, _LONG_AGO
    for key, source in wanted:
        versions = found.get(key, [])
        if len(versions) != 1 or versions[0][2] != source.size or versions[0][0] < last:
            break
        last = versions[0][0]
        count += 1
    kept = {key for key, _ in wanted[:count]}
    surplus += [(key, version) for key, of in found.items() if key not in kept for _, version, _ in of]
    delete(s3, bucket, surplus)
    return count, last


def delete(s3: S3Client, bucket: str, entries: Sequence[tuple[str, str | None]]) -> None:
    """Deletes these (key, version); version: None for the current one. Raises StorageError where S3 keeps one."""
    for some in (entries[start : start + _MOST_DELETES] for start in range(0, len(entries), _MOST_DELETES)):
        objects: list[ObjectIdentifierTypeDef] = [
            {"Key": key} if version is None else {"Key": key, "VersionId": version} for key, version in some
        ]
        errors = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
        if errors:
            msg = f"s3://{bucket}: {len(errors)} objects could not be deleted, the first is {errors[0]}"
            raise StorageError(msg)


def set_aside(s3: S3Client, bucket: str, prefix: str, target: str, *, at_once: int = AT_ONCE) -> int:
    """Moves all objects below a prefix to below another one of the bucket; how many. May be repeated after a cut."""
    moved, before = 0, -1
    with ThreadPoolExecutor(at_once) as pool:
        while moved > before:  # until nothing was left
            before = moved
            # page after page, not from the start again: a versioned bucket's listing goes through all that was deleted
            for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                listed = page.get("Contents", ())
                sources = [Source(bucket, one["Key"], None, one["Size"], one["Key"]) for one in listed]
                list(pool.map(lambda one: copied(s3, one, bucket, target + one.key), sources))
                delete(s3, bucket, [(one.key, None) for one in sources])
                moved += len(sources)
    return moved
