"""The objects under `control/` of the state bucket: memory, heartbeat, markers.

Least rights: GetObject and PutObject on `control/*`, and ListBucket on the bucket. Without ListBucket, S3 answers 403
instead of 404 for a missing object.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError
from s3_objects import read_with_etag, written_at

from streaming.s3_codes import BUSY, MISSING, UNMET, code_of
from trigger.errors import ControlError
from trigger.memory import Memory, dump, load
from trigger.situation import Beat

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3.client import S3Client

MEMORY = "control/trigger.json"
HEARTBEAT = "control/heartbeat.json"
STOP = "control/stop"
REPLACE = "control/replace"
REPLACE_CLUSTER = "control/replace-cluster"
_OVERTAKEN = UNMET | BUSY | MISSING  # MISSING: it was deleted since it was read


class Control:
    """warn: gets a text for each thing that is passed over."""

    def __init__(self, s3: S3Client, bucket: str, warn: Callable[[str], None]) -> None:
        self._s3 = s3
        self._bucket = bucket
        self._warn = warn

    def memory(self) -> tuple[Memory, str | None]:
        """The memory and its ETag, None if there is none yet.

        Raises ControlError if it cannot be read: what was started may not be forgotten silently.
        """
        found = self._get(MEMORY)
        if found is None:
            return Memory(), None
        text, etag = found
        try:
            return load(text), etag
        except ControlError as error:
            msg = (
                f"s3://{self._bucket}/{MEMORY}: {error}. Nothing is started until it is mended: see who wrote it; "
                "then, when no action was tried in the last minutes, delete it."
            )
            raise ControlError(msg) from error

    def save(self, memory: Memory, etag: str | None) -> str | None:
        """Writes the memory in the place of the one with this ETag (None: of none).

        Returns the new ETag, or None if another invocation was quicker.
        """
        text = dump(memory)
        condition: Any = {"IfNoneMatch": "*"} if etag is None else {"IfMatch": etag}
        try:
            return self._s3.put_object(Bucket=self._bucket, Key=MEMORY, Body=text, **condition)["ETag"]
        except ClientError as error:
            if code_of(error) not in _OVERTAKEN:
                raise
        found = self._get(MEMORY)
        # the SDK's own second attempt after a lost answer meets what its first one wrote; ids make texts unique
        return found[1] if found is not None and found[0] == text else None

    def heartbeat(self) -> Beat | None:
        """The job's last one; one that cannot be read counts as none."""
        found = self._get(HEARTBEAT)
        if found is None:
            return None
        try:
            fields = json.loads(found[0])
            time, step = datetime.fromisoformat(fields["time"]), fields.get("step")
            waiting = fields.get("waiting")
            if time.tzinfo is None or not isinstance(step, str | None) or not isinstance(waiting, int | None):
                msg = f"time {fields['time']!r}, step {step!r}, waiting {waiting!r}"
                raise ValueError(msg)  # noqa: TRY301 - one way out for all that is wrong with it
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            self._warn(f"{HEARTBEAT} counts as none, it is no heartbeat ({type(error).__name__}: {error})")
            return None
        return Beat(time, step, waiting)

    def stopped(self) -> datetime | None:
        """Since when the marker that forbids all steps is there; None if it is not."""
        return written_at(self._s3, self._bucket, STOP)

    def replace(self) -> str | None:
        """The text of the marker that asks for a replacement, None if it is not there."""
        found = self._get(REPLACE)
        return None if found is None else found[0].decode(errors="replace").strip()

    def replace_cluster(self) -> datetime | None:
        """When the marker was written that asks for another cluster than those of before; None if it is not there."""
        return written_at(self._s3, self._bucket, REPLACE_CLUSTER)

    def _get(self, key: str) -> tuple[bytes, str] | None:
        return read_with_etag(self._s3, self._bucket, key)
