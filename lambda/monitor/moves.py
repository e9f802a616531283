"""Moves the file of one receipt from the input to the bucket that its fate names.

Delivery: at least once, to the same name. Nothing is overwritten. First the copy is whole, then exactly the version
that the receipt names is deleted, then the receipt is done, then it stops being pending. After a crash between any two
requests, or beside another call for the same receipt, the same call again ends in the same state. Without versioning
(version `null`) the ETag tells the file from a newer one.

Least rights. Receipts bucket: ListBucket; GetObject, PutObject, DeleteObject on `receipts/*`; GetObject, PutObject on
`moves/*`. Input: ListBucket, ListBucketVersions; GetObjectVersion, GetObjectVersionTagging, DeleteObjectVersion under
the prefix (without versioning also GetObject, GetObjectTagging, DeleteObject). Targets: ListBucket; GetObject,
PutObject, PutObjectTagging, AbortMultipartUpload. Keys of KMS, if any: Decrypt; for receipts and targets
GenerateDataKey.
"""

from __future__ import annotations

import contextlib
import enum
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError
from s3_objects import Found, create, look, read, read_with_etag

from monitor import receipts as receipt_objects
from monitor.copies import BYTES_PER_SECOND, CopyLimits, copy, same
from monitor.names import TargetNames, reason_key
from streaming.errors import StorageError, VanishedError
from streaming.s3_codes import MISSING, UNMET, code_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3.client import S3Client

    from monitor.receipts import PendingReceipt

_BEGIN_SECONDS = 60.0  # a small file needs far less than one; the rest is for a slow S3 and for what follows the moves
_LONGEST_SECONDS = 600.0  # a larger file is begun too: its parts are copied at the same time, until no time is left
_LOOKS = 3


class Outcome(enum.Enum):
    """What one call has done for one receipt."""

    MOVED = "moved"
    GONE = "gone"
    """Its version is neither in the input nor at the target: nothing is left to move."""
    ALREADY = "already"
    """It was done, or is no longer there."""
    LEFT = "left"
    """Not begun, for lack of time."""


@dataclass(frozen=True, slots=True)
class Moved:
    """seq and key of the drop, where its file is now (`s3://…`)."""

    outcome: Outcome
    seq: int | None = None
    key: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Buckets:
    """The names of the buckets, and the prefix of the input: empty, or ending with `/`."""

    receipts: str
    input: str
    prefix: str
    success: str
    failed: str


