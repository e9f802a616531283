"""S3 in memory, as far as the trigger needs it: `test_trigger_emr` compares it with moto."""

from __future__ import annotations

import hashlib
import io
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from invocation import gate

if TYPE_CHECKING:
    from collections.abc import Callable


class Shelf:
    """S3's conditional writes in memory, one call at a time, where moto would let two writers pass each other."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.objects: dict[tuple[str, str], bytes] = {}
        self._clock = clock
        self.times: dict[tuple[str, str], datetime] = {}
        self.faults: list[str] = []  # of the next puts: "lost", answered only when tried again; "down", never written
        self._lock = threading.Lock()

    def get_object(self, *, Bucket: str, Key: str) -> dict[str, Any]:  # noqa: N803 - boto3's names
        gate(f"GetObject {Key}")
        with self._lock:
            found = self.objects.get((Bucket, Key))
            if found is None:
                raise _error(404, "NoSuchKey")
            return {"Body": io.BytesIO(found), "ETag": _etag(found), "LastModified": self.times[Bucket, Key]}

    def put_object(self, *, Bucket: str, Key: str, Body: bytes, **condition: str) -> dict[str, Any]:  # noqa: N803 - as above
        gate(f"PutObject {Key}")
        with self._lock:
            fault = self.faults.pop() if self.faults and condition else ""
            if fault == "down":
                raise _error(500, "InternalError")
            for _ in range(2 if fault == "lost" else 1):
                found = self.objects.get((Bucket, Key))
                if "IfNoneMatch" in condition and found is not None:
                    raise _error(412, "PreconditionFailed")
                if "IfMatch" in condition and found is None:
                    raise _error(404, "NoSuchKey")
                if "IfMatch" in condition and _etag(found) != condition["IfMatch"]:
                    raise _error(412, "PreconditionFailed")
                self.objects[Bucket, Key] = Body
                self.times[Bucket, Key] = self._clock()
            return {"ETag": _etag(Body)}

    def delete_object(self, *, Bucket: str, Key: str) -> None:  # noqa: N803 - as above
        self.objects.pop((Bucket, Key), None)


def _etag(body: bytes) -> str:
    return f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"'


def _error(status: int, code: str) -> ClientError:
    return ClientError({"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}, "PutObject")
