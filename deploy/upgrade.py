"""Replaces a running version: by a new step on the same cluster if that is enough, else by a new cluster.

The checkpoint stays in either case; the job takes up its open batch from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy import artifacts, clusters, liveness

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3.client import S3Client

    from deploy.place import Place

OF_CLUSTER = ("cluster.json", "bootstrap.sh", "rds-ca.pem", "requirements.txt")
"""A running cluster does not take these over: if one changes, a new cluster is needed."""


def replace(place: Place, outputs: dict[str, str], old: str, new: str, agree: Callable[[str], bool]) -> str | None:
    """Lets the trigger start the new version.

    Returns the step that ran before, None if there was none or it goes on because the user did not agree.
    """
    s3, state = place.s3, outputs["StateBucket"]
    running = liveness.heartbeat(s3, state)
    if changed := changes(s3, outputs["ArtifactsBucket"], old, new):
        question = f"{' and '.join(changed)} changed, so a new cluster is needed (10 minutes without the job). Go on?"
        if not agree(question):
            place.console.print("the job goes on as it is; run this again when it may be interrupted")
            return None
        clusters.end(place.emr, outputs["ClusterName"], place.console, sleep=place.sleep)
    else:
        s3.put_object(Bucket=state, Key=liveness.REPLACE, Body=new.encode())
    return None if running is None else running.step


def changes(s3: S3Client, bucket: str, old: str, new: str) -> list[str]:
    """Which documents of the cluster differ in the new version."""

    def differs(name: str) -> bool:
        return artifacts.text(s3, bucket, old, name) != artifacts.text(s3, bucket, new, name)

    return list(filter(differs, OF_CLUSTER))
