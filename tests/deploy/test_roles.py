"""The roles of deploy/template.yaml against the calls of the Lambdas and the job: nothing missing, nothing unused.

The calls are made against a local S3 and a local EMR, which ask for no rights; what AWS would ask for says `policies`.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

import boto3
import monitor_emr
import pytest
import trigger_emr
from botocore.config import Config
from cloudformation import GIVEN, STACK, TEMPLATE, Stack
from emr_server import EmrServer
from emr_steps import PretendSteps
from local_emr import LocalEmr
from monitor.copies import CopyLimits
from policies import Statement, missing, recorded, statements, unused

from streaming.checkpoint.checkpoint import open_checkpoint
from streaming.database.login import Login
from streaming.drops.object_events import ObjectEvents
from streaming.drops.readings import Readings
from streaming.storage.locations import open_place
from streaming.storage.place import discard
from streaming.supervision.takeover import refuse_leftovers
from streaming.telemetry.heartbeat import HEARTBEAT, STOP
from streaming.telemetry.metrics import cloudwatch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_s3 import S3Server
    from policies import Call

MIB = 1 << 20
# The runtime of Lambda writes the log and passes failed events on, by the role of the function.
BY_LAMBDA = {"logs:CreateLogStream", "logs:PutLogEvents", "sqs:SendMessage"}
# Made by the bootstrap and spark-submit, by Spark's S3 client (checkpoint, lake), and by EMR's agents.
BY_THE_CLUSTER = [
    "s3:GetObject of Artifact",
    "arn:aws:s3:::{artifacts}/stocketl/* of Artifact",
    "s3:ListBucket of ListArtifact",
    "arn:aws:s3:::{artifacts} of ListArtifact",
    "s3:DeleteObject of CheckpointAndLake",
    "s3:AbortMultipartUpload of CheckpointAndLake",
    "s3:GetObject of FolderOfTheLake",
    "arn:aws:s3:::{state}/lake of FolderOfTheLake",
    "s3:PutObject of ClusterLogs",
    "arn:aws:s3:::LogsBucket/emr/* of ClusterLogs",
    "logs:CreateLogGroup of StepAndExecutorLogs",
    "logs:CreateLogStream of StepAndExecutorLogs",
    "logs:DescribeLogStreams of StepAndExecutorLogs",
    "logs:PutLogEvents of StepAndExecutorLogs",
    "logs:PutRetentionPolicy of StepAndExecutorLogs",
    "arn:aws:logs:us-east-1:123456789012:log-group:ClusterLog:* of StepAndExecutorLogs",
    "logs:DescribeLogGroups of FindLogGroup",
    "arn:aws:logs:us-east-1:123456789012:log-group:* of FindLogGroup",
]
SCHEDULE = json.loads((TEMPLATE.parents[1] / "tests/support/aws/events/scheduled-event.json").read_text())


class Context:
    """What the monitor asks Lambda."""

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 900_000


class World:
    """A deployed stack on local servers. s3: the test's own client, whose calls do not count; names: of the buckets."""

    def __init__(self, server: S3Server, emr: LocalEmr) -> None:
        self.s3, self.emr = server.client, emr
        versioned = ("InputBucket", "SuccessBucket", "FailedBucket", "ReceiptsBucket")
        self.names = {name: server.bucket() for name in versioned}
        self.names["StateBucket"] = server.bucket(versioned=False)
        self.queue = server.queue(self.names["InputBucket"])
        self.names["DropEvents"] = self.queue.rpartition("/")[2]
        self.artifacts = server.bucket()
        self.stack = Stack({"ArtifactsBucket": self.artifacts}, self.names)
        for name in ("cluster.json", "step.json"):
            key = f"stocketl/{GIVEN['ArtifactVersion']}/{name}"
            self.s3.put_object(Bucket=self.artifacts, Key=key, Body=(TEMPLATE.parent / name).read_bytes())

    def put(self, key: str, body: bytes = b"", bucket: str = "StateBucket") -> None:
        self.s3.put_object(Bucket=self.names[bucket], Key=key, Body=body)

    def role(self, name: str) -> list[Statement]:
        return statements(self.stack.resources[name]["Properties"])

    def receipt(self, seq: int, key: str, version: str, fate: str = "success") -> None:
        found = self.s3.head_object(Bucket=self.names["InputBucket"], Key=f"drops/{key}", VersionId=version)
        named = {"seq": seq, "checkpoint_id": "c", "key": key, "version_id": version, "etag": found["ETag"].strip('"')}
        self.put(
            f"receipts/{seq:09d}.json",
            json.dumps(named | {"size": found["ContentLength"], "fate": fate}).encode(),
            bucket="ReceiptsBucket",
        )

    def drop(self, key: str, data: bytes = b"date,id,price,trade_volume\n", client: Any = None) -> str:
        """The version id of a new drop with a tag."""
        where = {"Bucket": self.names["InputBucket"], "Key": f"drops/{key}"}
        return (client or self.s3).put_object(**where, Body=data, Tagging="feed=7")["VersionId"]


