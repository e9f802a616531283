"""Copies one version of an object inside S3, with its metadata and tags, and says whether a copy is whole.

An object that was uploaded in parts is copied in the same parts: then its ETag stays the same, and the copy can be
checked without reading it.
"""

from __future__ import annotations

import contextlib
import itertools
import math
import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from botocore.exceptions import BotoCoreError, ClientError
from s3_objects import Found, settled

from streaming.errors import StorageError, VanishedError
from streaming.s3_codes import MISSING, UNMET, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mypy_boto3_s3.client import S3Client

_HEADERS = ("CacheControl", "ContentDisposition", "ContentEncoding", "ContentLanguage", "ContentType", "Expires")
_MOST_PARTS = 10_000
_LAST_SECONDS = 30.0  # for what follows: to put the parts together, to delete, to write the done receipt
_BY_HAND = (
    "if this happens each time, the file is too large for one call. Then copy the whole file there by hand and delete "
    "that version from the input; the next sweep ends its receipt"
)

BYTES_PER_SECOND = 50e6
"""Of one part that S3 copies, or of a comparison. Usually these are faster."""


@dataclass(frozen=True, slots=True)
class CopyLimits:
    """Bytes: of one CopyObject (S3 takes 5 GiB), of a part if the source's parts are not known, of one read.

    parts_at_once: requests for the parts of one file. At 50 MB/s each, 48 copy 2 TB in the 15 minutes of a Lambda. It
    may have 1,024 threads: sixteen such files at once stay below that.
    """

    largest_copy: int = 5 << 30
    part: int = 256 << 20
    read: int = 8 << 20
    parts_at_once: int = 48


def copy(
    s3: S3Client, source: Found, bucket: str, key: str, limits: CopyLimits, *, time_left: Callable[[], float]
) -> bool:
    """Copies to a key that nothing has. False: something has it, and nothing was changed.

    The copy appears as a whole or not at all. time_left: seconds. Raises `StorageError` when they run out,
    `VanishedError` if the source is no longer there.
    """
    to: dict[str, Any] = {"Bucket": bucket, "Key": key}
    try:
        part = _part_size(s3, source, limits)
        if part is None:
            whole: dict[str, Any] = {
                "CopySource": source.exactly(),
                "CopySourceIfMatch": f'"{source.etag}"',
                "IfNoneMatch": "*",
            }
            settled(lambda: s3.copy_object(**to, **whole))
        else:
            settled(lambda: _copy_in_parts(s3, source, to, part, at_once=limits.parts_at_once, time_left=time_left))
    except ClientError as error:
        if code_of(error) in UNMET:  # or, without versioning, the source was replaced: whoever looks again sees it
            return False
        if code_of(error) in MISSING:
            msg = f"{source.url} (version {source.version}) went away before it was copied"
            raise VanishedError(msg) from error
        raise
    return True


def same(s3: S3Client, source: Found, other: Found, limits: CopyLimits, time_left: Callable[[], float]) -> bool:
    """Whether both have the same bytes: by size, ETag and checksum. If these do not tell, by reading both.

    time_left: seconds. Raises `StorageError` when they run out, `VanishedError` if one of them goes meanwhile.
    """
    if source.size != other.size:
        return False
    if source.etag == other.etag:
        return True
    verdict = _same_checksum(source, other)
    return _same_bytes(s3, source, other, limits, time_left) if verdict is None else verdict


def _same_checksum(source: Found, other: Found) -> bool | None:
    """None: no checksum that both have, or one made of those of the parts, which may differ for the same bytes."""
    common = _checksums(source.head) & _checksums(other.head)
    if any(source.head[name] == other.head[name] for name in common):
        return True
    whole = source.head.get("ChecksumType") == other.head.get("ChecksumType") == "FULL_OBJECT"
    return False if common and whole else None


def _same_bytes(s3: S3Client, source: Found, other: Found, limits: CopyLimits, time_left: Callable[[], float]) -> bool:
    for start in range(0, source.size, limits.read):
        if time_left() < _LAST_SECONDS:
            msg = f"no time is left to compare {other.url} with {source.url} (version {source.version}): {start} of "
            msg += f"{source.size} bytes are equal; {_BY_HAND}"
            raise StorageError(msg)
        end = min(start + limits.read, source.size)
        if _bytes(s3, source, start, end) != _bytes(s3, other, start, end):
            return False
    return True


