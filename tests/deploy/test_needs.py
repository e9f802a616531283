"""What `make deploy` looks at before it acts: each thing that is missing is one line that says what to ask for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from account import an_account, answer, built, said
from cloudformation import TEMPLATE, Stack

from deploy import needs
from deploy.deploy import deploy
from deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deploy.place import Place

TYPES = ("m6i.xlarge", "m5.xlarge", "m7i.xlarge", "m6a.xlarge", "m5a.xlarge")
DOCUMENT: dict[str, Any] = json.loads((TEMPLATE.parent / "cluster.json").read_text())
ZONES = ("eu-central-1a", "eu-central-1b")


@pytest.fixture
def place() -> Iterator[Place]:
    """An account that has all that is needed, beside one instance of two vCPUs and a Spot one."""
    with an_account() as made:
        allow(made)
        yield made


def allow(place: Place) -> None:
    """What moto does not know, or differently from AWS, is answered as AWS documents it."""
    answer(place, "service-quotas.GetServiceQuota", {"Quota": {"Value": 32.0}})
    answer(place, "emr.ListReleaseLabels", {"ReleaseLabels": ["emr-spark-8.1.0"]})
    kinds = [{"InstanceType": name, "VCpuInfo": {"DefaultVCpus": 4}} for name in TYPES]
    answer(place, "ec2.DescribeInstanceTypes", {"InstanceTypes": kinds})
    answer(place, "ec2.DescribeInstanceTypeOfferings", {"InstanceTypeOfferings": [{"InstanceType": "m6i.xlarge"}]})
    running = {"InstanceType": "t3.large", "CpuOptions": {"CoreCount": 1, "ThreadsPerCore": 2}}
    others = [running | {"InstanceLifecycle": "spot"}, running | {"InstanceType": "p3.large"}]
    answer(place, "ec2.DescribeInstances", {"Reservations": [{"Instances": [running, *others]}]})
    versions = [{"EngineVersion": version} for version in ("17.6", "18.1", "18.10", "18.9")]
    answer(place, "rds.DescribeDBEngineVersions", {"DBEngineVersions": versions})
    answer(place, "rds.DescribeOrderableDBInstanceOptions", {"OrderableDBInstanceOptions": [{"Engine": "postgres"}]})


def lacks(place: Place, folder: Path, **parameters: str) -> list[str]:
    """The lines of the refusal, without the dash."""
    with pytest.raises(DeployError, match=r"^nothing was changed; this account in eu-central-1 lacks:") as error:
        needs.check(place, folder, "stocketl", parameters)
    return [line[2:] for line in str(error.value).splitlines()[1:-1]]


def test_an_account_that_has_everything_is_told_nothing(place: Place, tmp_path: Path) -> None:
    """The look costs no question and no line."""
    needs.check(place, built(tmp_path), "stocketl", {})
    assert said(place) == ""


def test_a_new_accounts_quota_is_told_with_the_number_to_ask_for(place: Place, tmp_path: Path) -> None:
    """Three nodes of four vCPUs beside two that run; Spot and other families have quotas of their own."""
    answer(place, "service-quotas.GetServiceQuota", {"Quota": {"Value": 5.0}})
    line = (
        "vCPUs: the cluster needs 12 beside the 2 of what runs, the quota is 5. Ask for 14: aws service-quotas "
        "request-service-quota-increase --service-code ec2 --quota-code L-1216C47A --desired-value 14"
    )
    assert lacks(place, built(tmp_path)) == [line]


def test_the_clusters_own_nodes_do_not_count_against_its_successor(place: Place, tmp_path: Path) -> None:
    """A cluster of this stack is ended before the next one starts."""
    answer(place, "service-quotas.GetServiceQuota", {"Quota": {"Value": 12.0}})
    instances: Any = {"InstanceCount": 1, "MasterInstanceType": "m6i.xlarge", "KeepJobFlowAliveWhenNoSteps": True}
    place.emr.run_job_flow(Name="stocketl", Instances=instances)
    needs.check(place, built(tmp_path), "stocketl", {})


@pytest.mark.parametrize(
    ("parameters", "zones"),
    [
        ({}, ZONES[:1]),
        ({"DatabaseTwoZones": "yes"}, ZONES),
        ({"ZoneA": "eu-central-1b", "ZoneB": "eu-central-1c"}, ("eu-central-1b",)),
    ],
)
def test_a_zone_without_any_of_the_types_is_told(
    place: Place, tmp_path: Path, parameters: dict[str, str], zones: tuple[str, ...]
) -> None:
    """A line for each zone that the cluster may start in and each fleet; one type that is offered is enough."""
    answer(place, "ec2.DescribeInstanceTypeOfferings", {"InstanceTypeOfferings": [{"InstanceType": "t3.large"}]})
    lines = lacks(place, built(tmp_path), **parameters)
    assert [line.split(" for the ")[0] for line in lines] == [
        f"instances: {zone} has none of {', '.join(TYPES)}" for zone in zones for _ in range(2)
    ]


def test_zones_of_an_existing_network_are_those_of_its_subnets(place: Place) -> None:
    """Whatever ZoneA says: it is for a new network."""
    ec2 = place.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.20.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.20.{n}.0/24", AvailabilityZone=zone)["Subnet"]["SubnetId"]
        for n, zone in enumerate(ZONES)
    ]
    assert needs.zones(ec2, {"ClusterSubnetIds": ",".join(subnets), "ZoneA": "eu-central-1c"}) == list(ZONES)


def test_a_release_that_the_region_lacks_is_told(place: Place, tmp_path: Path) -> None:
    """EMR would refuse each start of a cluster, again and again."""
    answer(place, "emr.ListReleaseLabels", {"ReleaseLabels": ["emr-7.12.0"]})
    assert lacks(place, built(tmp_path))[0].startswith("release: EMR has no emr-spark-8.1.0 here.")


def test_a_version_or_class_of_the_database_that_the_region_lacks_is_told(place: Place, tmp_path: Path) -> None:
    """The class is asked for the newest minor version, by number; with a database of one's own nothing is."""
    folder = built(tmp_path)
    answer(place, "rds.DescribeOrderableDBInstanceOptions", {"OrderableDBInstanceOptions": []})
    assert lacks(place, folder, DatabaseClass="db.x9.huge") == [
        "database: RDS has no db.x9.huge for PostgreSQL 18.10 here. Name another: --set DatabaseClass=…"
    ]
    answer(place, "rds.DescribeDBEngineVersions", {"DBEngineVersions": [{"EngineVersion": "17.6"}]})
    assert lacks(place, folder)[0].startswith("database: RDS has no PostgreSQL 18 here.")
    needs.check(place, folder, "stocketl", {"DatabaseUri": "postgresql://stocks.example/stocks"})


