# ruff: noqa: FBT002, PLR0917 (typer makes options of the arguments of a command)
"""Deploys: `python -m deploy.deploy`, or `make deploy`; an older version: `… build/stocketl/<version>`.

Build, bucket for artifacts, upload, change set, execution, the job's first heartbeat. May be run again at any time:
what is there already stays. Credentials and region come as for every boto3 program.
"""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 (typer reads the annotation)
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.console import Console
from rich.table import Table

from deploy import adopt, artifacts, build, liveness, needs, upgrade
from deploy.clusters import states
from deploy.errors import DeployError
from deploy.place import here, plain_errors
from deploy.stack import endangered

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deploy.place import Place
    from deploy.stack import Stack

# AWS keeps 100 unreserved: docs.aws.amazon.com/lambda/latest/dg/configuration-concurrency.html
_CONCURRENCY_TO_RESERVE = 200

NEW_VPC = "10.77.0.0/16"
"""The template's default of VpcCidr."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def deploy(
    place: Place, folder: Path, name: str, given: dict[str, str], agree: Callable[[str], bool], *, checked: bool = True
) -> str | None:
    """Everything but the wait for the job; given: parameters of the template; agree: asks the user.

    checked: whether to look first at what the account has. Returns the step that ran before and is to be replaced, if
    any. Raises DeployError.
    """
    artifacts.check(folder)
    stack = place.stack(name)
    before = stack.parameters()
    if checked:
        needs.check(place, folder, name, before | given)
    given = vpc_cidr(place, before, given) | given
    prepare_account(place, before | given)
    bucket = artifacts.bucket_name(name, place.account, place.region)
    artifacts.make_bucket(place.s3, bucket, place.region, place.account)
    versions = artifacts.upload(place.s3, bucket, folder, place.console, place.sleep)
    of_version = {
        "ArtifactsBucket": bucket,
        "ArtifactVersion": folder.name,
        "LambdaObjectVersion": versions[artifacts.LAMBDA],
    }
    if "Concurrency" not in before | given:
        of_version["Concurrency"] = concurrency(place.client("lambda"))
    change_set, changes = stack.plan(artifacts.url(place.s3, bucket, folder.name, "template.yaml"), of_version | given)
    if changes:
        show(changes, place.console)
        if (lost := endangered(changes)) and not agree(f"this replaces {', '.join(lost)} by an empty one. Go on?"):
            msg = f"nothing was changed; you can look at the change set {change_set}"
            raise DeployError(msg)
        carry_out(place, stack, change_set, len(changes), new=not before)
    else:
        place.console.print(f"the stack {name} needs no change")
    if before.get("ArtifactVersion", folder.name) == folder.name:
        return None
    return upgrade.replace(place, stack.outputs(), before["ArtifactVersion"], folder.name, agree)


def carry_out(place: Place, stack: Stack, change_set: str, changes: int, *, new: bool) -> None:
    """Executes a change set; what it fails with also says what may still cost money.

    The trigger starts the cluster as soon as it is there, and a new stack that is rolled back takes the trigger with it
    and leaves the cluster.
    """
    try:
        stack.execute(change_set, changes)
    except DeployError as error:
        if not new:
            raise
        try:
            found = ", ".join(f"{cluster} {state}" for cluster, state in states(place.emr, stack.name).items())
            seen = f"EMR lists {found}" if found else "EMR lists none yet; look again in a few minutes"
        except ClientError as refusal:
            seen = f"it could not be looked at: {refusal}"
        msg = (
            f"{error}\nA cluster may be running, started by the trigger before that: {seen}. It costs money until "
            f'`make undeploy ARGS="--stack {stack.name}"` has ended it'
        )
        raise DeployError(msg) from error


def prepare_account(place: Place, parameters: dict[str, str]) -> None:
    """What EMR needs once in each account, and the tag that lets its service role use a subnet."""
    try:
        place.client("iam").create_service_linked_role(AWSServiceName="elasticmapreduce.amazonaws.com")
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"InvalidInput", "EntityAlreadyExists"}:  # it is there already
            raise
    if subnets := parameters.get("ClusterSubnetIds"):
        tag = {"Key": "for-use-with-amazon-emr-managed-policies", "Value": "true"}
        place.client("ec2").create_tags(Resources=subnets.split(","), Tags=[tag])


def vpc_cidr(place: Place, before: dict[str, str], given: dict[str, str]) -> dict[str, str]:
    """VpcCidr for an existing VPC, if nobody gave it: the template's default is for a new one.

    Returns nothing if there is none to set. Raises DeployError for a VPC that does not exist.
    """
    vpc = (before | given).get("VpcId")
    stays = before.get("VpcId") == vpc and before.get("VpcCidr", NEW_VPC) != NEW_VPC
    if not vpc or "VpcCidr" in given or stays:
        return {}
    try:
        found = place.client("ec2").describe_vpcs(VpcIds=[vpc])["Vpcs"]
    except ClientError as error:
        if not error.response["Error"]["Code"].startswith("InvalidVpcID"):  # .NotFound, .Malformed
            raise
        msg = (
            f"VpcId: expected a VPC in {place.region} of the account {place.account}, got {vpc!r}; "
            "`aws ec2 describe-vpcs` lists them"
        )
        raise DeployError(msg) from error
    return {"VpcCidr": found[0]["CidrBlock"]}


def concurrency(client: Any) -> str:
    """`reserved` if the account has enough concurrency to give the Lambdas their own, else `shared`."""
    limit = client.get_account_settings()["AccountLimit"]["UnreservedConcurrentExecutions"]
    return "reserved" if limit >= _CONCURRENCY_TO_RESERVE else "shared"


def show(changes: Sequence[dict[str, Any]], console: Console) -> None:
    """Shows the changes of a change set as a table; for a new stack only their number."""
    if all(change["Action"] == "Add" for change in changes):
        console.print(f"{len(changes)} resources are made")
        return
    table = Table("action", "resource", "type", "replacement")
    for change in changes:
        words = (change["Action"], change["LogicalResourceId"], change["ResourceType"], change.get("Replacement", ""))
        table.add_row(*words)
    console.print(table)


def wait(place: Place, name: str, not_step: str | None, minutes: float) -> None:
    """Waits for a sign of life from another step than `not_step`. Raises DeployError if there is none."""

    def doing() -> str:
        found = states(place.emr, name)
        return ", ".join(f"cluster {cluster} {state}" for cluster, state in found.items()) or "no cluster yet"

    bucket = place.stack(name).outputs()["StateBucket"]
    beat = liveness.wait(place.s3, bucket, place.console, doing=doing, not_step=not_step, seconds=minutes * 60)
    place.console.print(f"the job runs as {beat.step or 'a step'}, last heartbeat {beat.time:%H:%M:%S %Z}")


def tell(outputs: dict[str, str], console: Console) -> None:
    """Where everything is, and what to do next."""
    table = Table.grid(padding=(0, 2))
    table.add_row("drop files here", outputs["DropHere"])
    table.add_row("loaded files", f"s3://{outputs['SuccessBucket']}/")
    table.add_row("failed files and why", f"s3://{outputs['FailedBucket']}/")
    table.add_row("database", outputs.get("DatabaseHost", "the one of DatabaseUri"))
    table.add_row("its password", outputs["DatabaseSecret"])
    table.add_row("dashboard", outputs["DashboardUrl"])
    console.print(table)
    console.print(f"\naws s3 cp stocks/input_1.csv {outputs['DropHere']}", highlight=False)


def assignments(texts: Sequence[str]) -> dict[str, str]:
    """`NAME=VALUE` as a dict; raises DeployError for anything else."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [text for text, (name, sign, _) in zip(texts, pairs, strict=True) if not sign or not name]:
        msg = f"--set: expected NAME=VALUE, got {wrong[0]!r}"
        raise DeployError(msg)
    return {name: value for name, _, value in pairs}


