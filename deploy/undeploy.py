# ruff: noqa: FBT002 (typer makes options of the arguments of a command)
"""Removes a deployment: `python -m deploy.undeploy`, or `make undeploy`. Asks for the stack's name first.

What stays: the buckets with all that is in them, and a last snapshot of the database. With --delete-data the buckets
are emptied before the stack goes and removed after it; the snapshot stays all the same and is named at the end. May be
run again as long as there is the stack; what a run may leave behind without it is said before it goes.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.console import Console
from rich.prompt import Prompt

from deploy import artifacts, clusters
from deploy.errors import DeployError
from deploy.place import here, plain_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3.client import S3Client

    from deploy.place import Place

BUCKETS = ("InputBucket", "SuccessBucket", "FailedBucket", "StateBucket", "ReceiptsBucket", "LogsBucket")
GROUPS = ("PrimaryGroup", "CoreGroup", "ServiceGroup")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def undeploy(place: Place, name: str, ask: Callable[[str], str], *, delete_data: bool) -> None:
    """Ends the cluster, deletes the stack and, if told so, the data.

    ask: shows what is about to happen and returns what the user types. Raises DeployError; nothing is done yet where
    there is no such stack, or its name was not typed.
    """
    stack = place.stack(name)
    if stack.description() is None:
        raise DeployError(no_stack(place, name))
    resources = stack.resources()
    if (typed := ask(plan(name, delete_data=delete_data)).strip()) != name:
        msg = f"nothing was removed: expected {name!r}, got {typed!r}"
        raise DeployError(msg)
    prepare(place, name, resources, delete_data=delete_data)
    database = resources.get("Database")
    buckets = [resources[bucket] for bucket in BUCKETS if bucket in resources]
    buckets.append(artifacts.bucket_name(name, place.account, place.region))
    tell_rest(buckets, database, place.console, delete_data=delete_data)
    if delete_data:  # their names are gone with the stack: whatever happens then, only empty ones are left
        for bucket in buckets:
            empty_bucket(place.s3, bucket, place.console)
    stack.delete()
    if delete_data:
        for bucket in buckets:
            remove_bucket(place.s3, bucket, place.console)
    else:
        place.console.print("kept, with all that is in them: " + ", ".join(f"s3://{bucket}" for bucket in buckets))
    if database:
        tell_snapshots(place.client("rds"), database, place.console)


def plan(name: str, *, delete_data: bool) -> str:
    """What is about to happen, for the question."""
    data = "ARE EMPTIED AND DELETED" if delete_data else "stay (--delete-data would remove them too)"
    return (
        f"The cluster of {name} ends; its Lambdas, alarms, network and database are deleted. A last snapshot of the "
        f"database stays. The buckets with every file, the checkpoint and the receipts {data}."
    )


def no_stack(place: Place, name: str) -> str:
    """There is no stack, and how to finish an undeployment that was cut off after the stack was gone."""
    return (
        f"there is no stack {name} in {place.region} of the account {place.account}. If its undeployment was cut off: "
        f"`aws s3 ls | grep {name.lower()}-` shows the buckets that are left, `aws s3 rb s3://BUCKET` deletes an empty "
        "one; `aws rds describe-db-snapshots --snapshot-type manual` shows the last snapshot of its database"
    )


def prepare(place: Place, name: str, resources: dict[str, str], *, delete_data: bool) -> None:
    """Ends what runs, and removes what would hold up the deletion of the stack. If something is gone, that is fine."""
    # Nothing may start a cluster while the stack goes, nor move files into buckets that are being emptied.
    for function in ("Trigger", "Monitor", "Sweeper") if delete_data else ("Trigger",):
        if function in resources:
            with fine_without("ResourceNotFoundException"):
                place.client("lambda").put_function_concurrency(
                    FunctionName=resources[function], ReservedConcurrentExecutions=0
                )
    clusters.end(place.emr, name, place.console, sleep=place.sleep)
    clusters.free_groups(place.client("ec2"), [resources[group] for group in GROUPS if group in resources])
    if "Database" in resources:
        unprotected: dict[str, Any] = {"DeletionProtection": False, "ApplyImmediately": True}
        with fine_without("DBInstanceNotFound", "DBInstanceNotFoundFault"):
            place.client("rds").modify_db_instance(DBInstanceIdentifier=resources["Database"], **unprotected)


@contextlib.contextmanager
def fine_without(*codes: str) -> Iterator[None]:
    """Passes over AWS's errors with these codes: the thing to be changed is not there."""
    try:
        yield
    except ClientError as error:
        if error.response["Error"]["Code"] not in codes:
            raise


def tell_rest(buckets: list[str], database: str | None, console: Console, *, delete_data: bool) -> None:
    """Shows what finishes the work if this is cut off after the stack, with the names of its resources, is gone."""
    commands = [f"aws s3 rb s3://{bucket}" for bucket in buckets] if delete_data else []
    if database:
        commands.append(f"aws rds describe-db-snapshots --db-instance-identifier {database}")
    if commands:
        console.print("if this is cut off, run it again; if the stack is gone by then, this is left to do:")
    for command in commands:
        console.print(f"  {command}", highlight=False, soft_wrap=True)


def empty_bucket(s3: S3Client, bucket: str, console: Console) -> None:
    """Deletes every version of every object. If the bucket is gone already, that is fine."""
    with fine_without("NoSuchBucket"), console.status(f"emptying {bucket} …"):
        for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
            _delete(s3, bucket, [*page.get("Versions", ()), *page.get("DeleteMarkers", ())])


def remove_bucket(s3: S3Client, bucket: str, console: Console) -> None:
    """Deletes what is in it by now, then the bucket. If it is gone already, that is fine."""
    empty_bucket(s3, bucket, console)
    with fine_without("NoSuchBucket"):
        s3.delete_bucket(Bucket=bucket)
    console.print(f"deleted s3://{bucket}")


def _delete(s3: S3Client, bucket: str, entries: list[Any]) -> None:
    if not entries:
        return
    objects: Any = [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in entries]
    failed = s3.delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True}).get("Errors", [])
    if failed:
        msg = f"s3://{bucket}: {len(failed)} objects could not be deleted, the first is {failed[0]}"
        raise DeployError(msg)


def tell_snapshots(rds: Any, instance: str, console: Console) -> None:
    """The snapshots of a database that is gone, and how to delete one."""
    found = rds.describe_db_snapshots(DBInstanceIdentifier=instance, SnapshotType="manual")["DBSnapshots"]
    for snapshot in found:
        name = snapshot["DBSnapshotIdentifier"]
        console.print(f"snapshot of the database: {name} (aws rds delete-db-snapshot --db-snapshot-identifier {name})")


@app.command()
def main(
    stack: Annotated[str, typer.Option(help="Name of the stack.")] = "stocketl",
    delete_data: Annotated[
        bool, typer.Option("--delete-data/--keep-data", help="Delete the buckets too, with every file in them.")
    ] = False,
) -> None:
    """Asks, then removes the deployment."""
    console = Console(stderr=True)

    def ask(plan: str) -> str:
        console.print(plan)
        return Prompt.ask(f"Type the name of the stack, {stack}, to go on", console=console, default="")

    with plain_errors():
        undeploy(here(console), stack, ask, delete_data=delete_data)


if __name__ == "__main__":
    app()
