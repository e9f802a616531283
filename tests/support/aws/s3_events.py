"""New objects of the local S3 as EventBridge publishes them ("Object Created"), kept for whoever delivers them."""

from __future__ import annotations

import threading
import time
import uuid
from datetime import UTC, datetime
from typing import Any


class S3Events:
    """The events since the server's start, numbered from 1."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []

    def created(self, bucket: str, key: str, stored: Any, reason: str) -> None:
        """Notes a new object. stored: moto's."""
        about = {"key": key, "size": stored.size, "etag": stored.etag.strip('"')}
        if stored.version_id and stored.version_id != "null":
            about["version-id"] = stored.version_id
        now = time.time()
        with self._lock:
            about["sequencer"] = f"{time.time_ns():016X}"
            self._events.append(_document(bucket, about, reason, now))

    def after(self, number: int) -> dict[str, Any]:
        """What came after this one: `events`, and `last`, the number to ask with next."""
        with self._lock:
            return {"events": self._events[number:], "last": len(self._events)}


def reason(method: str, query: dict[str, list[str]], *, copied: bool) -> str | None:
    """What made a new object of a request that succeeded; None if it made none."""
    if method == "PUT" and not query.keys() - {"x-id"}:
        return "CopyObject" if copied else "PutObject"
    return "CompleteMultipartUpload" if method == "POST" and "uploadId" in query else None


def _document(bucket: str, about: dict[str, Any], reason: str, now: float) -> dict[str, Any]:
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Object Created",
        "source": "aws.s3",
        "account": "123456789012",
        "time": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "region": "us-east-1",
        "resources": [f"arn:aws:s3:::{bucket}"],
        "detail": {
            "version": "0",
            "bucket": {"name": bucket},
            "object": about,
            "request-id": uuid.uuid4().hex[:16].upper(),
            "requester": "123456789012",
            "source-ip-address": "127.0.0.1",
            "reason": reason,
        },
    }
