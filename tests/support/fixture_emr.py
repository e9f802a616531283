"""A local EMR: with a clock of the test's own and pretended steps, or behind HTTP."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config
from emr_direct import direct_client
from emr_server import EmrServer
from emr_steps import PretendSteps
from local_emr import LocalEmr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from emr_faults import Faults
    from emr_records import Delays

NOON = 1_700_000_000.0  # 2023-11-14 22:13:20 UTC
CLUSTER: dict[str, Any] = {
    "Name": "Development Cluster",
    "ReleaseLabel": "emr-spark-8.1.0",
    "LogUri": "s3://logs/emr/",
    "Applications": [{"Name": "Spark"}],
    "Instances": {
        "KeepJobFlowAliveWhenNoSteps": True,
        "Ec2SubnetId": "subnet-1",
        "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1}],
    },
    "Configurations": [{"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}}],
    "JobFlowRole": "instances",
    "ServiceRole": "service",
    "Tags": [{"Key": "stocketl", "Value": "stocketl"}],
}
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
}


class PretendEmr(LocalEmr):
    """An EMR whose time passes when the test says so. processes: what it runs; seen: the events."""

    def __init__(self, delays: Delays | None = None, faults: Faults | None = None, now: float = NOON) -> None:
        self.now = now
        self.processes = PretendSteps()
        self.seen: list[dict[str, Any]] = []
        super().__init__(
            lambda: self.now, run_step=self.processes, delays=delays, faults=faults, on_event=self.seen.append
        )

    @functools.cached_property
    def client(self) -> Any:
        """A boto3 client that calls this EMR without HTTP."""
        return direct_client(lambda: self)

    def after(self, seconds: float = 0.0) -> None:
        """Lets time pass, then everything that is due."""
        self.now += seconds
        self.tick()

    def start(self, **members: Any) -> str:
        """A cluster that is ready, if nothing delays it; members: of RunJobFlow's request, beside those of CLUSTER."""
        cluster_id = self.client.run_job_flow(**(CLUSTER | members))["JobFlowId"]
        self.after()
        return cluster_id

    def add(self, cluster_id: str, *steps: dict[str, Any]) -> list[str]:
        """Adds steps, one if none is given; their ids."""
        added = self.client.add_job_flow_steps(JobFlowId=cluster_id, Steps=list(steps) or [a_step()])["StepIds"]
        self.after()
        return added

    def state_of(self, cluster_id: str) -> str:
        """A cluster's, as DescribeCluster says."""
        return self.client.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]

    def states_in(self, cluster_id: str) -> list[str]:
        """Of a cluster's steps, oldest first, as ListSteps says."""
        pages = self.client.get_paginator("list_steps").paginate(ClusterId=cluster_id)
        return [step["Status"]["State"] for page in pages for step in page["Steps"]][::-1]


def a_step(name: str = "CustomJAR", **members: Any) -> dict[str, Any]:
    """A step to add; members: of its configuration."""
    jar = {"Jar": "command-runner.jar", "Args": ["spark-submit", "main.py"]}
    return {"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar} | members


@pytest.fixture
def emr() -> PretendEmr:
    """An EMR without delays and faults, from NOON on; steps end when the test ends them."""
    return PretendEmr()


@pytest.fixture
def emr_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[EmrServer]:
    """An EMR behind HTTP with pretended steps (`emr_server.steps`), and this process's environment pointing at it."""
    steps = PretendSteps()
    with EmrServer(LocalEmr(run_step=steps), every=0.01) as server:
        server.steps = steps
        for name, value in (_ENVIRONMENT | server.env).items():
            monkeypatch.setenv(name, value)
        yield server


def emr_client(**options: Any) -> Any:
    """A boto3 client of the EMR that the environment names; options: of botocore's Config."""
    return boto3.session.Session().client("emr", config=Config(**options))