def _bytes(s3: S3Client, of: Found, start: int, end: int) -> bytes:
    try:
        answer = s3.get_object(**of.exactly(), IfMatch=f'"{of.etag}"', Range=f"bytes={start}-{end - 1}")
        return answer["Body"].read()
    except ClientError as error:
        if code_of(error) in MISSING | UNMET:
            msg = f"{of.url} (version {of.version}) went away before it was compared"
            raise VanishedError(msg) from error
        raise


def _part_size(s3: S3Client, source: Found, limits: CopyLimits) -> int | None:
    """Bytes of each part but the last; None: one CopyObject."""
    parts = re.search(r"-(\d+)\Z", source.etag)
    if parts is not None and source.size > 0:
        first = s3.head_object(**source.exactly(), PartNumber=1)["ContentLength"]
        if first > 0 and math.ceil(source.size / first) == int(parts[1]):
            return first
    if source.size < limits.largest_copy:
        return None
    return max(limits.part, math.ceil(source.size / _MOST_PARTS))


def _copy_in_parts(
    s3: S3Client, source: Found, to: dict[str, Any], size: int, *, at_once: int, time_left: Callable[[], float]
) -> None:
    """After a crash there is an unfinished upload. No reader sees it, and a lifecycle rule of the bucket removes it."""
    where = f"s3://{to['Bucket']}/{to['Key']}"
    enough = _LAST_SECONDS + min(size, source.size) / BYTES_PER_SECOND
    to = to | {"UploadId": s3.create_multipart_upload(**to, **_described(s3, source))["UploadId"]}

    def copied(numbered: tuple[int, int]) -> dict[str, Any]:
        number, start = numbered
        if time_left() < enough:
            msg = f"no time is left to copy {source.url} (version {source.version}) to {where} after {start} of "
            msg += f"{source.size} bytes; {_BY_HAND}"
            raise StorageError(msg)
        last = min(start + size, source.size) - 1
        # S3 takes a range only of what is larger than 5 MB
        part: Any = {} if source.size <= size else {"CopySourceRange": f"bytes={start}-{last}"}
        answer: Any = s3.upload_part_copy(
            **to,
            PartNumber=number,
            CopySource=source.exactly(),  # type: ignore[arg-type] # a dict of the same shape
            CopySourceIfMatch=f'"{source.etag}"',
            **part,
        )["CopyPartResult"]
        return {"PartNumber": number} | {name: answer[name] for name in ("ETag", *_checksums(answer))}

    try:
        with ThreadPoolExecutor(at_once) as pool:
            parts: Any = list(pool.map(copied, zip(itertools.count(1), range(0, source.size, size), strict=False)))
        s3.complete_multipart_upload(**to, MultipartUpload={"Parts": parts}, IfNoneMatch="*")
    except Exception:
        with contextlib.suppress(ClientError, BotoCoreError):  # the error proper goes on; see above for what is left
            s3.abort_multipart_upload(**to)
        raise


def _described(s3: S3Client, source: Found) -> dict[str, Any]:
    """What CopyObject would copy by itself: headers, metadata, tags, and the kind of the checksum."""
    described: dict[str, Any] = {name: source.head[name] for name in _HEADERS if name in source.head}
    described["Metadata"] = source.head.get("Metadata", {})
    tags = s3.get_object_tagging(**source.exactly())["TagSet"]
    if tags:
        described["Tagging"] = urlencode({tag["Key"]: tag["Value"] for tag in tags}, quote_via=quote)
    for checksum in _checksums(source.head):  # at most one
        described["ChecksumAlgorithm"] = checksum.removeprefix("Checksum")
        if "ChecksumType" in source.head:
            described["ChecksumType"] = source.head["ChecksumType"]
    return described


def _checksums(answer: Mapping[str, Any]) -> set[str]:
    return {name for name in answer if name.startswith("Checksum") and name != "ChecksumType"}
