"""The receipts in their bucket: which are pending, what each says, which are done.

A receipt is pending under `receipts/` until its file has left the input, then it lies under `receipts/done/`: the same
body with `moved_to`. It is done before it stops being pending, so it always is one of the two.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from s3_objects import create, read, settled

from streaming.errors import StockETLError, StorageError
from streaming.s3_codes import MISSING, UNMET, code_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3.client import S3Client

PENDING = "receipts/"
DONE = "receipts/done/"

_NAME = re.compile(r"receipts/(\d{9,})\.json")
_IDENTITY = ("seq", "checkpoint_id", "key", "version_id", "etag")


class UnreadableReceiptError(StockETLError):
    """An object among the receipts is not a receipt. It is left alone, and a person has to look at it."""


@dataclass(frozen=True, slots=True)
class PendingReceipt:
    """What the receipt of a drop says of its file.

    name: the receipt's key in their bucket; key: relative to the input prefix; version: S3 version id, `null`
    without versioning; etag: without quotes; size in bytes; failed: its fate; body: all of it.
    """

    name: str
    seq: int
    key: str
    version: str
    etag: str
    size: int
    failed: bool
    body: dict[str, Any]

    @property
    def identity(self) -> dict[str, Any]:
        """Differs from that of every other receipt, even if a job began anew and counts from 1 again."""
        return {name: self.body.get(name) for name in _IDENTITY}


def is_pending(key: str) -> bool:
    """Whether this key of their bucket lies among the pending receipts."""
    return key.startswith(PENDING) and "/" not in key[len(PENDING) :] and key != PENDING


def pending(s3: S3Client, bucket: str) -> Iterator[str]:
    """The keys among the pending receipts, lowest seq first."""
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=PENDING, Delimiter="/")
    return (entry["Key"] for page in pages for entry in page.get("Contents", ()) if is_pending(entry["Key"]))


def parsed(name: str, data: bytes) -> PendingReceipt:
    """The receipt; raises `UnreadableReceiptError` if it cannot say which file it means."""
    try:
        body = json.loads(data)
        version = "null" if body["version_id"] is None else body["version_id"]
        receipt = PendingReceipt(
            name, body["seq"], body["key"], version, body["etag"], body["size"], body["fate"] == "failed", body
        )
        wrong = [
            field
            for field, right in {
                "seq": _NAME.fullmatch(name) is not None and name == f"{PENDING}{receipt.seq:09d}.json",
                "key": isinstance(receipt.key, str) and receipt.key != "",
                "version_id": isinstance(version, str) and version != "",
                "etag": isinstance(receipt.etag, str) and receipt.etag != "",
                "size": type(receipt.size) is int and receipt.size >= 0,
                "fate": body["fate"] in {"success", "failed"},
            }.items()
            if not right
        ]
    except (ValueError, LookupError, TypeError) as error:
        msg = f"{name!r} is not a receipt ({type(error).__name__}: {error}); it is left alone: find out who wrote it"
        raise UnreadableReceiptError(msg) from error
    if wrong:
        msg = f"{name!r} is not a receipt: wrong {', '.join(wrong)}; it is left alone: find out who wrote it"
        raise UnreadableReceiptError(msg)
    return receipt


def is_done(s3: S3Client, bucket: str, receipt: PendingReceipt) -> bool:
    """Whether any call of the monitor has moved the file."""
    for key in _done_keys(receipt):
        of = _is_of(s3, bucket, key, receipt)
        if of is not False:
            return of is True
    return False


def write_done(s3: S3Client, bucket: str, receipt: PendingReceipt, result: dict[str, Any]) -> bool:
    """Writes the done receipt. False: there was one, which stays."""
    body = json.dumps({**receipt.body, **result}, indent=1).encode()
    for key in _done_keys(receipt):
        if create(s3, bucket, key, body):
            return True
        if _is_of(s3, bucket, key, receipt) is True:
            return False
    msg = f"{_done_keys(receipt)!r} in {bucket} belong to other drops than {receipt.name!r}; move them away"
    raise StorageError(msg)


def delete_pending(s3: S3Client, bucket: str, receipt: PendingReceipt, etag: str) -> None:
    """Removes the pending receipt, if it still has this ETag (in quotes).

    A job that began anew may have written one of another drop under the same name meanwhile: it stays.
    """
    try:
        settled(lambda: s3.delete_object(Bucket=bucket, Key=receipt.name, IfMatch=etag))
    except ClientError as error:
        if code_of(error) not in UNMET | MISSING:
            raise


def _done_keys(receipt: PendingReceipt) -> tuple[str, str]:
    """The usual name, and the one to use if a job began anew and the usual name has another drop's receipt."""
    return f"{DONE}{receipt.seq:09d}.json", f"{DONE}{receipt.seq:09d}.{receipt.body.get('checkpoint_id')}.json"


def _is_of(s3: S3Client, bucket: str, key: str, receipt: PendingReceipt) -> bool | None:
    """Whether the done receipt under this key is of this drop; None: there is none."""
    data = read(s3, bucket, key)
    if data is None:
        return None
    body = json.loads(data)
    return all(body.get(name) == value for name, value in receipt.identity.items())
