"""Clusters and steps as the local EMR keeps them, and as EMR's API describes them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from emr_shapes import service

if TYPE_CHECKING:
    from emr_steps import StepProcess

LIVE_STEPS = frozenset({"PENDING", "RUNNING", "CANCEL_PENDING"})
READY = frozenset({"RUNNING", "WAITING"})
OPEN_CLUSTERS = frozenset({"STARTING", "BOOTSTRAPPING", *READY})


@dataclasses.dataclass(frozen=True)
class Delays:
    """Seconds that EMR takes; nothing, unless a test wants it so.

    starting, bootstrapping, terminating: a cluster's time in these states. pending: from a step's turn to its start.
    cancelling: from CancelSteps to the signal. ending: until the end of a process is noticed. lingering: for which the
    processes of a cluster that is shutting down live on. listing: until ListClusters and ListSteps show what is new.
    events: of every event's way.
    """

    starting: float = 0.0
    bootstrapping: float = 0.0
    terminating: float = 0.0
    pending: float = 0.0
    cancelling: float = 0.0
    ending: float = 0.0
    lingering: float = 0.0
    listing: float = 0.0
    events: float = 0.0


@dataclasses.dataclass
class Step:
    """A step. number: its place in the cluster, from 1; times in seconds since 1970."""

    id: str
    number: int
    config: dict[str, Any]
    created: float
    state: str = "PENDING"
    started: float | None = None
    ended: float | None = None
    process: StepProcess | None = None
    process_ended: float | None = None
    signal_due: float | None = None
    signal: str = "SEND_INTERRUPT"
    log_file: str = ""
    failure: str = ""

    @property
    def name(self) -> str:
        """As given by who added it."""
        return self.config["Name"]

    @property
    def action_on_failure(self) -> str:
        """What its failure does to the cluster; EMR's own default shuts it down."""
        return self.config.get("ActionOnFailure", "TERMINATE_CLUSTER")

    @property
    def live(self) -> bool:
        """Whether it has not ended."""
        return self.state in LIVE_STEPS

    @property
    def occupies(self) -> bool:
        """Whether it takes one of the cluster's places for running steps: a cancelled one does until it has ended."""
        return self.state in {"RUNNING", "CANCEL_PENDING"}


@dataclasses.dataclass
class Cluster:
    """A cluster. since: when it came into its state; reason: code (may be empty) and message of that."""

    id: str
    request: dict[str, Any]
    created: float
    arn: str
    tags: dict[str, str]
    protected: bool
    concurrency: int
    state: str = "STARTING"
    since: float = 0.0
    reason: tuple[str, str] = ("", "Provisioning Amazon EC2 capacity")
    ready: float | None = None
    ended: float | None = None
    doom: tuple[str, str] | None = None
    steps: list[Step] = dataclasses.field(default_factory=list)

    @property
    def name(self) -> str:
        """As given to RunJobFlow."""
        return self.request["Name"]

    @property
    def keeps_alive(self) -> bool:
        """Whether it waits for more steps when it has none."""
        return self.request["Instances"].get("KeepJobFlowAliveWhenNoSteps", False)

    def step(self, step_id: str) -> Step | None:
        """The step with this id."""
        return next((step for step in self.steps if step.id == step_id), None)


def step_document(cluster: Cluster, step: Step) -> dict[str, Any]:
    """As ListSteps gives it."""
    jar = step.config["HadoopJarStep"]
    properties = {pair["Key"]: pair["Value"] for pair in jar.get("Properties", [])}
    config = {"Jar": jar["Jar"], "Properties": properties, "Args": jar.get("Args", [])}
    if "MainClass" in jar:
        config["MainClass"] = jar["MainClass"]
    status: dict[str, Any] = {
        "State": step.state,
        "StateChangeReason": {},
        "Timeline": _times(CreationDateTime=step.created, StartDateTime=step.started, EndDateTime=step.ended),
    }
    if step.state == "FAILED":
        status["FailureDetails"] = {"Reason": "Unknown Error", "Message": step.failure, "LogFile": step.log_file}
    document = {
        "Id": step.id,
        "Name": step.name,
        "Config": config,
        "ActionOnFailure": step.action_on_failure,
        "Status": status,
    }
    if "LogUri" in cluster.request:
        document["LogUri"] = cluster.request["LogUri"]
    return document


def cluster_summary(cluster: Cluster) -> dict[str, Any]:
    """As ListClusters gives it."""
    code, message = cluster.reason
    reason = ({"Code": code} if code else {}) | ({"Message": message} if message else {})
    timeline = _times(CreationDateTime=cluster.created, ReadyDateTime=cluster.ready, EndDateTime=cluster.ended)
    return {
        "Id": cluster.id,
        "Name": cluster.name,
        "Status": {"State": cluster.state, "StateChangeReason": reason, "Timeline": timeline},
        "NormalizedInstanceHours": 0,
        "ClusterArn": cluster.arn,
    }


def cluster_document(cluster: Cluster) -> dict[str, Any]:
    """As DescribeCluster gives it: much of the request comes back under the same names."""
    shape = service().shape_for("Cluster")
    same = {name: value for name, value in cluster.request.items() if name in shape.members}
    instances = cluster.request["Instances"]
    attributes = service().shape_for("Ec2InstanceAttributes")
    document = (
        same
        | cluster_summary(cluster)
        | {
            "InstanceCollectionType": "INSTANCE_FLEET" if "InstanceFleets" in instances else "INSTANCE_GROUP",
            "AutoTerminate": not cluster.keeps_alive,
            "TerminationProtected": cluster.protected,
            "UnhealthyNodeReplacement": instances.get("UnhealthyNodeReplacement", False),
            "VisibleToAllUsers": cluster.request.get("VisibleToAllUsers", True),
            "Tags": [{"Key": key, "Value": value} for key, value in cluster.tags.items()],
            "StepConcurrencyLevel": cluster.concurrency,
            "Ec2InstanceAttributes": {k: v for k, v in instances.items() if k in attributes.members},
        }
    )
    if "JobFlowRole" in cluster.request:
        document["Ec2InstanceAttributes"]["IamInstanceProfile"] = cluster.request["JobFlowRole"]
    if cluster.ready is not None:
        document["MasterPublicDnsName"] = "ip-10-0-0-1.ec2.internal"
    return document


def _times(**times: float | None) -> dict[str, float]:
    return {name: round(at, 3) for name, at in times.items() if at is not None}