def test_a_region_whose_certificates_are_not_in_the_artifact_is_told(place: Place, tmp_path: Path) -> None:
    """The job would not log in; AWS's newest file, which names no region, passes."""
    folder = built(tmp_path)
    (folder / "rds-ca.pem").write_text("# The root certificates of one region\n# Amazon RDS us-east-1 Root CA\n")
    assert lacks(place, folder)[0].startswith("certificates: rds-ca.pem has none of eu-central-1.")
    (folder / "rds-ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    needs.check(place, folder, "stocketl", {})


def test_what_may_not_be_looked_at_is_told_and_passed_over(place: Place, tmp_path: Path) -> None:
    """Whoever may deploy need not have the right to ask for quotas."""
    answer(place, "service-quotas.GetServiceQuota", {"Error": {"Code": "AccessDenied", "Message": "no"}}, status=403)
    needs.check(place, built(tmp_path), "stocketl", {})
    assert said(place).startswith("not looked at: An error occurred (AccessDenied)")


def test_nothing_is_made_where_something_is_missing(place: Place, tmp_path: Path) -> None:
    """Not even the bucket; `--unchecked` goes on to what comes next."""
    answer(place, "service-quotas.GetServiceQuota", {"Quota": {"Value": 5.0}})
    with pytest.raises(DeployError, match="the quota is 5"):
        deploy(place, built(tmp_path), "stocketl", {}, lambda _: True)
    assert place.s3.list_buckets()["Buckets"] == []
    with pytest.raises(DeployError, match="VpcId: expected a VPC"):
        deploy(place, built(tmp_path / "again"), "stocketl", {"VpcId": "vpc-1"}, lambda _: True, checked=False)


def test_the_defaults_are_the_templates() -> None:
    """The look is made before CloudFormation reads the template."""
    stack = Stack()
    assert stack.resources["Database"]["Properties"]["EngineVersion"] == needs.POSTGRES
    assert stack.resources["Database"]["Properties"]["DBInstanceClass"] == needs.DATABASE_CLASS


def test_a_managed_cluster_is_counted_at_its_full_size() -> None:
    """The quota must hold what managed scaling may ask for."""
    limits = {"ManagedScalingPolicy": {"ComputeLimits": {"MaximumCapacityUnits": 5}}}
    assert [(role, most) for role, most, _ in needs.fleets(DOCUMENT)] == [("MASTER", 1), ("CORE", 2)]
    assert [(role, most) for role, most, _ in needs.fleets(DOCUMENT | limits)] == [("MASTER", 1), ("CORE", 5)]
