# ruff: noqa: FBT002 (typer makes options of the arguments of a command)
"""Removes a deployment: `python -m deploy.undeploy`, or `make undeploy`. Asks for the stack's name first.

What stays: the buckets with all that is in them, and a last snapshot of the database. With --delete-data the buckets
are emptied and removed too; the snapshot stays all the same and is named at the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from botocore.exceptions import ClientError
from rich.console import Console
from rich.prompt import Prompt

from deploy import artifacts, clusters
from deploy.errors import DeployError
from deploy.place import here, plain_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from mypy_boto3_s3.client import S3Client

    from deploy.place import Place

BUCKETS = ("InputBucket", "SuccessBucket", "FailedBucket", "StateBucket", "LogsBucket")
GROUPS = ("PrimaryGroup", "CoreGroup", "ServiceGroup")

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def undeploy(place: Place, name: str, ask: Callable[[str], str], *, delete_data: bool) -> None:
    """Ends the cluster, deletes the stack and, if told so, the data.

    ask: shows what is about to happen and returns what the user types. Raises DeployError; nothing is done yet where
    there is no such stack, or its name was not typed.
    """
    stack = place.stack(name)
    resources = stack.resources()
    if not resources:
        msg = f"there is no stack {name} in {place.region} of the account {place.account}"
        raise DeployError(msg)
    if (typed := ask(plan(name, delete_data=delete_data)).strip()) != name:
        msg = f"nothing was removed: expected {name!r}, got {typed!r}"
        raise DeployError(msg)
    if "Trigger" in resources:  # nothing may start a cluster again while the stack goes
        place.client("lambda").put_function_concurrency(
            FunctionName=resources["Trigger"], ReservedConcurrentExecutions=0
        )
    clusters.end(place.emr, name, place.console, sleep=place.sleep)
    clusters.free_groups(place.client("ec2"), [resources[group] for group in GROUPS if group in resources])
    database = resources.get("Database")
    if database:
        unprotected: dict[str, Any] = {"DeletionProtection": False, "ApplyImmediately": True}
        place.client("rds").modify_db_instance(DBInstanceIdentifier=database, **unprotected)
    stack.delete()
    buckets = [resources[bucket] for bucket in BUCKETS if bucket in resources]
    buckets.append(artifacts.bucket_name(name, place.account, place.region))
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
        f"The cluster of {name} ends; its Lambdas, alarms, network and database are deleted. Of the database a last "
        f"snapshot stays. The buckets with every file, the checkpoint and the receipts {data}."
    )


def remove_bucket(s3: S3Client, bucket: str, console: Console) -> None:
    """Deletes every version of every object, then the bucket; one that is gone already is fine."""
    try:
        with console.status(f"emptying {bucket} …"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
                _delete(s3, bucket, [*page.get("Versions", ()), *page.get("DeleteMarkers", ())])
        s3.delete_bucket(Bucket=bucket)
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchBucket":
            raise
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
        bool, typer.Option("--delete-data/--keep-data", help="Whether the buckets go too, with every file in them.")
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