@app.command()
def main(
    folder: Annotated[Path | None, typer.Argument(help="A built version. Without it, the sources are built.")] = None,
    stack: Annotated[str, typer.Option(help="Name of the stack.")] = "stocketl",
    email: Annotated[str | None, typer.Option(help="Address for the alarms. It must confirm the subscription.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A parameter of the template: NAME=VALUE.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing.")] = False,
    adopted: Annotated[
        bool, typer.Option("--adopt", help="Take the buckets that an undeployment of this stack has left.")
    ] = False,
    unchecked: Annotated[
        bool, typer.Option("--unchecked", help="Do not look first whether the account has what is needed.")
    ] = False,
    minutes: Annotated[float, typer.Option(help="How long to wait for the job's heartbeat; 0: not at all.")] = 40,
) -> None:
    """Builds and uploads a version, makes or updates the stack, and waits until the job runs."""
    console = Console(stderr=True)
    with plain_errors():
        place = here(console)
        given = assignments(set_ or []) | ({} if email is None else {"AlarmEmail": email})
        built = build.build(build.ROOT / "build" / "stocketl", console) if folder is None else folder.resolve()
        if adopted:
            artifacts.check(built)
            console.print("adopted: " + ", ".join(f"s3://{name}" for name in adopt.adopt(place, built, stack).values()))
        not_step = deploy(
            place, built, stack, given, lambda text: yes or typer.confirm(text, err=True), checked=not unchecked
        )
        if minutes:
            wait(place, stack, not_step, minutes)
        tell(place.stack(stack).outputs(), console)


if __name__ == "__main__":
    app()
