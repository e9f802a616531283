"""All of AWS that the project needs, on this machine: S3 and its events, EMR with real steps, Lambdas as processes.

Each part has the access key of its role, and the local S3 refuses what the role of deploy/template.yaml does not give.
A schedule and events call the Lambdas, several at once, and may be lost or repeated; steps and clusters can be killed,
drivers frozen, calls throttled.
"""

from __future__ import annotations

import contextlib
import json
import queue
import subprocess
import sys
import threading
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any, Self

import boto3
from cloudformation import Stack
from emr_faults import Faults
from emr_records import Delays
from emr_server import EmrServer
from emr_steps import SparkSubmitSteps
from lambda_process import FailedError, KilledError, LambdaProcess
from local_emr import LocalEmr

from deploy.build import archive
from deploy.sources import job_sources
from streaming.spark.jars import jars
from streaming.spark.java import java_home

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from emr_records import Step
    from fixture_s3 import S3Server

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "very-secret-pass-word"  # noqa: S105 - of no real database; it must be in no log
# All seconds here are those of two idle cores; a busy machine gets more of each (`slowness`).
DEADLINE = 240.0
_FRESH = 8.0
_IMPORTS = 1.5
LIVE = ("PENDING", "RUNNING", "CANCEL_PENDING")
_VERSION = "1.0.0-test"
KEYS = {name: {"AWS_ACCESS_KEY_ID": name} for name in ("ClusterRole", "TriggerRole", "MonitorRole")}
_LAMBDA_SECONDS = {"trigger_emr": 20.0, "monitor_emr": 150.0}
# Minutes of real life in seconds; what one waits for is at least as long as here compared with what it waits for.
_PACE = {
    "STALE_SECONDS": 12, "START_SECONDS": 90, "PENDING_SECONDS": 30, "CANCEL_SECONDS": 5,
    "FIRST_PAUSE_SECONDS": 1, "LONGEST_PAUSE_SECONDS": 4, "WAITING_LIMIT_SECONDS": 60,
}  # fmt: skip
_STEP_PACE = {"STOCKETL_HEARTBEAT_EVERY": "2s", "STOCKETL_TRIGGER": "500ms"}
_SCHEDULE = {"trigger_emr": 2.0, "monitor_emr": 3.0}
_WAITING_EVENTS = 20