@pytest.fixture
def world(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """With the environment of the Lambdas, in which no client of an earlier test is left."""
    forget_clients()
    with EmrServer(LocalEmr(run_step=PretendSteps()), every=0.01) as server:
        made = World(s3, server.emr)
        for function in ("Monitor", "Trigger"):
            for name, value in (made.stack.environment(function) | server.env).items():
                monkeypatch.setenv(name, value)
        monkeypatch.setenv("POWERTOOLS_METRICS_DISABLED", "true")
        monkeypatch.setenv("FIRST_PAUSE_SECONDS", "1")  # a cluster is not ended until another may be started
        yield made
    forget_clients()


def forget_clients() -> None:
    """Those that the Lambdas and the job keep for the next call."""
    folders = (str(TEMPLATE.parents[1] / "lambda"), str(TEMPLATE.parents[1] / "streaming"))
    for module in list(sys.modules.values()):
        if str(getattr(module, "__file__", None)).startswith(folders):
            for thing in vars(module).values():
                getattr(thing, "cache_clear", bool)()


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_the_trigger_has_the_rights_that_it_uses_and_no_others(world: World) -> None:
    """From no cluster to a step, then the markers: every call that the trigger knows."""
    with recorded() as calls:
        assert trigger_emr.handler(SCHEDULE, None)["did"] == "start cluster"
        until(lambda: {cluster.state for cluster in world.emr.clusters.values()} == {"WAITING"})
        assert trigger_emr.handler(SCHEDULE, None)["did"] == "start step"
        until(lambda: len(world.emr.steps("RUNNING")) == 1)
        world.put("control/stop")
        assert trigger_emr.handler(SCHEDULE, None)["did"] == "cancel step"
        time.sleep(1.1)  # the marker's time has whole seconds
        world.s3.delete_object(Bucket=world.names["StateBucket"], Key="control/stop")
        world.put("control/replace-cluster")
        assert trigger_emr.handler(SCHEDULE, None)["did"] == "end cluster"
    made = {"RunJobFlow", "AddJobFlowSteps", "CancelSteps", "ListSteps", "ListClusters", "GetObject", "PutObject"}
    made |= {"SetTerminationProtection", "TerminateJobFlows"}
    assert {call.operation for call in calls} == made
    role = world.role("TriggerRole")
    assert missing(role, calls, {"stocketl": STACK}) == []
    assert unused(role, BY_LAMBDA) == []


def test_the_monitor_has_the_rights_that_it_uses_and_no_others(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loaded, a failed and a vanished file, one in parts compared by its bytes, and a copy that fails at first."""
    monkeypatch.setattr(monitor_emr, "CopyLimits", lambda: CopyLimits(largest_copy=5 * MIB, part=5 * MIB, read=4 * MIB))
    plain = boto3.session.Session().client("s3", config=Config(request_checksum_calculation="when_required"))
    world.receipt(1, "a.csv", world.drop("a.csv"))
    world.receipt(2, "b c%.csv", world.drop("b c%.csv"), "failed")
    world.receipt(3, "large.csv", world.drop("large.csv", b"x" * (6 * MIB), plain))
    gone = world.drop("gone.csv")
    world.receipt(4, "gone.csv", gone)
    world.s3.delete_object(Bucket=world.names["InputBucket"], Key="drops/gone.csv", VersionId=gone)
    with recorded() as calls:
        assert monitor_emr.handler(SCHEDULE, Context())["MovedDrops"] == 3
        world.receipt(5, "late.csv", world.drop("late.csv", b"y" * (6 * MIB)))
        calls.refuse.add("CompleteMultipartUpload")
        assert monitor_emr.handler(SCHEDULE, Context())["MoveErrors"] == 1
        assert monitor_emr.handler(SCHEDULE, Context())["MovedDrops"] == 1
    assert {"CopyObject", "UploadPartCopy", "AbortMultipartUpload", "HeadBucket"} <= {call.operation for call in calls}
    assert read_ranges(calls) == {world.names["InputBucket"], world.names["SuccessBucket"]}
    role = world.role("MonitorRole")
    assert missing(role, calls) == []
    assert unused(role, BY_LAMBDA) == []


def test_the_job_has_the_rights_that_it_uses(world: World) -> None:
    """Its own calls; what else the role gives is for Spark, the bootstrap and EMR, and is listed here."""
    world.drop("a.csv")
    environment = world.stack.environment("Trigger")
    state = f"s3://{world.names['StateBucket']}"
    secret = environment["DATABASE_SECRET"]
    with recorded() as calls:
        drops = open_place(f"s3://{world.names['InputBucket']}/drops")
        drops.check(of_drops=True)
        (found,) = drops.versions()
        assert drops.read(found, 1).startswith(b"date")
        checkpoint = open_checkpoint(f"{state}/checkpoint", buckets=8, text_ids=False)
        receipts = open_place(f"s3://{world.names['ReceiptsBucket']}/receipts")
        receipts.check()
        assert not receipts.exists("000000001.json")
        receipts.put("000000001.json", b"{}")
        assert checkpoint.planned() == []
        checkpoint.count_start_of_open_batch()
        refuse_leftovers(checkpoint, f"{state}/lake", f"{state}/lake/none")
        for outbox in ("handover", "lake-outbox"):
            place = open_place(f"{state}/checkpoint/{outbox}")
            place.put("1.json", b"{}")
            discard(place, "1.json")
            assert place.keys() == []
        control = open_place(f"{state}/control")
        control.put(HEARTBEAT, b"{}")
        assert control.get(HEARTBEAT) == b"{}"
        assert control.get(STOP) is None
        readings = Readings(f"{state}/control/profiles.toml")
        readings.look()
        world.put("control/profiles.toml", b'[[profile]]\nname = "a"\nfiles = "*"\n')
        readings.look()
        assert readings.of("a.csv")[1] is not None
        with pytest.raises(Exception, match="secret"):  # there is none; it is asked for all the same
            Login("postgresql://stocks.example/stocks", secret).uri()
        metrics = cloudwatch()
        metrics.add({"DropsLoaded": 1})
        metrics.flush()
        with contextlib.closing(ObjectEvents(world.queue, poll=1)) as events:
            assert events.wait(60)
            until(lambda: any(call.operation == "DeleteMessageBatch" for call in calls))
            assert events.trouble == ""
    role = world.role("ClusterRole")
    assert missing(role, calls) == []
    names = {"artifacts": world.artifacts, "state": world.names["StateBucket"]}
    assert sorted(unused(role)) == sorted(line.format(**names) for line in BY_THE_CLUSTER)


def read_ranges(calls: list[Call]) -> set[str]:
    """The buckets that parts of objects were read from."""
    return {call.params["Bucket"] for call in calls if call.operation == "GetObject" and "Range" in call.params}
