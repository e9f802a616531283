"""What a cluster and a database need of an account, looked at before anything is made.

If a quota, a type of instance or a version is missing, that would otherwise show after twenty minutes, as a cluster
that does not start or a stack that is rolled back. Each thing that is missing is one line that says what to ask for.
What the user may not look at is told and passed over.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from deploy.clusters import states
from deploy.errors import DeployError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from deploy.place import Place

POSTGRES = "18"
"""The template's major version of PostgreSQL."""
DATABASE_CLASS = "db.t4g.medium"
"""The template's default of DatabaseClass."""

# "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", in vCPUs; an account begins with 5:
# docs.aws.amazon.com/cli/latest/userguide/cli_service-quotas_code_examples.html
_QUOTA = {"ServiceCode": "ec2", "QuotaCode": "L-1216C47A"}
_STANDARD = set("acdhimrtz")


def check(place: Place, folder: Path, stack: str, parameters: Mapping[str, str]) -> None:
    """Raises DeployError with a line for each thing that is missing.

    folder: the built version; parameters: those given and those that the stack has; the others are the template's.
    """
    document = json.loads((folder / "cluster.json").read_text())  # `${NAME}` stands inside of strings only
    looks: tuple[Callable[[], list[str]], ...] = (
        lambda: vcpus(place, document, stack),
        lambda: types_in_zones(place, document, parameters),
        lambda: release(place, document),
        lambda: [] if parameters.get("DatabaseUri") else database(place, parameters),
        lambda: [] if parameters.get("DatabaseUri") else authority(place, folder),
    )
    missing = [line for look in looks for line in _looked(place, look)]
    if missing:
        lines = "\n".join(f"- {line}" for line in missing)
        msg = f"nothing was changed; this account in {place.region} lacks:\n{lines}\n--unchecked deploys all the same"
        raise DeployError(msg)


def vcpus(place: Place, document: Mapping[str, Any], stack: str) -> list[str]:
    """Whether the quota has room for the cluster at its full size."""
    client = place.client("ec2")
    found = client.get_paginator("describe_instance_types").paginate(InstanceTypes=sorted(_types(document)))
    each = {one["InstanceType"]: one["VCpuInfo"]["DefaultVCpus"] for page in found for one in page["InstanceTypes"]}
    needed = sum(nodes * max(each[name] for name in types) for _, nodes, types in fleets(document))
    quota = int(place.client("service-quotas").get_service_quota(**_QUOTA)["Quota"]["Value"])
    used = _running(client) if not states(place.emr, stack) else 0  # a cluster of this stack is ended before the next
    if used + needed <= quota:
        return []
    beside = f" beside the {used} of what runs" if used else ""
    line = (
        f"vCPUs: the cluster needs {needed}{beside}, the quota is {quota}. Ask for {used + needed}: aws service-quotas "
        f"request-service-quota-increase --service-code ec2 --quota-code {_QUOTA['QuotaCode']} "
        f"--desired-value {used + needed}"
    )
    return [line]


def types_in_zones(place: Place, document: Mapping[str, Any], parameters: Mapping[str, str]) -> list[str]:
    """Whether each zone that the cluster may start in has one of the types of each fleet."""
    client = place.client("ec2")
    names = sorted(_types(document))
    lines = []
    for zone in zones(client, parameters):
        asked = [{"Name": "location", "Values": [zone]}, {"Name": "instance-type", "Values": names}]
        pages = client.get_paginator("describe_instance_type_offerings").paginate(
            LocationType="availability-zone", Filters=asked
        )
        offered = {one["InstanceType"] for page in pages for one in page["InstanceTypeOfferings"]}
        lines += [
            f"instances: {zone} has none of {', '.join(types)} for the {role.lower()} node. Name another zone "
            "(--set ZoneA=… --set ZoneB=…, before the first deployment), or other types in cluster.json"
            for role, _, types in fleets(document)
            if not offered & set(types)
        ]
    return lines


def release(place: Place, document: Mapping[str, Any]) -> list[str]:
    """Whether EMR has the release in this region."""
    label = document["ReleaseLabel"]
    asked: dict[str, Any] = {"Filters": {"Prefix": label}}
    if label in place.emr.list_release_labels(**asked).get("ReleaseLabels", ()):
        return []
    return [f"release: EMR has no {label} here. Deploy in a region that has it: aws emr list-release-labels"]


