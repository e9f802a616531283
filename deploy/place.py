"""Where a command acts: account, region, boto3 clients, terminal. And how it tells what a person must mend."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import typer
from boto3.exceptions import Boto3Error
from botocore.exceptions import BotoCoreError, ClientError

from deploy.errors import DeployError
from deploy.stack import Stack
from streaming.errors import StockETLError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_emr.client import EMRClient
    from mypy_boto3_s3.client import S3Client
    from rich.console import Console


@dataclass(frozen=True)
class Place:
    """session: boto3's, which knows credentials and region; sleep: waits for seconds."""

    session: Any
    account: str
    region: str
    console: Console
    sleep: Callable[[float], None] = time.sleep

    @property
    def s3(self) -> S3Client:
        """For buckets of this region."""
        client: S3Client = self.client("s3")
        return client

    @property
    def emr(self) -> EMRClient:
        """For the clusters of this region."""
        client: EMRClient = self.client("emr")
        return client

    def client(self, service: str) -> Any:
        """A client of another service in this region."""
        return self.session.client(service, region_name=self.region)

    def stack(self, name: str) -> Stack:
        """The stack of this name."""
        return Stack(self.client("cloudformation"), name, self.console, self.sleep)


def here(console: Console) -> Place:
    """From the environment. Raises DeployError if there is no region."""
    # boto3 itself knows AWS_DEFAULT_REGION only; every other client, `aws` among them, takes AWS_REGION first
    session = boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
    if session.region_name is None:
        msg = "no region is set: set AWS_REGION, or a region in the profile"
        raise DeployError(msg)
    account = session.client("sts").get_caller_identity()["Account"]
    return Place(session, account, session.region_name, console)


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """If a person must mend something, that is one line and exit code 1."""
    try:
        yield
    except (DeployError, StockETLError, Boto3Error, BotoCoreError, ClientError, subprocess.CalledProcessError) as error:
        sys.stderr.write(f"{error}\n")
        raise typer.Exit(1) from None
