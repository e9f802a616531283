"""A deployment from nothing to its removal, against moto's CloudFormation: the order of things and the questions.

moto makes less of a template than AWS does, so what is asked of it is what the commands do, not what the stack is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from account import BUCKET, an_account, built, cut_off_at, list_also, refuse, said
from botocore.exceptions import ClientError

from deploy import clusters, liveness
from deploy.deploy import carry_out, deploy, tell
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


FUNCTIONS = ("Trigger", "Monitor", "Sweeper")


def agree(_question: str) -> bool:
    return True


def never(question: str) -> bool:
    pytest.fail(question)


def network(place: Place) -> dict[str, str]:
    """Parameters for a network that is there."""
    ec2 = place.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.20.0.0/24")["Subnet"]["SubnetId"]
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    return {"VpcId": vpc, "ClusterSubnetIds": subnet, "DatabaseSubnetIds": subnet, "RouteTableIds": table}


def begin(place: Place, tmp_path: Path) -> None:
    """A first deployment."""
    deploy(place, built(tmp_path), "stocketl", EXISTING | network(place), never, checked=False)


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
    assert deploy(place, folder, "stocketl", given, never, checked=False) is None
    stack = place.stack("stocketl")
    outputs = stack.outputs()
    assert stack.parameters()["ArtifactsBucket"] == BUCKET
    tell(outputs, place.console)
    assert f"s3://{outputs['InputBucket']}/drops/" in said(place)
    assert deploy(place, folder, "stocketl", {}, never, checked=False) is None
    assert "needs no change" in said(place)
    kept = stack.parameters()
    assert (kept["AlarmEmail"], kept["VpcCidr"]) == ("a@example.org", "10.20.0.0/16")


def test_a_first_deployment_that_fails_says_that_a_cluster_may_be_running(place: Place) -> None:
    """The trigger may have started one, and goes with the stack; an update that fails leaves all as it was."""
    cluster = start_cluster(place)

    class Failing:
        name = "stocketl"

        def execute(self, _change_set: str, _changes: int) -> None:
            msg = "the stack stocketl ended in ROLLBACK_COMPLETE. Database: no capacity"
            raise DeployError(msg)

    stack: Any = Failing()
    with pytest.raises(DeployError) as error:
        carry_out(place, stack, "change-set", 3, new=True)
    assert str(error.value) == (
        "the stack stocketl ended in ROLLBACK_COMPLETE. Database: no capacity\n"
        f"A cluster may be running, started by the trigger before that: EMR lists {cluster} WAITING. It costs money "
        'until `make undeploy ARGS="--stack stocketl"` has ended it'
    )
    with pytest.raises(DeployError, match=r"no capacity$"):
        carry_out(place, stack, "change-set", 3, new=False)


def test_a_new_version_of_the_job_alone_replaces_the_step(place: Place, tmp_path: Path) -> None:
    """The trigger is asked by its marker; the cluster goes on."""
    begin(place, tmp_path)
    cluster = start_cluster(place)
    assert marker(place) is None
    deploy(place, built(tmp_path, "1.2.3-00000002"), "stocketl", {}, never, checked=False)
    assert marker(place) == "1.2.3-00000002"
    assert clusters.states(place.emr, "stocketl") == {cluster: "WAITING"}


def test_another_environment_wants_another_cluster_and_is_asked_for(place: Place, tmp_path: Path) -> None:
    """Without consent the cluster goes on; with it, it ends, protected or not, and the trigger makes a new one."""
    begin(place, tmp_path)
    start_cluster(place)
    asked: list[str] = []
    deploy(
        place,
        built(tmp_path, "1.2.3-00000002", "numpy==3"),
        "stocketl",
        {},
        lambda text: bool(asked.append(text)),
        checked=False,
    )
    assert asked == ["requirements.txt changed, so a new cluster is needed (10 minutes without the job). Go on?"]
    assert len(clusters.states(place.emr, "stocketl")) == 1
    deploy(place, built(tmp_path, "1.2.3-00000003", "numpy==4"), "stocketl", {}, agree, checked=False)
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
    """With --delete-data no bucket is left, even if something is dropped while the stack goes."""
    begin(place, tmp_path)
    outputs = place.stack("stocketl").outputs()
    for body in (b"1", b"2"):
        place.s3.put_object(Bucket=outputs["InputBucket"], Key="drops/a.csv", Body=body)
    place.s3.delete_object(Bucket=outputs["InputBucket"], Key="drops/a.csv")

    def drop(**_: object) -> None:
        place.s3.put_object(Bucket=outputs["InputBucket"], Key="drops/late.csv", Body=b"3")

    place.session.events.register("before-call.cloudformation.DeleteStack", drop)
    undeploy(place, "stocketl", lambda plan: "stocketl" if "DELETED" in plan else "", delete_data=True)
    left = {bucket["Name"] for bucket in place.s3.list_buckets()["Buckets"]}
    assert not left & ({outputs[name] for name in BUCKETS} | {BUCKET})


def files_in(place: Place, buckets: dict[str, str]) -> dict[str, int]:
    """How many versions and delete markers each bucket has that is there, by its logical id."""
    there = {bucket["Name"] for bucket in place.s3.list_buckets()["Buckets"]}
    found = {name: place.s3.list_object_versions(Bucket=one) for name, one in buckets.items() if one in there}
    return {name: len(one.get("Versions", ())) + len(one.get("DeleteMarkers", ())) for name, one in found.items()}


def undeployed_until(place: Place, tmp_path: Path, operation: str) -> tuple[dict[str, str], dict[str, str]]:
    """Deploys, drops a file and cuts its undeployment with the data off at this request: resources and buckets."""
    begin(place, tmp_path)
    resources = place.stack("stocketl").resources()
    buckets = {name: resources[name] for name in BUCKETS} | {"artifacts": BUCKET}
    place.s3.put_object(Bucket=buckets["InputBucket"], Key="drops/a.csv", Body=b"1")
    with cut_off_at(place, operation):
        undeploy(place, "stocketl", lambda _plan: "stocketl", delete_data=True)
    return resources, buckets


def test_an_undeployment_of_the_data_that_is_cut_off_before_the_stack_goes_is_run_again(
    place: Place, tmp_path: Path
) -> None:
    """The buckets are empty by then, with nothing left that moves files into them; the second run removes them."""
    resources, buckets = undeployed_until(place, tmp_path, "cloudformation.DeleteStack")
    assert files_in(place, buckets) == dict.fromkeys(buckets, 0)
    functions = [place.client("lambda").get_function_concurrency(FunctionName=resources[f]) for f in FUNCTIONS]
    assert [function["ReservedConcurrentExecutions"] for function in functions] == [0, 0, 0]
    place.s3.put_object(Bucket=buckets["InputBucket"], Key="drops/b.csv", Body=b"2")
    undeploy(place, "stocketl", lambda _plan: "stocketl", delete_data=True)
    assert files_in(place, buckets) == {}


def test_an_undeployment_that_is_cut_off_after_the_stack_is_gone_has_said_how_to_finish_it(
    place: Place, tmp_path: Path
) -> None:
    """Their names went with the stack, and a second run only said that there is none: full buckets stayed."""
    _, buckets = undeployed_until(place, tmp_path, "s3.DeleteBucket")
    assert place.stack("stocketl").description() is None
    assert files_in(place, buckets) == dict.fromkeys(buckets, 0)
    commands = [line.strip() for line in said(place).splitlines() if "aws s3 rb" in line]
    assert commands == [f"aws s3 rb s3://{bucket}" for bucket in buckets.values()]
    with pytest.raises(DeployError, match=r"`aws s3 ls \| grep stocketl-` shows .*, `aws s3 rb s3://BUCKET` deletes"):
        undeploy(place, "stocketl", never, delete_data=True)


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


def test_what_is_deleted_already_or_about_to_be_is_none_of_the_stacks_resources(place: Place) -> None:
    """CloudFormation lists it with its physical id; a stack that was rolled back has nothing else, and goes too."""
    place.client("cloudformation").create_stack(StackName="stocketl", TemplateBody=DATABASE)
    place.client("rds").modify_db_instance(
        DBInstanceIdentifier=place.stack("stocketl").resources()["Database"], DeletionProtection=False
    )
    gone = {"Trigger": ("stocketl-Trigger-1", "DELETE_COMPLETE"), "InputBucket": ("stocketl-1", "DELETE_SKIPPED")}
    list_also(place, gone | {"PrimaryGroup": ("sg-1", "DELETE_IN_PROGRESS")}, "DELETE_COMPLETE")
    assert place.stack("stocketl").resources() == {"InputBucket": "stocketl-1"}
    undeploy(place, "stocketl", lambda _plan: "stocketl", delete_data=False)
    assert place.stack("stocketl").description() is None


def test_a_stack_without_any_resource_left_is_removed(place: Place) -> None:
    """ROLLBACK_COMPLETE with everything rolled back was taken for no stack at all."""
    topic = json.dumps({"Resources": {"Alarms": {"Type": "AWS::SNS::Topic"}}})
    place.client("cloudformation").create_stack(StackName="stocketl", TemplateBody=topic)
    list_also(place, {}, "DELETE_COMPLETE")
    undeploy(place, "stocketl", lambda _plan: "stocketl", delete_data=False)
    assert place.stack("stocketl").description() is None


def test_a_stack_whose_creation_failed_is_to_be_removed_first_by_its_name(place: Place) -> None:
    """The command had no name, and so was that of another stack."""
    topic = json.dumps({"Resources": {"Alarms": {"Type": "AWS::SNS::Topic"}}})
    place.client("cloudformation").create_stack(StackName="prices", TemplateBody=topic)

    def rolled_back(parsed: dict[str, Any], **_: object) -> None:
        parsed["Stacks"][0]["StackStatus"] = "ROLLBACK_COMPLETE"

    place.session.events.register("after-call.cloudformation.DescribeStacks", rolled_back)
    with pytest.raises(DeployError, match=r'prices is in ROLLBACK_COMPLETE; .*: make undeploy ARGS="--stack prices"$'):
        place.stack("prices").plan("https://artifacts.example/template.yaml", {})


@pytest.mark.parametrize("code", ["DBInstanceNotFound", "DBInstanceNotFoundFault"])
def test_a_lambda_and_a_database_that_are_not_there_hold_nothing_up(place: Place, code: str) -> None:
    """As after a creation or deletion that failed; the undeployment ended with their not-found errors."""
    topic = json.dumps({"Resources": {"Alarms": {"Type": "AWS::SNS::Topic"}}})
    place.client("cloudformation").create_stack(StackName="stocketl", TemplateBody=topic)
    rows = {name: (f"stocketl-{name}-1", "CREATE_FAILED") for name in ("Trigger", "Monitor")}
    list_also(place, rows | {"Database": ("stocketl-database-1", "DELETE_FAILED")})
    refuse(place, "rds.ModifyDBInstance", code)
    undeploy(place, "stocketl", lambda _plan: "stocketl", delete_data=True)
    assert place.stack("stocketl").description() is None
    assert "aws rds describe-db-snapshots --db-instance-identifier stocketl-database-1" in said(place)


def test_another_error_of_the_database_ends_the_undeployment(place: Place) -> None:
    """A database that is not available now would keep its protection, and the stack."""
    place.client("cloudformation").create_stack(StackName="stocketl", TemplateBody=DATABASE)
    refuse(place, "rds.ModifyDBInstance", "InvalidDBInstanceState")
    with pytest.raises(ClientError, match="InvalidDBInstanceState"):
        undeploy(place, "stocketl", lambda _plan: "stocketl", delete_data=False)
    assert place.stack("stocketl").description() is not None


def test_a_heartbeat_that_is_none_is_an_error(place: Place) -> None:
    """Rather than waiting for ever."""
    place.s3.create_bucket(Bucket="state", CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    place.s3.put_object(Bucket="state", Key=liveness.HEARTBEAT, Body=json.dumps({"time": "noon"}).encode())
    with pytest.raises(DeployError, match="is not a heartbeat of the job"):
        liveness.heartbeat(place.s3, "state")
