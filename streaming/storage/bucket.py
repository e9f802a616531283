"""A prefix of an S3 bucket.

Delivery: a drop is one version of one object. It is read, copied and deleted by its version id. So a replay reads the
same bytes, and a newer version is never touched. Keep non-current versions for longer than a drop may wait. Without
versioning a bucket has only the version `null`: if an object is overwritten, its ETag shows it and its drop fails.

Not drops: keys of which a component is no name of a drop, as in a folder (`place.is_drop_name`); folder markers; keys
that hold NUL; what lies under the newest delete marker of its key.
"""

from __future__ import annotations

import io
from contextlib import suppress
from datetime import UTC
from typing import TYPE_CHECKING, BinaryIO, NoReturn, TypedDict, cast

import tenacity
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError

from streaming.aws import client, plain_errors
from streaming.errors import ChangedError, StorageError, UnreadableDropError, VanishedError
from streaming.s3_codes import UNMET, code_of
from streaming.storage.place import CHUNK, Ranges, Version, is_drop_key, is_passed_over
from streaming.storage.refusals import Refusals, absent, is_refused_copy, may_be_of_one_object

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from datetime import datetime

    from mypy_boto3_s3.type_defs import (
        CopySourceTypeDef,
        GetObjectOutputTypeDef,
        HeadObjectOutputTypeDef,
        ObjectVersionTypeDef,
    )

    from streaming.storage.crash_safe import Made
    from streaming.storage.place import Place
    from streaming.storage.refusals import Request

_LARGEST_COPY = 5 << 30  # CopyObject takes no more: docs.aws.amazon.com/AmazonS3/latest/API/API_CopyObject.html
_COPY_PART = 256 << 20


class _Ordered(TypedDict):
    """What `aws` adds to a page: the names of its entries, in their order."""

    Order: list[bytes]