class World:
    """The system while the context lasts. faults: of EMR; chance: of all else; dropped: bytes by version id.

    steps: all that EMR has run; slowness: what all limits are multiplied by; losing: the share of S3 events that are
    lost, and as many are repeated; counts: of what happened, by a name for people.
    """

    def __init__(self, folder: Path, s3: S3Server, database: str, seed: int) -> None:
        self.folder, self.s3, self.database = folder, s3, database
        self.chance = Random(seed)  # noqa: S311 - the same faults again for the same seed
        self.faults = Faults(seed)
        self.slowness = slowness()
        self.counts: Counter[str] = Counter()
        self.dropped: dict[str, bytes] = {}
        self.input, self.success, self.failed, self.state, self.receipts, self.artifacts = (
            s3.bucket(versioned=versioned) for versioned in (True, False, False, False, True, False)
        )
        self._secret = _secret(s3, f"database-{self.state}")
        self._upload()
        self._limit()
        self.steps = SparkSubmitSteps(
            _spark_conf(folder, s3), s3.env | KEYS["ClusterRole"] | _STEP_PACE, folder / "emr", runner=True
        )
        self.emr = LocalEmr(
            run_step=self.steps,
            delays=Delays(starting=0.5, bootstrapping=0.5),
            faults=self.faults,
            on_event=self._emr_event,
        )
        self._server = EmrServer(self.emr)
        self._events: dict[str, queue.Queue[dict[str, Any]]] = {name: queue.Queue() for name in _SCHEDULE}
        self.lambdas = {name: self._functions(name) for name in _SCHEDULE}
        self._stop = threading.Event()
        self.losing = 0.0
        self._errors: list[BaseException] = []
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._server.__enter__()
        for name, functions in self.lambdas.items():
            self._thread(self._call_on_schedule, name)
            for function in functions:
                self._thread(self._call_by_events, name, function)
        self._thread(self._watch_s3)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        for functions in self.lambdas.values():
            for function in functions:
                function.kill()
        for thread in self._threads:
            thread.join(30)
        for functions in self.lambdas.values():
            for function in functions:
                function.close()
        self._server.__exit__(kind, error, trace)

    def drop(self, key: str, content: bytes) -> None:
        """A producer's PUT."""
        put = self.s3.client.put_object(Bucket=self.input, Key=f"in/{key}", Body=content, Metadata={"from": "somebody"})
        self.dropped[put["VersionId"]] = content

    def heartbeat(self) -> dict[str, Any] | None:
        """The job's last sign of life."""
        try:
            body = self.s3.client.get_object(Bucket=self.state, Key="control/heartbeat.json")["Body"].read()
        except self.s3.client.exceptions.NoSuchKey:
            return None
        return json.loads(body)

    def beating_step(self) -> Step | None:
        """The running step whose heartbeat is fresh."""
        beat = self.heartbeat()
        if (
            beat is None
            or (datetime.now(UTC) - datetime.fromisoformat(beat["time"])).total_seconds() > _FRESH * self.slowness
        ):
            return None
        return next((step for step in self.emr.steps("RUNNING") if step.id == beat["step"]), None)

    def drivers(self) -> list[str]:
        """The ids of the steps of which processes live, whatever EMR says of them."""
        return [process.launch.step_id for process in self.steps.started if process.tree()]

    def keys(self, bucket: str, prefix: str = "") -> list[str]:
        """Keys of all current objects."""
        pages = self.s3.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def bodies(self, bucket: str, keys: list[str]) -> list[bytes]:
        """What is in them."""
        return [self.s3.client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys]

    def input_versions(self) -> list[str]:
        """Keys of all versions in the input, current or not."""
        pages = self.s3.client.get_paginator("list_object_versions").paginate(Bucket=self.input)
        return [entry["Key"] for page in pages for entry in page.get("Versions", [])]

    def wait_for(self, what: str, condition: Callable[[], Any]) -> Any:
        """Polls until the condition holds; what it gave."""
        deadline = DEADLINE * self.slowness
        end = time.monotonic() + deadline
        while not (found := condition()):
            assert not self._errors, self._errors
            assert time.monotonic() < end, f"waited {deadline} s in vain for {what}:\n{self.told()}"
            time.sleep(0.1)
        return found

    def told(self) -> str:
        """What a person would look at."""
        logs = sorted(self.folder.rglob("stderr"), key=lambda path: path.stat().st_mtime)[-2:]
        logs += [self.folder / f"{name}.log" for name in _SCHEDULE]
        tails = [f"--- {path}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-25:]) for path in logs]
        history = [f"{at:.1f} {what} {state}" for at, what, state in self.emr.history[-40:]]
        waiting = {"input": self.input_versions()[:10], "receipts": self.keys(self.receipts, "receipts/")[-5:]}
        return "\n".join([*history, str(self.heartbeat()), str(waiting), str(dict(self.counts)), *tails])

    def logs(self) -> list[Path]:
        """Every log of every part."""
        return [
            path for path in self.folder.rglob("*") if path.is_file() and path.suffix not in {".json", ".conf", ".zip"}
        ]

    def _thread(self, work: Callable[..., None], *arguments: Any) -> None:
        def guarded() -> None:
            try:
                work(*arguments)
            except BaseException as error:  # noqa: BLE001 - told by the thread that waits
                self._errors.append(error)

        self._threads.append(threading.Thread(target=guarded, daemon=True))
        self._threads[-1].start()

    def _functions(self, name: str) -> list[LambdaProcess]:
        pace = {name: str(round(seconds * self.slowness)) for name, seconds in _PACE.items()}
        key = KEYS["TriggerRole" if name == "trigger_emr" else "MonitorRole"]
        env = self.s3.env | key | self._server.env | pace | {
            "MAX_STARTS_PER_HOUR": "60",
            "STATE_BUCKET": self.state, "RECEIPTS_BUCKET": self.receipts,
            "INPUT_BUCKET": self.input, "INPUT_PREFIX": "in",
            "SUCCESS_BUCKET": self.success, "FAILED_BUCKET": self.failed, "ARTIFACTS_BUCKET": self.artifacts,
            "ARTIFACT_VERSION": _VERSION, "LOGS_BUCKET": "logs", "CLUSTER_NAME": "stocketl", "STEP_NAME": "stocketl",
            "DATABASE_URI": self.database, "DATABASE_SECRET": self._secret, "WAKE_QUEUE": self._queue,
            "POWERTOOLS_SERVICE_NAME": name, "POWERTOOLS_METRICS_NAMESPACE": "StockETL",
        } | dict.fromkeys(
            ("SERVICE_ROLE", "INSTANCE_PROFILE", "SECURITY_CONFIGURATION", "SUBNET_IDS", "MASTER_SECURITY_GROUP",
             "CORE_SECURITY_GROUP", "SERVICE_SECURITY_GROUP", "CLUSTER_LOG_GROUP"), "local",
        )  # fmt: skip
        return [LambdaProcess(f"{name}.handler", env, self.folder / f"{name}.log") for _ in range(2)]

    def _call_on_schedule(self, name: str) -> None:
        event = json.loads((ROOT / "tests" / "support" / "aws" / "events" / "scheduled-event.json").read_text())
        while not self._stop.wait(_SCHEDULE[name]):
            if self._events[name].qsize() < _WAITING_EVENTS:
                self._events[name].put(event)

    def _call_by_events(self, name: str, function: LambdaProcess) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(queue.Empty):
                event = self._events[name].get(timeout=0.2)
                try:
                    function.invoke(event, seconds=_LAMBDA_SECONDS[name] * self.slowness)
                    self.counts[f"{name} answered"] += 1
                except KilledError:
                    self.counts[f"{name} killed"] += 1
                except FailedError as error:
                    self.counts[f"{name} raised {str(error).split(':')[0]}"] += 1

    def _emr_event(self, event: dict[str, Any]) -> None:
        for events in self._events.values():
            events.put(event)

    def _watch_s3(self) -> None:
        number = 0
        while not self._stop.wait(0.2):
            events, number = self.s3.events(number)
            for event in events:
                bucket, key = event["detail"]["bucket"]["name"], event["detail"]["object"]["key"]
                if bucket == self.receipts and key.startswith("receipts/") and "/done/" not in key:
                    self._tell("monitor_emr", event)

    def _tell(self, name: str, event: dict[str, Any]) -> None:
        luck = self.chance.random()
        if luck < self.losing:
            self.counts["S3 events lost"] += 1
            return
        self._events[name].put(event)
        if luck > 1 - self.losing:
            self.counts["S3 events repeated"] += 1
            self._events[name].put(event)

    def _limit(self) -> None:
        """What the template's roles may do, with this world's buckets and queue."""
        names = {"InputBucket": self.input, "SuccessBucket": self.success, "FailedBucket": self.failed}
        names |= {"StateBucket": self.state, "ReceiptsBucket": self.receipts, "DropEvents": f"of-{self.input}"}
        stack = Stack({"ArtifactsBucket": self.artifacts, "InputPrefix": "in"}, names)
        self._queue = self.s3.queue(self.input, stack.of_type("AWS::Events::Rule")["DropArrives"]["EventPattern"])
        roles = stack.of_type("AWS::IAM::Role")
        self.s3.rights(**{name: roles[name]["Policies"][0]["PolicyDocument"]["Statement"] for name in KEYS})

    def refused(self) -> list[str]:
        """What a role was refused so far."""
        return [line for line in self.s3.rights() if line.split()[0] in KEYS]

    def _upload(self) -> None:
        prefix, client = f"stocketl/{_VERSION}", self.s3.client
        archive(self.folder / "stocketl.zip", {name: path.read_bytes() for name, path in job_sources(ROOT).items()})
        client.upload_file(str(self.folder / "stocketl.zip"), self.artifacts, f"{prefix}/stocketl.zip")
        for name in ("main.py", "cluster.json", "step.json"):
            text = (ROOT / "deploy" / name).read_text()
            text = text.replace("/var/tmp/stocketl", str(self.folder / "home"))  # noqa: S108 - what the document says
            client.put_object(Bucket=self.artifacts, Key=f"{prefix}/{name}", Body=text.encode())


def slowness() -> float:
    """How often longer than on two idle cores the job's imports take now; 1 at least."""
    began = time.monotonic()
    subprocess.run([sys.executable, "-c", "import streaming.job"], cwd=ROOT, check=True)
    return max(1.0, (time.monotonic() - began) / _IMPORTS)


def _secret(s3: S3Server, name: str) -> str:
    options = {"endpoint_url": s3.endpoint, "region_name": "us-east-1"}
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.session.Session().client("secretsmanager", **options, **keys)
    made = client.create_secret(Name=name, SecretString=json.dumps({"username": "postgres", "password": PASSWORD}))
    client.close()
    return made["ARN"]


def _spark_conf(folder: Path, s3: S3Server) -> Path:
    """Spark's configuration directory: what EMR's classifications and its own jars give a step."""
    conf = folder / "conf"
    conf.mkdir()
    extra = ":".join(str(jar) for jar in jars(lake=True, s3=True, folders=False))
    properties = s3_properties(s3) | {
        "spark.master": "local[2]",
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": extra,
        "spark.driver.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        "spark.pyspark.python": sys.executable,
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "2",
    }
    (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in properties.items()))
    (conf / "spark-env.sh").write_text(f"export JAVA_HOME={java_home()}\n")
    return conf


def s3_properties(s3: S3Server) -> dict[str, str]:
    """What makes `s3://` and `s3a://` of Hadoop the local server; on EMR both are S3 as they stand."""
    return {
        "spark.hadoop.fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "spark.hadoop.fs.s3a.endpoint": s3.endpoint,
        "spark.hadoop.fs.s3a.endpoint.region": "us-east-1",
        "spark.hadoop.fs.s3a.path.style.access": "true",
        "spark.hadoop.fs.s3a.aws.credentials.provider": (
            "software.amazon.awssdk.auth.credentials.DefaultCredentialsProvider"
        ),
    }