class ReceiptMoves:
    """Moves by receipts, also from several threads. time_left: seconds until this process is stopped."""

    def __init__(
        self, s3: S3Client, buckets: Buckets, time_left: Callable[[], float], limits: CopyLimits | None = None
    ) -> None:
        self._s3 = s3
        self._buckets = buckets
        self._time_left = time_left
        self._limits = limits or CopyLimits()

    def move(self, name: str) -> Moved:
        """Moves the file of the receipt that has this key in the receipts bucket.

        Raises `UnreadableReceiptError` for what is no receipt, and what S3 refuses as it comes.
        """
        if self._time_left() < _BEGIN_SECONDS:
            return Moved(Outcome.LEFT)
        found = read_with_etag(self._s3, self._buckets.receipts, name)
        if found is None:
            return Moved(Outcome.ALREADY)
        data, etag = found
        receipt = receipt_objects.parsed(name, data)
        if self._time_left() < _BEGIN_SECONDS + min(receipt.size / BYTES_PER_SECOND, _LONGEST_SECONDS):
            return Moved(Outcome.LEFT, receipt.seq, receipt.key)
        outcome, target = self._end(receipt)
        receipt_objects.delete_pending(self._s3, self._buckets.receipts, receipt, etag)
        return Moved(outcome, receipt.seq, receipt.key, target)

    def _end(self, receipt: PendingReceipt) -> tuple[Outcome, str | None]:
        """All requests but the last. May be done again from the beginning."""
        if receipt_objects.is_done(self._s3, self._buckets.receipts, receipt):
            return Outcome.ALREADY, None
        bucket = self._buckets.failed if receipt.failed else self._buckets.success
        key = self._brought(receipt, bucket)
        if key is None:
            new = receipt_objects.write_done(
                self._s3, self._buckets.receipts, receipt, {"moved_to": None, "moved": "gone"}
            )
            return Outcome.GONE if new else Outcome.ALREADY, None
        if receipt.failed:
            self._write_reason(receipt, bucket, reason_key(key))
        self._delete(receipt)
        target = f"s3://{bucket}/{key}"
        receipt_objects.write_done(self._s3, self._buckets.receipts, receipt, {"moved_to": target})
        return Outcome.MOVED, target

    def _brought(self, receipt: PendingReceipt, bucket: str) -> str | None:
        """The key at the target that has the whole file now; None: the file is nowhere."""
        names = TargetNames(self._s3, self._buckets.receipts, bucket, receipt)
        for _ in range(_LOOKS):
            source = self._source(receipt)
            if source is None:
                return self._left_at(receipt, bucket, names)
            # what vanishes: another call for this receipt ends it, or somebody deletes the version or its copy
            with contextlib.suppress(VanishedError):
                return self._copied(source, bucket, names)
        msg = f"{receipt.key!r} (version {receipt.version}) comes and goes; it is moved once it stays"
        raise StorageError(msg)

    def _left_at(self, receipt: PendingReceipt, bucket: str, names: TargetNames) -> str | None:
        """If the file is no longer in the input: where an earlier call has put it. None: nowhere."""
        for key in names.known():
            there = look(self._s3, bucket, key)
            if there is not None and there.size == receipt.size:  # it was compared before its source was deleted
                return key
        self._s3.head_bucket(Bucket=self._buckets.input)  # HeadObject says the same of a bucket that is not there
        return None

    def _copied(self, source: Found, bucket: str, names: TargetNames) -> str:
        for key, found in names.reserved():
            made = found is None and copy(self._s3, source, bucket, key, self._limits, time_left=self._time_left)
            there = found or look(self._s3, bucket, key)
            if there is not None and same(self._s3, source, there, self._limits, self._time_left):
                return key
            if made or there is None:
                msg = f"s3://{bucket}/{key}: expected a copy of {source.url} with {source.size} bytes, got "
                msg += f"{there and there.size}; the original stays until a copy is whole"
                raise StorageError(msg)
        msg = f"no name is free for {source.url} in {bucket}: look at what has similar names there"
        raise StorageError(msg)

    def _source(self, receipt: PendingReceipt) -> Found | None:
        """The version that the receipt names, if it is there."""
        bucket, key = self._buckets.input, self._buckets.prefix + receipt.key
        if receipt.version != "null":
            return look(self._s3, bucket, key, receipt.version)
        found = look(self._s3, bucket, key)
        # the bucket has or had versions since, or may have, with a delete marker on top
        if found is None or "VersionId" in found.head:
            found = look(self._s3, bucket, key, "null")
        return found if found is not None and found.etag == receipt.etag else None

    def _write_reason(self, receipt: PendingReceipt, bucket: str, key: str) -> None:
        body = json.dumps(receipt.body, indent=1).encode()
        if not create(self._s3, bucket, key, body) and read(self._s3, bucket, key) != body:
            msg = f"s3://{bucket}/{key} should say why {receipt.key!r} failed, but another file has this name now. "
            msg += "Nothing is overwritten: give that file another name"
            raise StorageError(msg)

    def _delete(self, receipt: PendingReceipt) -> None:
        """Deletes exactly this version. A newer one and a delete marker stay."""
        key = self._buckets.prefix + receipt.key
        if receipt.version != "null":
            self._s3.delete_object(Bucket=self._buckets.input, Key=key, VersionId=receipt.version)
            return
        found = self._source(receipt)
        if found is None:
            return
        if found.version is not None:  # cannot be replaced, unless versions are suspended again
            self._s3.delete_object(**found.exactly())
            return
        try:
            self._s3.delete_object(**found.exactly(), IfMatch=f'"{found.etag}"')
        except ClientError as error:
            if code_of(error) not in UNMET | MISSING:  # a newer file stays
                raise
