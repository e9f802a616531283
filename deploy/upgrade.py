"""Another version in the place of a running one: a new step on the same cluster where that is enough, else a new one.

The checkpoint stays in either case; the job takes up its open batch from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deploy import artifacts, clusters, liveness

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3.client import S3Client

    from deploy.place import Place

OF_CLUSTER = ("cluster.json", "bootstrap.sh", "requirements.txt")
"""What a running cluster does not take over: a change of these wants a new one."""


def replace(place: Place, outputs: dict[str, str], old: str, new: str, agree: Callable[[str], bool]) -> str | None:
    """Has the trigger bring the new version to life.

    Returns the step that ran before, None if there was none or it goes on because the user did not agree.
    """
    s3, state = place.s3, outputs["StateBucket"]
    running = liveness.heartbeat(s3, state)
    if changed := changes(s3, outputs["ArtifactsBucket"], old, new):
        question = f"{' and '.join(changed)} changed, which wants a new cluster (10 minutes without the job). Go on?"
        if not agree(question):
            place.console.print("the job goes on as it is; run this again when it may be interrupted")
            return None
        clusters.end(place.emr, outputs["ClusterName"], place.console, sleep=place.sleep)
    else:
        s3.put_object(Bucket=state, Key=liveness.REPLACE, Body=new.encode())
    return None if running is None else running.step


def changes(s3: S3Client, bucket: str, old: str, new: str) -> list[str]:
    """Which documents of the cluster are others in the new version."""

    def differs(name: str) -> bool:
        return artifacts.text(s3, bucket, old, name) != artifacts.text(s3, bucket, new, name)

    return list(filter(differs, OF_CLUSTER))
