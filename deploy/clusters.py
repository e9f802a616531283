"""The EMR clusters that a stack's trigger has started: their state, and their end."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, cast

from deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_emr.client import EMRClient
    from mypy_boto3_emr.literals import ClusterStateType
    from rich.console import Console

_THERE = cast("list[ClusterStateType]", ["STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING", "TERMINATING"])
_LOOK_SECONDS = 15.0


def states(emr: EMRClient, name: str) -> dict[str, str]:
    """Cluster id -> state of the clusters with this name that are not terminated."""
    pages = emr.get_paginator("list_clusters").paginate(ClusterStates=_THERE)
    return {c["Id"]: str(c["Status"]["State"]) for page in pages for c in page["Clusters"] if c["Name"] == name}


def end(
    emr: EMRClient,
    name: str,
    console: Console,
    *,
    seconds: float = 1800,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Terminates the clusters with this name and waits until they are gone; raises DeployError if they are not.

    The job may be in the middle of a batch: the next one takes it up from its checkpoint.
    """
    until = clock() + seconds
    with console.status("ending the cluster …") as status:
        while found := states(emr, name):
            if ids := [cluster for cluster, state in found.items() if state != "TERMINATING"]:
                emr.set_termination_protection(JobFlowIds=ids, TerminationProtected=False)
                emr.terminate_job_flows(JobFlowIds=ids)
            if clock() > until:
                msg = f"the clusters {found} are still there after {seconds:.0f} s; see the EMR console, then try again"
                raise DeployError(msg)
            status.update(f"ending the cluster … {' '.join(f'{c} {s}' for c, s in found.items())}")
            sleep(_LOOK_SECONDS)


def free_groups(ec2: Any, groups: list[str]) -> None:
    """Removes the rules that EMR added to its security groups: a group that another one names cannot be deleted."""
    for group in ec2.describe_security_groups(Filters=[{"Name": "group-id", "Values": groups}])["SecurityGroups"]:
        if group["IpPermissions"]:
            ec2.revoke_security_group_ingress(GroupId=group["GroupId"], IpPermissions=group["IpPermissions"])
