"""The operations of EMR's API on the local EMR's clusters: request and answer as JSON 1.1 carries them.

Errors have the codes and, where they are known, the words of EMR. Lists: 50 to a page. ListSteps is newest first, but
not with a filter by state ("in reverse order unless you specify stepIds … or filter by StepStates": oldest first then);
ListClusters has no order that one could count on (it is by id here).
"""

from __future__ import annotations

import base64
import binascii
import json
import operator
from typing import TYPE_CHECKING, Any

from emr_events import ACCOUNT, REGION
from emr_faults import EmrError
from emr_records import OPEN_CLUSTERS, Cluster, Step, cluster_document, cluster_summary, step_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from local_emr import LocalEmr

_PAGE = 50
_MOST_STEPS = 256
_MOST_CHARACTERS = 10_240
_SHARED = "ActionOnFailure CONTINUE is the only one allowed where StepConcurrencyLevel is above 1"
_FULL = "Maximum number of active steps(State = 'Running', 'Pending' or 'Cancel_Pending') for cluster exceeded."
_CLOSED = "A job flow that is shutting down, terminated, or finished may not be modified."
_PROTECTED = "Could not shut down one or more job flows since they are termination protected."


def _run_job_flow(emr: LocalEmr, request: dict[str, Any], now: float) -> dict[str, Any]:
    instances = request["Instances"]
    both = "InstanceGroups" in instances and "InstanceFleets" in instances
    _valid(not both, "Instance groups and instance fleets are mutually exclusive.")
    cluster_id = emr.new_id("j-")
    arn = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/{cluster_id}"
    cluster = Cluster(
        id=cluster_id,
        request=request,
        created=now,
        arn=arn,
        tags=_tags(request),
        protected=instances.get("TerminationProtected", False),
        concurrency=request.get("StepConcurrencyLevel", 1),
        doom=emr.faults.doomed(),
    )
    _valid(1 <= cluster.concurrency <= _MOST_STEPS, f"StepConcurrencyLevel must be between 1 and {_MOST_STEPS}.")
    _check_steps(cluster, request.get("Steps", []))
    emr.clusters[cluster_id] = cluster
    emr.lifecycle.begin(cluster, now)
    _add_steps(emr, cluster, request.get("Steps", []), now)
    return {"JobFlowId": cluster_id, "ClusterArn": arn}


def _add_job_flow_steps(emr: LocalEmr, request: dict[str, Any], now: float) -> dict[str, Any]:
    _valid(request["JobFlowId"] in emr.clusters, "Specified job flow ID does not exist.")
    cluster = emr.clusters[request["JobFlowId"]]
    _valid(cluster.state in OPEN_CLUSTERS, _CLOSED)
    _check_steps(cluster, request["Steps"])
    return {"StepIds": _add_steps(emr, cluster, request["Steps"], now)}


def _check_steps(cluster: Cluster, steps: list[dict[str, Any]]) -> None:
    _valid(sum(step.live for step in cluster.steps) + len(steps) <= _MOST_STEPS, _FULL)
    for step in steps:
        size = _characters(step["HadoopJarStep"])
        _valid(size <= _MOST_CHARACTERS, f"HadoopJarStep has {size} characters, more than {_MOST_CHARACTERS}.")
        action = step.get("ActionOnFailure")
        _valid(cluster.concurrency == 1 or action == "CONTINUE", f"{_SHARED}; got {action}.")


def _characters(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(_characters, value.values()))
    return sum(map(_characters, value)) if isinstance(value, list) else len(value)


def _add_steps(emr: LocalEmr, cluster: Cluster, configs: list[dict[str, Any]], now: float) -> list[str]:
    added = []
    for config in configs:
        step = Step(id=emr.new_id("s-"), number=len(cluster.steps) + 1, config=config, created=now)
        emr.lifecycle.add(cluster, step, now)
        added.append(step.id)
    return added


def _list_steps(emr: LocalEmr, request: dict[str, Any], now: float) -> dict[str, Any]:
    cluster = _cluster(emr, request["ClusterId"])
    states, ids = request.get("StepStates", []), request.get("StepIds", [])
    _fits(len(ids) <= 10, "The maximum number of step IDs is 10.")
    shown = [step for step in cluster.steps if now - step.created >= emr.delays.listing]
    shown = [step for step in shown if (not states or step.state in states) and (not ids or step.id in ids)]
    beyond = operator.gt
    if not (states or ids):
        shown.reverse()
        beyond = operator.lt
    page, marker = _page([(step.number, step) for step in shown], request.get("Marker"), beyond)
    return {"Steps": [step_document(cluster, step) for step in page]} | marker


def _describe_step(emr: LocalEmr, request: dict[str, Any], _now: float) -> dict[str, Any]:
    cluster = _cluster(emr, request["ClusterId"])
    return {"Step": step_document(cluster, _step(cluster, request["StepId"]))}


def _list_clusters(emr: LocalEmr, request: dict[str, Any], now: float) -> dict[str, Any]:
    states = request.get("ClusterStates", [])
    after, before = request.get("CreatedAfter", float("-inf")), request.get("CreatedBefore", float("inf"))
    found = [
        (cluster_id, cluster)
        for cluster_id, cluster in sorted(emr.clusters.items())
        if now - cluster.created >= emr.delays.listing
        and (not states or cluster.state in states)
        and after <= cluster.created <= before
    ]
    page, marker = _page(found, request.get("Marker"), operator.gt)
    return {"Clusters": [cluster_summary(cluster) for cluster in page]} | marker


