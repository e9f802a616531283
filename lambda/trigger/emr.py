"""EMR as the trigger sees it, and the calls that change it.

Least rights: ListClusters (EMR knows no resource for it), ListSteps, AddJobFlowSteps, CancelSteps,
SetTerminationProtection and TerminateJobFlows on the cluster, RunJobFlow, AddTags for its tags, and PassRole for the
two roles that its document names.
"""

from __future__ import annotations

import re
from contextlib import contextmanager
from datetime import UTC
from typing import TYPE_CHECKING, Any, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from trigger.errors import RefusedError, UnansweredError
from trigger.situation import CLOCKS, LIVE, READY, STARTING, Cluster, Step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from mypy_boto3_emr.client import EMRClient
    from mypy_boto3_emr.literals import ClusterStateType, StepCancellationOptionType, StepStateType
    from mypy_boto3_emr.type_defs import ClusterSummaryTypeDef, StepSummaryTypeDef

_PRESENT = cast("list[ClusterStateType]", [*STARTING, *READY, "TERMINATING"])
_DOUBTFUL = re.compile("Internal|Throttl|TooManyRequests|RequestLimit|Timeout")
_LIVE_STATES = cast("list[StepStateType]", list(LIVE))


def looking_client() -> EMRClient:
    """For calls that change nothing: tried again as often as fits into an invocation."""
    retries: Any = {"mode": "standard", "total_max_attempts": 4}
    return boto3.client("emr", config=Config(retries=retries, connect_timeout=3, read_timeout=8))


def acting_client() -> EMRClient:
    """For calls that change something: never tried again, since a call without answer may have had its effect."""
    retries: Any = {"mode": "standard", "total_max_attempts": 1}
    return boto3.client("emr", config=Config(retries=retries, connect_timeout=3, read_timeout=20))


class Emr:
    """Ours is the cluster named `cluster_name`, and on it the steps named `<step_name> <version> <intention>`."""

    def __init__(self, looking: EMRClient, acting: EMRClient, cluster_name: str, step_name: str) -> None:
        self._looking = looking
        self._acting = acting
        self._cluster_name = cluster_name
        self._step_name = step_name

    def clusters(self, since: datetime) -> tuple[Cluster, ...]:
        """Our clusters: those that are not terminated, and all that were made since then; oldest first."""
        paginator = self._looking.get_paginator("list_clusters")
        found: dict[str, Cluster] = {}
        for page in paginator.paginate(ClusterStates=_PRESENT):
            found |= {c["Id"]: _cluster(c) for c in page["Clusters"] if c["Name"] == self._cluster_name}
        for page in paginator.paginate(CreatedAfter=since - CLOCKS):
            found |= {c["Id"]: _cluster(c) for c in page["Clusters"] if c["Name"] == self._cluster_name}
        return tuple(sorted(found.values(), key=lambda cluster: cluster.created))

    def steps(self, cluster: str, since: datetime) -> tuple[Step, ...]:
        """Our steps on a cluster: those that are live, and all that were made since then, ended ones too.

        A step that ends between the two lists counts as ended.
        """
        paginator = self._looking.get_paginator("list_steps")
        found: dict[str, Step] = {}
        for page in paginator.paginate(ClusterId=cluster, StepStates=_LIVE_STATES):
            found |= self._ours(cluster, page["Steps"])
        for page in paginator.paginate(ClusterId=cluster):  # without a filter they come newest first
            found |= self._ours(cluster, page["Steps"])
            if page["Steps"] and _made(page["Steps"][-1]) < since - CLOCKS:
                break
        return tuple(found.values())

    def _ours(self, cluster: str, steps: list[StepSummaryTypeDef]) -> dict[str, Step]:
        return {s["Id"]: self._step(cluster, s) for s in steps if s["Name"].startswith(f"{self._step_name} ")}

    def _step(self, cluster: str, found: StepSummaryTypeDef) -> Step:
        version, _, intention = found["Name"].removeprefix(f"{self._step_name} ").partition(" ")
        status = found["Status"]
        started = status["Timeline"].get("StartDateTime")
        details = status.get("FailureDetails", {})
        reason = details.get("Reason") or status.get("StateChangeReason", {}).get("Message") or ""
        return Step(
            id=found["Id"],
            cluster=cluster,
            version=version,
            intention=intention,
            state=status["State"],
            created=_made(found),
            started=started and started.astimezone(UTC),
            reason=reason,
        )

    def start_cluster(self, document: dict[str, Any]) -> str:
        """RunJobFlow: the new cluster's id."""
        with _plain_answer("start a cluster"):
            return self._acting.run_job_flow(**document)["JobFlowId"]

    def end_cluster(self, cluster: str) -> str:
        """SetTerminationProtection and TerminateJobFlows, which say nothing; both may be repeated."""
        with _plain_answer(f"end {cluster}"):
            self._acting.set_termination_protection(JobFlowIds=[cluster], TerminationProtected=False)
            self._acting.terminate_job_flows(JobFlowIds=[cluster])
        return f"{cluster} ends"

    def start_step(self, cluster: str, document: dict[str, Any]) -> str:
        """AddJobFlowSteps: the new step's id."""
        with _plain_answer(f"start a step on {cluster}"):
            steps = cast("Any", [document])
            return self._acting.add_job_flow_steps(JobFlowId=cluster, Steps=steps)["StepIds"][0]

    def cancel_step(self, cluster: str, step: str, *, force: bool) -> str:
        """CancelSteps: what EMR says to it; force: SIGKILL for the driver and its descendants instead of SIGTERM."""
        how: StepCancellationOptionType = "TERMINATE_PROCESS" if force else "SEND_INTERRUPT"
        with _plain_answer(f"cancel {step} on {cluster}"):
            answer = self._acting.cancel_steps(ClusterId=cluster, StepIds=[step], StepCancellationOption=how)
        said = answer["CancelStepsInfoList"][0]
        return f"{how} {said['Status']} {said.get('Reason', '')}".rstrip()


def _cluster(found: ClusterSummaryTypeDef) -> Cluster:
    status = found["Status"]
    reason = status.get("StateChangeReason", {}).get("Message") or ""
    return Cluster(found["Id"], status["State"], status["Timeline"]["CreationDateTime"].astimezone(UTC), reason)


def _made(found: StepSummaryTypeDef) -> datetime:
    return found["Status"]["Timeline"]["CreationDateTime"].astimezone(UTC)


@contextmanager
def _plain_answer(what: str) -> Iterator[None]:
    """Tells a refusal, which has no effect, from an answer that is lost.

    Throttling is no refusal here: to believe wrongly that it had no effect would cost a second cluster, to doubt it
    costs the wait until the lists would show one.
    """
    try:
        yield
    except ClientError as error:
        answer = error.response
        code, status = answer.get("Error", {}).get("Code", ""), answer.get("ResponseMetadata", {}).get("HTTPStatusCode")
        msg = f"cannot {what}: {error}"
        if status is not None and 400 <= status < 500 and not _DOUBTFUL.search(code):
            raise RefusedError(msg) from error
        raise UnansweredError(msg) from error
    except ParamValidationError as error:  # never sent
        msg = f"cannot {what}: correct its document: {error}"
        raise RefusedError(msg) from error
    except BotoCoreError as error:
        msg = f"cannot {what}: {error}"
        raise UnansweredError(msg) from error
