"""deploy/: what it makes of an account, against moto; what CloudFormation itself would do is not tried here."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
import typer
from account import ACCOUNT, BUCKET, DOCUMENTS, REGION, an_account, built, refuse
from typer.testing import CliRunner

from deploy import artifacts, liveness
from deploy.deploy import NEW_VPC, assignments, concurrency, vpc_cidr
from deploy.deploy import app as deploy_app
from deploy.errors import DeployError
from deploy.place import here, plain_errors
from deploy.stack import endangered, failure, parameters
from deploy.undeploy import app as undeploy_app

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.place import Place

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)


@pytest.fixture
def place() -> Iterator[Place]:
    with an_account() as made:
        yield made


def test_the_bucket_of_the_artifacts_is_private_versioned_encrypted_and_tls_only(place: Place) -> None:
    """Made once, and brought into that state again by every later deployment."""
    for _ in range(2):
        artifacts.make_bucket(place.s3, BUCKET, place.region, place.account)
    assert place.s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    blocked = place.s3.get_public_access_block(Bucket=BUCKET)["PublicAccessBlockConfiguration"]
    assert set(blocked.values()) == {True}
    policy = json.loads(place.s3.get_bucket_policy(Bucket=BUCKET)["Policy"])
    assert policy == artifacts.tls_only(BUCKET, "aws")
    encryption = place.s3.get_bucket_encryption(Bucket=BUCKET)["ServerSideEncryptionConfiguration"]["Rules"][0]
    assert encryption["ApplyServerSideEncryptionByDefault"] == {"SSEAlgorithm": "AES256"}


def test_a_folder_that_was_not_built_is_refused(tmp_path: Path) -> None:
    """The message names what is missing."""
    (tmp_path / "main.py").touch()
    with pytest.raises(DeployError, match=r"lacks stocketl\.zip, .*template\.yaml, wheels/\*\.whl: .*`make build`"):
        artifacts.check(tmp_path)


def test_only_what_changed_is_uploaded_again(place: Place, tmp_path: Path) -> None:
    """The version ids say what is there; lambda.zip under the same name gets another one."""
    artifacts.make_bucket(place.s3, BUCKET, place.region, place.account)
    folder = built(tmp_path)
    first = artifacts.upload(place.s3, BUCKET, folder, place.console)
    (folder / "lambda.zip").write_bytes(b"other code")
    second = artifacts.upload(place.s3, BUCKET, folder, place.console)
    assert {name for name, version in second.items() if version != first[name]} == {"lambda.zip"}
    assert artifacts.text(place.s3, BUCKET, folder.name, "requirements.txt") == "numpy==2"
    assert artifacts.text(place.s3, BUCKET, "1.0.0", "requirements.txt") is None


def test_a_file_is_uploaded_until_the_bucket_is_versioned(place: Place, tmp_path: Path) -> None:
    """Versioning takes a while after it was switched on; the upload ended with KeyError: 'VersionId'."""
    s3, pauses = place.s3, []
    s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})

    found = artifacts.upload(s3, BUCKET, built(tmp_path), place.console, pause)
    assert pauses == [10, 10, 10]
    versions = s3.list_object_versions(Bucket=BUCKET)["Versions"]
    latest = {one["Key"]: one["VersionId"] for one in versions if one["IsLatest"]}
    assert {f"stocketl/1.2.3-00000001/{name}": version for name, version in found.items()} == latest
    assert "null" not in found.values()


def test_a_file_that_s3_does_not_see_yet_is_asked_for_again(place: Place, tmp_path: Path) -> None:
    """In that while a file that was just uploaded is now and then not found, and the upload ended with a 404."""
    artifacts.make_bucket(place.s3, BUCKET, place.region, place.account)
    refuse(place, "s3.HeadObject", "404", times=4)
    pauses: list[float] = []
    found = artifacts.upload(place.s3, BUCKET, built(tmp_path), place.console, pauses.append)
    assert (pauses, len(found)) == ([10, 10], len(artifacts.NEEDED) + 2)


def test_a_bucket_that_never_gets_versioned_is_an_error(place: Place, tmp_path: Path) -> None:
    """After the 15 minutes that AWS names, it says where to look."""
    place.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    pauses: list[float] = []
    expected = (
        rf"^s3://{BUCKET}/.*/bootstrap\.sh: expected a version id within 15 minutes, got none; `aws s3api get-bucket"
    )
    with pytest.raises(DeployError, match=expected):
        artifacts.upload(place.s3, BUCKET, built(tmp_path), place.console, pauses.append)
    assert sum(pauses) == 15 * 60


def test_an_upload_that_fails_is_one_line(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """boto3 has errors beside botocore's: this one came with a traceback."""
    folder = built(tmp_path)
    artifacts.make_bucket(place.s3, BUCKET, place.region, place.account)
    refuse(place, "s3.PutObject", "AccessDenied")
    with pytest.raises(typer.Exit), plain_errors():
        artifacts.upload(place.s3, BUCKET, folder, place.console)
    assert capsys.readouterr().err == (
        f"Failed to upload {folder}/bootstrap.sh to {BUCKET}/stocketl/{folder.name}/bootstrap.sh: An error occurred "
        "(AccessDenied) when calling the PutObject operation: not now\n"
    )