def _describe_cluster(emr: LocalEmr, request: dict[str, Any], _now: float) -> dict[str, Any]:
    return {"Cluster": cluster_document(_cluster(emr, request["ClusterId"]))}


def _cancel_steps(emr: LocalEmr, request: dict[str, Any], now: float) -> dict[str, Any]:
    cluster = _cluster(emr, request["ClusterId"])
    option = request.get("StepCancellationOption", "SEND_INTERRUPT")
    steps = [_step(cluster, step_id) for step_id in request["StepIds"]]
    _fits(len(steps) <= _MOST_STEPS, f"The maximum number of steps is {_MOST_STEPS}.")
    answer = []
    for step in steps:
        again = step.state == "CANCEL_PENDING" and emr.faults.refuse_second_cancel
        if not step.live or again:
            reason = f"The step is in state {step.state} and cannot be cancelled."
            answer.append({"StepId": step.id, "Status": "FAILED", "Reason": reason})
            continue
        if not emr.faults.draw("ignore_cancel"):
            emr.lifecycle.cancel(cluster, step, option, now)
        answer.append({"StepId": step.id, "Status": "SUBMITTED"})
    return {"CancelStepsInfoList": answer}


def _terminate_job_flows(emr: LocalEmr, request: dict[str, Any], now: float) -> None:
    clusters = _job_flows(emr, request)
    for cluster in clusters:
        if not cluster.protected:
            emr.lifecycle.shut_down(cluster, now, "USER_REQUEST", "Terminated by user request")
    _valid(not any(cluster.protected for cluster in clusters), _PROTECTED)


def _set_termination_protection(emr: LocalEmr, request: dict[str, Any], _now: float) -> None:
    for cluster in _job_flows(emr, request):
        cluster.protected = request["TerminationProtected"]


def _add_tags(emr: LocalEmr, request: dict[str, Any], _now: float) -> dict[str, Any]:
    _cluster(emr, request["ResourceId"]).tags.update(_tags(request))
    return {}


def _remove_tags(emr: LocalEmr, request: dict[str, Any], _now: float) -> dict[str, Any]:
    tags = _cluster(emr, request["ResourceId"]).tags
    for key in request["TagKeys"]:
        tags.pop(key, None)
    return {}


OPERATIONS: dict[str, Callable[[LocalEmr, dict[str, Any], float], dict[str, Any] | None]] = {
    "AddJobFlowSteps": _add_job_flow_steps,
    "AddTags": _add_tags,
    "CancelSteps": _cancel_steps,
    "DescribeCluster": _describe_cluster,
    "DescribeStep": _describe_step,
    "ListClusters": _list_clusters,
    "ListSteps": _list_steps,
    "RemoveTags": _remove_tags,
    "RunJobFlow": _run_job_flow,
    "SetTerminationProtection": _set_termination_protection,
    "TerminateJobFlows": _terminate_job_flows,
}


def _cluster(emr: LocalEmr, cluster_id: str) -> Cluster:
    _fits(cluster_id in emr.clusters, f"Cluster id '{cluster_id}' is not valid.", ErrorCode="NoSuchCluster")
    return emr.clusters[cluster_id]


def _step(cluster: Cluster, step_id: str) -> Step:
    step = cluster.step(step_id)
    _fits(step is not None, f"Step id '{step_id}' is not valid.")
    return step


def _job_flows(emr: LocalEmr, request: dict[str, Any]) -> list[Cluster]:
    ids = request["JobFlowIds"]
    _valid(len(ids) <= 10 and all(one in emr.clusters for one in ids), "Specified job flow ID not valid")
    return [emr.clusters[cluster_id] for cluster_id in ids]


def _tags(request: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in request.get("Tags", [])}


def _page(
    found: list[tuple[Any, Any]], marker: str | None, beyond: Callable[[Any, Any], bool]
) -> tuple[list[Any], dict[str, str]]:
    """A page, and the marker of the next: it holds the key of the last one shown, so that new ones move nothing."""
    if marker is not None:
        last = _opened(marker)
        found = [(key, one) for key, one in found if beyond(key, last)]
    more = {"Marker": _sealed(found[_PAGE - 1][0])} if len(found) > _PAGE else {}
    return [one for _, one in found[:_PAGE]], more


def _sealed(key: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps([key]).encode()).decode()


def _opened(marker: str) -> Any:
    try:
        (key,) = json.loads(base64.urlsafe_b64decode(marker))
    except (ValueError, TypeError, binascii.Error):
        key = None
    _fits(key is not None, f"Marker '{marker}' is not valid.")
    return key


def _valid(holds: bool, otherwise: str) -> None:  # noqa: FBT001 - reads as a condition and what is said without it
    if not holds:
        raise EmrError(otherwise, "ValidationException")


def _fits(holds: bool, otherwise: str, **members: str) -> None:  # noqa: FBT001 - as above; the newer operations' error
    if not holds:
        raise EmrError(otherwise, "InvalidRequestException", **members)
