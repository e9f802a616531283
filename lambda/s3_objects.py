"""One object of S3: what it is, the bytes of a small one, and a write that never replaces anything.

If an object is missing, that is an answer here (None, False), not an error. S3 says "missing" only to a caller that may
list the bucket. To all others it says "access denied", which is an error.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.exceptions import ClientError

from streaming.s3_codes import BUSY, MISSING, UNMET, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime

    from mypy_boto3_s3.client import S3Client

T = TypeVar("T")
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there.

    version: its id, or None if the current object is meant; etag: without quotes; size in bytes; head: all that
    HeadObject says.
    """

    bucket: str
    key: str
    version: str | None
    etag: str
    size: int
    head: Mapping[str, Any]

    @property
    def url(self) -> str:
        """As people write it."""
        return f"s3://{self.bucket}/{self.key}"

    def exactly(self) -> dict[str, Any]:
        """The parameters that name it in a request, and as the source of a copy."""
        named = {"Bucket": self.bucket, "Key": self.key}
        return named if self.version is None else named | {"VersionId": self.version}


def look(s3: S3Client, bucket: str, key: str, version: str | None = None) -> Found | None:
    """The object, or this version of it; None if there is none."""
    named: dict[str, Any] = {} if version is None else {"VersionId": version}
    try:
        head = s3.head_object(Bucket=bucket, Key=key, ChecksumMode="ENABLED", **named)
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise
    return Found(bucket, key, version, head["ETag"].strip('"'), head["ContentLength"], head)


def read(s3: S3Client, bucket: str, key: str) -> bytes | None:
    """A small object's bytes; None if there is none."""
    found = read_with_etag(s3, bucket, key)
    return None if found is None else found[0]


def read_with_etag(s3: S3Client, bucket: str, key: str) -> tuple[bytes, str] | None:
    """A small object's bytes and its ETag, in quotes, for a condition; None if there is none."""
    try:
        answer = s3.get_object(Bucket=bucket, Key=key)
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise
    return answer["Body"].read(), answer["ETag"]


def written_at(s3: S3Client, bucket: str, key: str) -> datetime | None:
    """When a small object was last written, in UTC; None if there is none."""
    try:
        return s3.get_object(Bucket=bucket, Key=key)["LastModified"].astimezone(UTC)
    except ClientError as error:
        if code_of(error) in MISSING:
            return None
        raise


def create(s3: S3Client, bucket: str, key: str, body: bytes) -> bool:
    """Writes a JSON object under a key that nothing has. False: something has it, and nothing was changed.

    Of two callers at the same moment one gets True. An answer that is lost makes boto3 ask again, so False may also
    stand for a write of one's own: look whose it is.
    """
    try:
        settled(
            lambda: s3.put_object(Bucket=bucket, Key=key, Body=body, ContentType="application/json", IfNoneMatch="*")
        )
    except ClientError as error:
        if code_of(error) in UNMET:
            return False
        raise
    return True


def settled(request: Callable[[], T]) -> T:
    """What the request gives. While it meets another write of the same key, it is made again after growing pauses."""
    pauses = iter(_PAUSES)
    while True:
        try:
            return request()
        except ClientError as error:
            pause = next(pauses, None)
            if code_of(error) not in BUSY or pause is None:
                raise
            time.sleep(pause)