class Bucket:
    """A `Place` under a prefix of a bucket; a key is what follows `prefix/`."""

    longest_component: int | None = None

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        self.url = f"s3://{bucket}/{self._prefix}".rstrip("/")
        self.longest_key = 1024 - len(self._prefix.encode())
        self._refusals = Refusals(self.url, absent(bucket, self._prefix), self._readable)

    def __reduce__(self) -> tuple[type[Bucket], tuple[str, str]]:
        return Bucket, (self._bucket, self._prefix)

    def check(self, *, of_drops: bool = False) -> None:
        """Lists keys or versions, and reads a missing version: only who may read hears from S3 that it is missing."""
        if not of_drops:
            with self._plainly("list"):
                client().list_objects_v2(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
            return
        with self._plainly("list the versions of"):
            client().list_object_versions(Bucket=self._bucket, Prefix=self._prefix, MaxKeys=1)
        with suppress(VanishedError), self._plainly("read drops in"):
            client().get_object(**absent(self._bucket, self._prefix))["Body"].close()

    def versions(self) -> list[Version]:
        """As `Place` says, with one request for each 1,000 versions and delete markers under the prefix."""
        found: list[Version] = []
        marked = None
        for name, entry in self._entries():
            key = name[len(self._prefix) :]
            if entry is None:
                marked = key
            elif key != marked and is_drop_key(key, entry["Size"]):
                found.append(_version(key, entry["ETag"], entry["VersionId"], entry["Size"], entry["LastModified"]))
        found.reverse()  # versions of one key come newest first
        return sorted(found, key=lambda version: (version.modified, version.key))

    def _entries(self) -> Iterator[tuple[str, ObjectVersionTypeDef | None]]:
        """Key and version, None for a delete marker, in the order of the answer: by key, newest first."""
        with self._plainly("list the versions of"):
            pages = client().get_paginator("list_object_versions")
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix):
                versions, markers = iter(page.get("Versions", ())), iter(page.get("DeleteMarkers", ()))
                for name in cast("_Ordered", page)["Order"]:
                    if name == b"DeleteMarker":
                        yield next(markers)["Key"], None
                    else:
                        yield (version := next(versions))["Key"], version

    def claim(self, version: Version, seq: int) -> Version | None:  # noqa: ARG002 - a folder needs it
        """The version itself: it stays by its id."""
        return version

    def passed_over(self) -> list[str]:
        """As `Place` says."""
        with self._plainly("list"):
            pages = client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            found = (
                (entry["Key"][len(self._prefix) :], entry["Size"])
                for page in pages
                for entry in page.get("Contents", ())
            )
            return sorted(key for key, size in found if is_passed_over(key, size))

    def held_back(self) -> dict[str, str]:
        """Nothing: what is listed is admitted."""
        return {}

    def read(self, version: Version, seq: int, start: int = 0, end: int | None = None) -> bytes:  # noqa: ARG002 - as above
        """As `Place` says; a connection that breaks in the middle is tried again."""
        stop = min(version.size if end is None else end, version.size)
        if stop <= start and version.size:
            return b""
        wanted = exactly = self._exactly(version)
        if version.size:
            wanted = {**exactly, "Range": f"bytes={start}-{stop - 1}"}
        with self._plainly(f"read {version.key!r} in"):
            data = self._given(exactly, wanted)
        if len(data) == max(stop - start, 0):
            return data
        msg = f"{version.key!r} in {self.url}: expected {stop - start} bytes from {start}, got {len(data)}"
        raise ChangedError(msg)

    def _given(self, exactly: Request, wanted: Request) -> bytes:
        try:
            return _answer(wanted)[0]
        except ClientError as error:
            if not may_be_of_one_object(error):
                raise
            raise self._refusals.judged(exactly, error) from error

    def _readable(self) -> Iterator[Request]:
        """The requests for what is a drop here."""
        return (self._exactly(version) for version in self.versions())

    def open(self, version: Version, seq: int | None) -> BinaryIO:
        """As `Place` says, in ranges of 8 MiB."""
        return io.BufferedReader(Ranges(self, version, seq or 0), CHUNK)

    def claimed(self) -> set[int]:
        """None: versions stay by themselves."""
        return set()

    def release(self, seq: int) -> None:
        """Nothing to do."""

    def put(self, key: str, data: bytes | Made, *, durable: bool = True) -> None:  # noqa: ARG002 - a folder needs it
        """One PutObject."""
        if not isinstance(data, bytes):
            made = io.BytesIO()
            data(made)
            data = made.getvalue()
        with self._plainly(f"write {key!r} to"):
            client().put_object(Bucket=self._bucket, Key=self._prefix + key, Body=data)

    def get(self, key: str) -> bytes | None:
        """The newest version's bytes."""
        found = self.get_version(key)
        return None if found is None else found[1]

    def get_version(self, key: str) -> tuple[Version, bytes] | None:
        """The newest version."""
        try:
            with self._plainly(f"read {key!r} in"):
                data, found = _answer({"Bucket": self._bucket, "Key": self._prefix + key})
        except VanishedError:
            return None
        return _version_of(key, found), data

    def exists(self, key: str) -> bool:
        """Whether there is an object. A delete marker does not count."""
        return self.head(key) is not None

    def keys(self) -> list[str]:
        """All keys under the prefix."""
        with self._plainly("list"):
            pages = client().get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._prefix)
            return sorted(entry["Key"][len(self._prefix) :] for page in pages for entry in page.get("Contents", ()))

    def head(self, key: str) -> Version | None:
        """The newest version."""
        try:
            with self._plainly(f"look at {key!r} in"):
                found = client().head_object(Bucket=self._bucket, Key=self._prefix + key)
        except VanishedError:
            return None
        return _version_of(key, found)

    def free(self, key: str) -> bool:
        """Whether there is no such object."""
        return self.head(key) is None

    def take(self, source: Place, version: Version, seq: int, key: str) -> None:
        """From another bucket: copied by S3 itself, in parts above 5 GiB; else uploaded, in parts above 8 MiB."""
        with self._plainly(f"copy {version.key!r} to {key!r} in"):
            if not self.free(key):  # before all its bytes are sent
                self._refuse(key)
            try:
                self._write_new(source, version, seq, self._prefix + key)
            except ClientError as error:
                if is_refused_copy(error):
                    msg = f"{version.key!r} cannot be copied to {self.url}: {error}; make it readable, or remove it"
                    raise UnreadableDropError(msg) from error
                if code_of(error) not in UNMET:
                    raise
                there = self.head(key)
                if there is None:  # then the source may be another one now, which this raises
                    source.read(version, seq, 0, 1)
                # if an answer was lost, boto3 asks again, and then meets what it has written itself
                if there is None or not self._is_copy(there, source, version, seq):
                    self._refuse(key)

    def _write_new(self, source: Place, version: Version, seq: int, key: str) -> None:
        """Every write is conditional (`If-None-Match: *`), so nothing is overwritten; `aws` adds that for parts."""
        to = self._bucket
        if isinstance(source, Bucket):
            copied, etag = source._copy_source(version), _quoted(version)  # noqa: SLF001 - another of this class
            if version.size < _LARGEST_COPY:
                client().copy_object(Bucket=to, Key=key, CopySource=copied, CopySourceIfMatch=etag, IfNoneMatch="*")
            else:
                parts = TransferConfig(multipart_chunksize=_COPY_PART)
                client().copy(copied, to, key, Config=parts, ExtraArgs={"CopySourceIfMatch": etag})
        elif version.size <= CHUNK:
            with source.open(version, seq) as data:
                client().put_object(Bucket=to, Key=key, Body=data.read(), IfNoneMatch="*")
        else:
            with source.open(version, seq) as data:  # one part at a time: bounded memory
                client().upload_fileobj(data, to, key, Config=TransferConfig(use_threads=False))

    def _is_copy(self, there: Version, source: Place, version: Version, seq: int) -> bool:
        """By ETag, a small object by its bytes. For a large one, `moves` finds out when it is called again."""
        if there.size != version.size or there.etag == version.etag:
            return there.size == version.size
        return version.size <= CHUNK and self.get(there.key) == source.read(version, seq)

    def _refuse(self, key: str) -> NoReturn:
        msg = f"{key!r} in {self.url} already exists and is not overwritten: give that object another name"
        raise StorageError(msg)

    def delete(self, version: Version, seq: int) -> None:  # noqa: ARG002 - a folder needs it
        """By version id. The one version `null` is compared by its ETag first, a few milliseconds before."""
        try:
            with self._plainly(f"remove {version.key!r} from"):
                if "IfMatch" in (exactly := self._exactly(version)):
                    client().get_object(**exactly)["Body"].close()
                client().delete_object(**self._copy_source(version))
        except VanishedError:
            return  # removed already, or a newer object that stays

    def _exactly(self, version: Version) -> Request:
        named: Request = {"Bucket": self._bucket, "Key": self._prefix + version.key}
        named["VersionId"] = version.version or "null"
        if named["VersionId"] == "null":
            named["IfMatch"] = _quoted(version)
        return named

    def _copy_source(self, version: Version) -> CopySourceTypeDef:
        return {"Bucket": self._bucket, "Key": self._prefix + version.key, "VersionId": version.version or "null"}

    def _plainly(self, what: str) -> AbstractContextManager[None]:
        return plain_errors(f"{what} {self.url}")


@tenacity.retry(
    retry=tenacity.retry_if_exception_type((ResponseStreamingError, IncompleteReadError, ReadTimeoutError)),
    stop=tenacity.stop_after_attempt(4),
    wait=tenacity.wait_random_exponential(multiplier=0.2, max=5),
    reraise=True,
)
def _answer(request: Request) -> tuple[bytes, GetObjectOutputTypeDef]:
    answer = client().get_object(**request)
    return answer["Body"].read(), answer


def _version_of(key: str, answer: GetObjectOutputTypeDef | HeadObjectOutputTypeDef) -> Version:
    version = answer.get("VersionId", "null")
    return _version(key, answer["ETag"], version, answer["ContentLength"], answer["LastModified"])


def _version(key: str, etag: str, version_id: str, size: int, modified: datetime) -> Version:
    return Version(key, etag.strip('"'), version_id, size, modified.astimezone(UTC))


def _quoted(version: Version) -> str:
    return f'"{version.etag}"'
