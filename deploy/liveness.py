"""Waiting for the job's first sign of life: `control/heartbeat.json`."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3.client import S3Client
    from rich.console import Console

HEARTBEAT, REPLACE = "control/heartbeat.json", "control/replace"
_LOOK_SECONDS = 10.0


@dataclass(frozen=True)
class Heartbeat:
    """When it was written, and by which step."""

    time: datetime
    step: str | None


def heartbeat(s3: S3Client, bucket: str) -> Heartbeat | None:
    """The last heartbeat; None before the first. Raises DeployError if the object is not one."""
    try:
        data = s3.get_object(Bucket=bucket, Key=HEARTBEAT)["Body"].read()
    except ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchKey":
            return None
        raise
    try:
        found = json.loads(data)
        return Heartbeat(datetime.fromisoformat(found["time"]), found["step"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"s3://{bucket}/{HEARTBEAT} is not a heartbeat of the job: {data[:200]!r}"
        raise DeployError(msg) from error


def wait(
    s3: S3Client,
    bucket: str,
    console: Console,
    *,
    doing: Callable[[], str],
    not_step: str | None = None,
    seconds: float = 2400,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> Heartbeat:
    """The first heartbeat from now on by another step than `not_step`.

    doing: what is going on meanwhile, for the terminal. Raises DeployError after so many seconds without one.
    """
    began = clock()
    with console.status("waiting for the job …") as status:
        while True:
            found = heartbeat(s3, bucket)
            if found is not None and found.time >= began and (not_step is None or found.step != not_step):
                return found
            waited = (clock() - began).total_seconds()
            if waited > seconds:
                msg = (
                    f"no heartbeat in s3://{bucket}/{HEARTBEAT} within {seconds / 60:.0f} minutes; {doing()}. The log "
                    "of the trigger says what it waits for; a cluster's own logs are in the logs bucket under emr/"
                )
                raise DeployError(msg)
            status.update(f"waiting for the job, {waited / 60:.0f} min (a cluster takes about 8) … {doing()}")
            sleep(_LOOK_SECONDS)