def test_the_addresses_of_an_existing_vpc_are_its_own_unless_others_are_given(place: Place) -> None:
    """What was once given stays, since the default is of a new VPC and its endpoint would let in no node."""
    one, other = (place.client("ec2").create_vpc(CidrBlock=f"10.{n}.0.0/16")["Vpc"]["VpcId"] for n in (20, 30))
    by_default, by_hand = {"VpcId": one, "VpcCidr": NEW_VPC}, {"VpcId": one, "VpcCidr": "10.0.0.0/8"}
    cases: list[tuple[dict[str, str], dict[str, str]]] = [
        ({}, {"VpcId": one}),
        ({"VpcId": "", "VpcCidr": NEW_VPC}, {"VpcId": one}),
        (by_default, {}),
        (by_hand, {"VpcId": other}),
        ({}, by_hand),
        (by_hand, {}),
        ({"VpcId": "", "VpcCidr": NEW_VPC}, {}),
    ]
    found = [vpc_cidr(place, before, given).get("VpcCidr") for before, given in cases]
    assert found == ["10.20.0.0/16"] * 3 + ["10.30.0.0/16"] + [None] * 3
    assert f"Default: {NEW_VPC}" in (DOCUMENTS / "template.yaml").read_text()


@pytest.mark.parametrize("code", ["InvalidVpcID.NotFound", "InvalidVpcID.Malformed"])
def test_a_vpc_that_does_not_exist_is_named(place: Place, code: str) -> None:
    """Before anything is made."""
    refuse(place, "ec2.DescribeVpcs", code)
    with pytest.raises(
        DeployError, match=f"expected a VPC in {REGION} of the account {ACCOUNT}, got 'vpc-0'; `aws ec2"
    ):
        vpc_cidr(place, {}, {"VpcId": "vpc-0"})


def test_parameters_keep_their_values_unless_others_are_given() -> None:
    """An update with a new version leaves the e-mail address alone; a name that the template lacks is refused."""
    known, before = ["ArtifactVersion", "AlarmEmail", "VpcId"], {"ArtifactVersion": "1", "AlarmEmail": "a@b"}
    assert parameters({"ArtifactVersion": "2"}, known, before) == [
        {"ParameterKey": "ArtifactVersion", "ParameterValue": "2"},
        {"ParameterKey": "AlarmEmail", "UsePreviousValue": True},
    ]
    with pytest.raises(DeployError, match="no parameter Vpc; it has AlarmEmail, ArtifactVersion, VpcId"):
        parameters({"Vpc": "vpc-1"}, known, before)


def test_changes_that_would_leave_data_behind_are_noticed() -> None:
    """A database or bucket that is made anew is an empty one."""

    def change(kind: str, action: str, replacement: str) -> dict[str, str]:
        return {"LogicalResourceId": kind[-8:], "ResourceType": kind, "Action": action, "Replacement": replacement}

    changes = [
        change("AWS::RDS::DBInstance", "Modify", "True"),
        change("AWS::RDS::DBInstance", "Modify", "False"),
        change("AWS::S3::Bucket", "Remove", ""),
        change("AWS::Lambda::Function", "Modify", "True"),
        change("AWS::S3::Bucket", "Add", ""),
    ]
    assert endangered(changes) == ["Instance", "::Bucket"]


def test_the_first_failure_is_told_and_what_follows_from_it_is_not() -> None:
    """CloudFormation cancels everything else."""
    event = {"LogicalResourceId": "Database", "ResourceType": "AWS::RDS::DBInstance", "ResourceStatus": "CREATE_FAILED"}
    assert failure(event | {"ResourceStatusReason": "no capacity"}) == "Database (AWS::RDS::DBInstance): no capacity"
    assert failure(event | {"ResourceStatusReason": "Resource creation cancelled"}) is None
    assert failure(event | {"ResourceStatus": "CREATE_COMPLETE"}) is None


