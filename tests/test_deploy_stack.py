"""A deployment from nothing to its removal, against moto's CloudFormation: the order of things and the questions.

moto makes less of a template than AWS does, so what is asked of it is what the commands do, not what the stack is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError
from deploy_account import BUCKET, an_account, built, said

from deploy import clusters, liveness
from deploy.deploy import deploy, tell
from deploy.errors import DeployError
from deploy.undeploy import BUCKETS, undeploy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.place import Place


@pytest.fixture
def place() -> Iterator[Place]:
    with an_account() as made:
        yield made


pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse")  # a type that moto's CloudFormation does not make
# What moto has not: limits of an account, databases with a secret of RDS's own, Fn::Cidr.
EXISTING = {
    "Concurrency": "shared",
    "DatabaseUri": "postgresql://stocks.example/stocks",
    "DatabaseSecretArn": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:stocks-AbCdEf",
}


def agree(_question: str) -> bool:
    return True


def never(question: str) -> bool:
    pytest.fail(question)


def network(place: Place) -> dict[str, str]:
    """Parameters for a network that is there."""
    ec2 = place.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.77.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.77.0.0/24")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    return {"VpcId": vpc, "ClusterSubnetId": subnet, "DatabaseSubnetIds": subnet, "RouteTableIds": table}


def begin(place: Place, tmp_path: Path) -> None:
    """A first deployment."""
    deploy(place, built(tmp_path), "stocketl", EXISTING | network(place), never)


def start_cluster(place: Place) -> str:
    """As the trigger does."""
    instances: Any = {"InstanceCount": 1, "MasterInstanceType": "m6i.xlarge", "KeepJobFlowAliveWhenNoSteps": True}
    return place.emr.run_job_flow(Name="stocketl", Instances=instances | {"TerminationProtected": True})["JobFlowId"]


def marker(place: Place) -> str | None:
    """What the replace marker says."""
    state = place.stack("stocketl").outputs()["StateBucket"]
    try:
        return place.s3.get_object(Bucket=state, Key=liveness.REPLACE)["Body"].read().decode()
    except ClientError:
        return None


def test_a_deployment_from_nothing_ends_with_where_to_drop_files(place: Place, tmp_path: Path) -> None:
    """One command makes bucket and stack, and a second one finds nothing to do."""
    folder, given = built(tmp_path), EXISTING | network(place) | {"AlarmEmail": "a@example.org"}
    assert deploy(place, folder, "stocketl", given, never) is None
    stack = place.stack("stocketl")
    outputs = stack.outputs()
    assert stack.parameters()["ArtifactsBucket"] == BUCKET
    tell(outputs, place.console)
    assert f"s3://{outputs['InputBucket']}/drops/" in said(place)
    assert deploy(place, folder, "stocketl", {}, never) is None
    assert "as it should be" in said(place)
    assert stack.parameters()["AlarmEmail"] == "a@example.org"


def test_a_new_version_of_the_job_alone_replaces_the_step(place: Place, tmp_path: Path) -> None:
    """The trigger is asked by its marker; the cluster goes on."""
    begin(place, tmp_path)
    cluster = start_cluster(place)
    assert marker(place) is None
    deploy(place, built(tmp_path, "1.2.3-00000002"), "stocketl", {}, never)
    assert marker(place) == "1.2.3-00000002"
    assert clusters.states(place.emr, "stocketl") == {cluster: "WAITING"}


def test_another_environment_wants_another_cluster_and_is_asked_for(place: Place, tmp_path: Path) -> None:
    """Without consent the cluster goes on; with it, it ends, protected or not, and the trigger makes a new one."""
    begin(place, tmp_path)
    start_cluster(place)
    asked: list[str] = []
    deploy(place, built(tmp_path, "1.2.3-00000002", "numpy==3"), "stocketl", {}, lambda text: bool(asked.append(text)))
    assert asked == ["requirements.txt changed, which wants a new cluster (10 minutes without the job). Go on?"]
    assert len(clusters.states(place.emr, "stocketl")) == 1
    deploy(place, built(tmp_path, "1.2.3-00000003", "numpy==4"), "stocketl", {}, agree)
    assert (clusters.states(place.emr, "stocketl"), marker(place)) == ({}, None)


def test_undeploy_wants_the_name_and_keeps_the_files(place: Place, tmp_path: Path) -> None:
    """Another word than the stack's name does nothing; the name removes all but the buckets."""
    begin(place, tmp_path)
    start_cluster(place)
    outputs = place.stack("stocketl").outputs()
    place.s3.put_object(Bucket=outputs["SuccessBucket"], Key="a.csv", Body=b"date")
    with pytest.raises(DeployError, match="nothing was removed: expected 'stocketl', got 'yes'"):
        undeploy(place, "stocketl", lambda _plan: "yes", delete_data=False)
    assert len(clusters.states(place.emr, "stocketl")) == 1
    plans: list[str] = []
    undeploy(place, "stocketl", lambda plan: plans.append(plan) or "stocketl", delete_data=False)
    assert "The buckets" in plans[0]
    assert "stay" in plans[0]
    assert clusters.states(place.emr, "stocketl") == {}
    assert place.stack("stocketl").description() is None
    assert place.s3.get_object(Bucket=outputs["SuccessBucket"], Key="a.csv")["Body"].read() == b"date"
    with pytest.raises(DeployError, match="there is no stack stocketl in eu-central-1"):
        undeploy(place, "stocketl", never, delete_data=False)


def test_undeploy_deletes_every_version_when_told_to(place: Place, tmp_path: Path) -> None:
    """With --delete-data no bucket is left."""
    begin(place, tmp_path)
    outputs = place.stack("stocketl").outputs()
    for body in (b"1", b"2"):
        place.s3.put_object(Bucket=outputs["InputBucket"], Key="drops/a.csv", Body=body)
    place.s3.delete_object(Bucket=outputs["InputBucket"], Key="drops/a.csv")
    undeploy(place, "stocketl", lambda plan: "stocketl" if "DELETED" in plan else "", delete_data=True)
    left = {bucket["Name"] for bucket in place.s3.list_buckets()["Buckets"]}
    assert not left & ({outputs[name] for name in BUCKETS} | {BUCKET})


DATABASE = """
Resources:
  Database:
    Type: AWS::RDS::DBInstance
    DeletionPolicy: Snapshot
    Properties:
      {Engine: postgres, DBInstanceClass: db.t4g.medium, AllocatedStorage: 20, MasterUsername: a, MasterUserPassword: b,
       DeletionProtection: true}
"""


def test_a_protected_database_goes_with_its_stack_and_its_snapshots_are_named(place: Place) -> None:
    """The protection is for everybody else; what is left of it is said at the end."""
    place.client("cloudformation").create_stack(StackName="stocketl", TemplateBody=DATABASE)
    rds, database = place.client("rds"), place.stack("stocketl").resources()["Database"]
    rds.create_db_snapshot(DBInstanceIdentifier=database, DBSnapshotIdentifier="the-last-one")
    undeploy(place, "stocketl", lambda _plan: "stocketl", delete_data=False)
    assert rds.describe_db_instances()["DBInstances"] == []
    assert "aws rds delete-db-snapshot --db-snapshot-identifier the-last-one" in said(place)


def test_a_heartbeat_that_is_none_is_an_error(place: Place) -> None:
    """Rather than waiting for ever."""
    place.s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    place.s3.put_object(Bucket="state", Key=liveness.HEARTBEAT, Body=json.dumps({"time": "noon"}).encode())
    with pytest.raises(DeployError, match="is no heartbeat of the job"):
        liveness.heartbeat(place.s3, "state")