def database(place: Place, parameters: Mapping[str, str]) -> list[str]:
    """Whether RDS has the version of PostgreSQL, and an instance of the class for it."""
    client = place.client("rds")
    pages = client.get_paginator("describe_db_engine_versions").paginate(Engine="postgres")
    versions = [one["EngineVersion"] for page in pages for one in page["DBEngineVersions"]]
    ours = sorted((v for v in versions if v.partition(".")[0] == POSTGRES), key=_numbers)
    if not ours:
        line = (
            f"database: RDS has no PostgreSQL {POSTGRES} here. Deploy in a region that has it, or give a database of "
            "your own: --set DatabaseUri=… --set DatabaseSecretArn=…"
        )
        return [line]
    kind = parameters.get("DatabaseClass", DATABASE_CLASS)
    asked = {"Engine": "postgres", "EngineVersion": ours[-1], "DBInstanceClass": kind}
    if client.describe_orderable_db_instance_options(**asked)["OrderableDBInstanceOptions"]:
        return []
    return [f"database: RDS has no {kind} for PostgreSQL {ours[-1]} here. Name another: --set DatabaseClass=…"]


def authority(place: Place, folder: Path) -> list[str]:
    """Whether the artifact has the certificates of RDS in this region, by which the job checks the database's."""
    text = (folder / "rds-ca.pem").read_text(encoding="utf-8")
    is_ours = "# The root certificates" in text  # AWS's own file says of none whose it is
    if f"Amazon RDS {place.region} Root CA" in text or not is_ours:
        return []
    line = (
        f"certificates: rds-ca.pem has none of {place.region}. Put AWS's newest in its place: "
        "curl -o deploy/rds-ca.pem https://truststore.pki.rds.amazonaws.com/global/global-bundle.pem"
    )
    return [line]


def fleets(document: Mapping[str, Any]) -> list[tuple[str, int, list[str]]]:
    """Role, most nodes, types of instances, of each fleet of a cluster document."""
    limits = document.get("ManagedScalingPolicy", {}).get("ComputeLimits", {})
    most = {"CORE": limits.get("MaximumCapacityUnits", 0)}
    return [
        (
            fleet["InstanceFleetType"],
            max(fleet["TargetOnDemandCapacity"], most.get(fleet["InstanceFleetType"], 0)),
            [one["InstanceType"] for one in fleet["InstanceTypeConfigs"]],
        )
        for fleet in document["Instances"]["InstanceFleets"]
    ]


def zones(client: Any, parameters: Mapping[str, str]) -> list[str]:
    """The availability zones that the cluster may start in."""
    if given := parameters.get("ClusterSubnetIds"):
        found = client.describe_subnets(SubnetIds=given.split(","))["Subnets"]
        return sorted({subnet["AvailabilityZone"] for subnet in found})
    of_region = [parameters[name] for name in ("ZoneA", "ZoneB") if parameters.get(name)]
    if not of_region:
        asked = [{"Name": "zone-type", "Values": ["availability-zone"]}, {"Name": "state", "Values": ["available"]}]
        found = client.describe_availability_zones(Filters=asked)["AvailabilityZones"]
        of_region = sorted(zone["ZoneName"] for zone in found)[:2]
    return of_region if parameters.get("DatabaseTwoZones") == "yes" else of_region[:1]


def _types(document: Mapping[str, Any]) -> set[str]:
    return {name for _, _, types in fleets(document) for name in types}


def _numbers(version: str) -> list[int]:
    return [int(digits) for digits in re.findall(r"\d+", version)]


def _running(client: Any) -> int:
    """VCPUs of the account's standard instances that run now, of whatever they are part."""
    states_that_count = [{"Name": "instance-state-name", "Values": ["pending", "running"]}]
    pages = client.get_paginator("describe_instances").paginate(Filters=states_that_count)
    found = [one for page in pages for held in page["Reservations"] for one in held["Instances"]]
    counted = (one for one in found if one["InstanceType"][0] in _STANDARD and "InstanceLifecycle" not in one)
    options = (one.get("CpuOptions", {}) for one in counted)
    return sum(one.get("CoreCount", 0) * one.get("ThreadsPerCore", 1) for one in options)


def _looked(place: Place, look: Callable[[], list[str]]) -> list[str]:
    try:
        return look()
    except (ClientError, BotoCoreError) as error:
        place.console.print(f"not looked at: {error}", style="yellow", highlight=False, markup=False)
        return []