def test_assignments_are_names_and_values() -> None:
    """`--set NAME=VALUE`; a value may hold `=` and be empty."""
    assert assignments(["VpcId=vpc-1", "DatabaseUri=postgresql://h/d?sslmode=require", "AlarmEmail="]) == {
        "VpcId": "vpc-1",
        "DatabaseUri": "postgresql://h/d?sslmode=require",
        "AlarmEmail": "",
    }
    with pytest.raises(DeployError, match="expected NAME=VALUE, got 'VpcId'"):
        assignments(["VpcId"])


class Clock:
    """Time passes by sleeping; `at` does something at a time."""

    def __init__(self) -> None:
        self.now = NOON
        self.at: dict[datetime, Any] = {}

    def sleep(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        for time in sorted(time for time in self.at if time <= self.now):
            self.at.pop(time)()

    def __call__(self) -> datetime:
        return self.now


def beat(place: Place, time: datetime, step: str) -> None:
    body = json.dumps({"time": time.isoformat(timespec="seconds"), "step": step, "epoch": 1})
    place.s3.put_object(Bucket=BUCKET, Key=liveness.HEARTBEAT, Body=body.encode())


def test_the_job_is_alive_with_a_heartbeat_of_a_new_step(place: Place) -> None:
    """Not by an old heartbeat, and not by one of the step that is being replaced."""
    artifacts.make_bucket(place.s3, BUCKET, place.region, place.account)
    clock = Clock()
    beat(place, NOON - timedelta(hours=1), "s-OLD")
    clock.at[NOON + timedelta(seconds=30)] = lambda: beat(place, clock.now, "s-OLD")
    clock.at[NOON + timedelta(seconds=60)] = lambda: beat(place, clock.now, "s-NEW")
    options: dict[str, Any] = {"sleep": clock.sleep, "clock": clock, "doing": lambda: "cluster j-1 STARTING"}
    found = liveness.wait(place.s3, BUCKET, place.console, not_step="s-OLD", **options)
    assert (found.step, clock.now) == ("s-NEW", NOON + timedelta(seconds=60))
    with pytest.raises(DeployError, match=r"no heartbeat in .* within 2 minutes; cluster j-1 STARTING"):
        liveness.wait(place.s3, BUCKET, place.console, not_step="s-NEW", seconds=120, **options)


@pytest.mark.parametrize("command", [deploy_app, undeploy_app], ids=["deploy", "undeploy"])
def test_what_a_person_must_mend_is_one_line(command: typer.Typer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a region nothing is begun."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    result = CliRunner().invoke(command, [])
    assert (result.exit_code, result.stderr) == (
        1,
        "no region is set: set AWS_REGION, or a region in the profile\n",
    )


@pytest.mark.parametrize(
    ("variables", "region"),
    [
        ({"AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
        ({"AWS_REGION": "eu-west-2"}, "eu-west-2"),
        ({"AWS_REGION": "eu-west-2", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-2"),
        ({"AWS_REGION": "", "AWS_DEFAULT_REGION": "eu-west-1"}, "eu-west-1"),
    ],
)
def test_the_region_is_the_one_that_the_aws_command_would_take(
    place: Place, monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], region: str
) -> None:
    """boto3 does not know AWS_REGION: with both set it deployed into another region than the recipes look at."""
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    found = here(place.console)
    assert (found.region, found.s3.meta.region_name, found.account) == (region, region, ACCOUNT)


def test_concurrency_is_reserved_where_there_is_enough() -> None:
    """A new account may have 10 in all, of which none can be reserved."""

    class Account:
        def __init__(self, limit: int) -> None:
            self.limit = limit

        def get_account_settings(self) -> dict[str, Any]:
            return {"AccountLimit": {"UnreservedConcurrentExecutions": self.limit}}

    assert [concurrency(Account(limit)) for limit in (10, 1000)] == ["shared", "reserved"]


def test_a_stack_name_is_as_long_as_the_name_of_its_bucket_allows() -> None:
    """S3 takes 63 characters."""
    account, region = "123456789012", "ap-southeast-1"
    assert artifacts.bucket_name("Stocks", account, region) == f"stocks-artifacts-{account}-{region}"
    assert len(artifacts.bucket_name("s" * 25, account, region)) == 63
    with pytest.raises(DeployError, match=r"is too long for the name of its bucket; at most 25 characters"):
        artifacts.bucket_name("s" * 26, account, region)
