"""A local S3 server in a process of its own, so that Spark's JVM can talk to it too."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import pathlib
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import boto3
import pytest

from streaming import aws

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3.client import S3Client


KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}  # the server takes any


class S3Server:
    """endpoint: its URL; env: what a process needs to reach it with boto3 or the AWS SDK; client: a boto3 client."""

    def __init__(self, endpoint: str) -> None:
        self.endpoint = endpoint
        self.env = {
            "AWS_ACCESS_KEY_ID": "testing",
            "AWS_SECRET_ACCESS_KEY": "testing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        }
        self.client: S3Client = self.client_of("s3")
        self._numbers = itertools.count(1)

    def bucket(self, *, versioned: bool = True) -> str:
        """The name of a new, empty bucket."""
        name = f"bucket-{next(self._numbers)}"
        self.client.create_bucket(Bucket=name)
        if versioned:
            self.client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
        return name

    def faults(self, **settings: Any) -> dict[str, int]:
        """Switches faults of the server (`s3_faults.S3Faults`) on or off; how often each has fired."""
        return self._control("/_faults", settings)["counts"]

    def rights(self, **roles: list[dict[str, Any]]) -> list[str]:
        """Limits access keys to the Allow statements of roles (`s3_rights.S3Rights`); what was refused so far."""
        return self._control("/_rights", {"roles": roles})["refused"]

    def events(self, after: int = 0) -> tuple[list[dict[str, Any]], int]:
        """The "Object Created" events since the given number, and the number to ask with next."""
        told = self._control("/_events", {"after": after})
        return told["events"], told["last"]

    def lists(self, bucket: str) -> int:
        """How many listings of the bucket there were so far."""
        return self._control("/_lists", {}).get(bucket, 0)

    def queue(self, bucket: str, pattern: dict[str, Any] | None = None, prefix: str = "") -> str:
        """The URL of a new queue of a bucket's events, as the template makes one: by a rule, with this pattern."""
        detail = {"bucket": {"name": [bucket]}, "object": {"key": [{"prefix": prefix}]}}
        about = {"source": ["aws.s3"], "detail-type": ["Object Created"], "detail": detail}
        clients = {service: self.client_of(service) for service in ("sqs", "events")}
        with contextlib.closing(clients["sqs"]) as sqs, contextlib.closing(clients["events"]) as events:
            url = sqs.create_queue(QueueName=f"of-{bucket}")["QueueUrl"]
            arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
            events.put_rule(Name=f"of-{bucket}", EventPattern=json.dumps(pattern or about))
            events.put_targets(Rule=f"of-{bucket}", Targets=[{"Id": "wake", "Arn": arn}])
        told = {"EventBridgeConfiguration": {}}
        self.client.put_bucket_notification_configuration(Bucket=bucket, NotificationConfiguration=told)
        return url

    def client_of(self, service: str) -> Any:
        """A boto3 client of another service; the caller closes it."""
        return boto3.session.Session().client(service, endpoint_url=self.endpoint, region_name="us-east-1", **KEYS)

    def _control(self, path: str, wanted: dict[str, Any]) -> dict[str, Any]:
        connection = http.client.HTTPConnection(self.endpoint.removeprefix("http://"))
        with contextlib.closing(connection):
            connection.request("POST", path, json.dumps(wanted))
            answer = connection.getresponse()
            body = answer.read()
        assert answer.status == 200, body
        return json.loads(body)


@pytest.fixture(scope="session")
def s3_server() -> Iterator[S3Server]:
    """The server; it ends with the session, or with its parent."""
    script = pathlib.Path(__file__).parent / "aws" / "s3_server.py"
    with subprocess.Popen(
        [sys.executable, script, "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        server = S3Server(process.stdout.readline().strip())
        yield server
        server.client.close()
        process.stdin.close()


@pytest.fixture
def s3(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """The server, and this process's environment pointing at it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in s3_server.env.items():
        monkeypatch.setenv(name, value)
    aws.forget_clients()
    return s3_server
