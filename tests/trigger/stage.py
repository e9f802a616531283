"""A stage for the trigger: the local EMR with drivers that are only played, S3, and a clock."""

from __future__ import annotations

import functools
import itertools
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from emr_direct import direct_client
from emr_faults import Faults
from invocation import Invocation, gate
from local_emr import LocalEmr
from s3_shelf import Shelf
from trigger.control import HEARTBEAT, Control
from trigger.documents import Documents
from trigger.emr import Emr
from trigger.settings import read_settings
from trigger_emr import Trigger

if TYPE_CHECKING:
    from emr_records import Delays
    from emr_steps import StepLaunch
    from trigger_emr import TriggerReport

BUCKET, ARTIFACTS = "state", "artifacts"
LAMBDA_SECONDS = 60.0  # the function's own timeout
PERIOD = 60.0
ENVIRON = {
    "STATE_BUCKET": BUCKET,
    "ARTIFACTS_BUCKET": ARTIFACTS,
    "ARTIFACT_VERSION": "1.2.3",
    "SUBNET_IDS": "subnet-1,subnet-2",
    "LOGS_BUCKET": "logs",
}
CLUSTER = {
    "Name": "any",
    "LogUri": "s3://${LOGS_BUCKET}/emr/",
    "ReleaseLabel": "emr-spark-8.1.0",
    "Instances": {"Ec2SubnetIds": ["${SUBNET_IDS}"], "KeepJobFlowAliveWhenNoSteps": True, "TerminationProtected": True},
    "StepConcurrencyLevel": 2,
    "Tags": [{"Key": "team", "Value": "data"}],
}
MAIN = "s3://${ARTIFACTS_BUCKET}/stocketl/${ARTIFACT_VERSION}/main.py"
STEP = {
    "Name": "any",
    "ActionOnFailure": "CONTINUE",
    "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["spark-submit", "--deploy-mode", "client", MAIN, "run"]},
}
_stage: Stage | None = None


class Driver:
    """A step's process. A frozen one hears no SIGTERM until it wakes; it starts beating `boot` seconds after birth."""

    boot, pulse = 30.0, 15.0

    def __init__(self, launch: StepLaunch, born: float, fate: str) -> None:
        self.launch, self.born, self.fate = launch, born, fate
        self.code: int | None = None
        self.epoch: int | None = None
        self.beaten = 0.0
        self.frozen = self.interrupted = False

    def poll(self) -> int | None:
        return self.code

    def interrupt(self) -> None:
        self.interrupted = True
        if not self.frozen:
            self.end(143)

    def kill(self) -> None:
        self.end(137)

    def end(self, code: int) -> None:
        self.code = code if self.code is None else self.code


class Stage:
    """s3: a `Shelf`, or a client of moto. fates: of the drivers to come: `well`, `dies`, or `hangs` without a beat."""

    def __init__(self, s3: Any = None, delays: Delays | None = None, **environ: str) -> None:
        global _stage  # noqa: PLW0603 - the one that the client calls
        _stage = self
        self.now = datetime(2026, 3, 2, 20, 0, tzinfo=UTC).timestamp()
        self.s3 = s3 or Shelf(lambda: datetime.fromtimestamp(self.now, UTC))
        self.environ = ENVIRON | environ
        self.drivers: list[Driver] = []
        self.fates: list[str] = []
        self.invocations: list[Invocation] = []
        self.asked_to_end: set[str] = set()
        self.warnings: list[str] = []
        self._ids = map("{:08x}".format, itertools.count(1))
        self._epochs = itertools.count(1)
        self.emr = LocalEmr(lambda: self.now, run_step=self._launch, delays=delays, faults=Faults(seed=1))
        self.deploy(self.environ["ARTIFACT_VERSION"])

    def deploy(self, version: str) -> None:
        """Another version is wanted from now on."""
        self.environ["ARTIFACT_VERSION"] = version
        for name, document in (("cluster.json", CLUSTER), ("step.json", STEP)):
            self.put(f"stocketl/{version}/{name}", json.dumps(document), bucket=ARTIFACTS)

    def put(self, key: str, text: str, bucket: str = BUCKET) -> None:
        self.s3.put_object(Bucket=bucket, Key=key, Body=text.encode())

    def delete(self, key: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=key)

    def trigger(self) -> Trigger:
        settings = read_settings(self.environ)
        client = _client()
        return Trigger(
            settings,
            Control(self.s3, BUCKET, self.warnings.append),
            Emr(client, client, settings.cluster_name, settings.step_name),
            Documents(self.s3, settings),
            clock=lambda: datetime.fromtimestamp(self.now, UTC),
            new_id=lambda: next(self._ids),
        )

    def invoke(self) -> TriggerReport:
        """One invocation from its start to its end, at once."""
        return self.trigger().run()

    def begin(self) -> Invocation:
        """One that is stopped before each of its calls."""
        self.invocations.append(Invocation(self.trigger().run, self.now).begin())
        return self.invocations[-1]

    def wait(self, seconds: float) -> None:
        """Time passes; invocations that take too long are ended by Lambda."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + 5.0, end)
            self.invocations = [i for i in self.invocations if not i.over]
            for invocation in self.invocations:
                if self.now - invocation.begun > LAMBDA_SECONDS:
                    invocation.kill()
            self._play()
            self.emr.tick()

    def run(self, seconds: float, period: float = PERIOD) -> list[TriggerReport]:
        """The schedule alone, for some time."""
        reports = []
        for _ in range(int(seconds // period)):
            reports.append(self.invoke())
            self.wait(period)
        return reports

    @property
    def running(self) -> list[Driver]:
        return [driver for driver in self.drivers if driver.code is None]

    @property
    def live(self) -> list[Any]:
        return self.emr.steps("PENDING", "RUNNING", "CANCEL_PENDING")

    @property
    def good(self) -> list[Any]:
        """Live steps that nobody has asked to end."""
        return [step for step in self.emr.steps("PENDING", "RUNNING") if step.id not in self.asked_to_end]

    @property
    def clusters(self) -> list[Any]:
        """Those that are of use, now or soon."""
        return [c for c in self.emr.clusters.values() if c.state in {"STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"}]

    def _launch(self, launch: StepLaunch) -> Driver:
        self.drivers.append(Driver(launch, self.now, self.fates.pop() if self.fates else "well"))
        return self.drivers[-1]

    def _play(self) -> None:
        for driver in self.running:
            if driver.frozen or self.now < driver.born + (3 if driver.fate == "dies" else Driver.boot):
                continue
            if driver.interrupted:
                driver.end(143)
            elif driver.fate == "dies":
                driver.end(1)
            elif driver.fate == "well" and self.now >= driver.beaten + Driver.pulse:
                self._beat(driver)

    def _beat(self, driver: Driver) -> None:
        """Its heartbeat; then it looks whether it is the newest, so one that was frozen beats once too often."""
        body = {"epoch": driver.epoch, "batch": 7, "time": datetime.fromtimestamp(self.now, UTC).isoformat()}
        self.put(HEARTBEAT, json.dumps(body | {"step": driver.launch.step_id}))
        driver.beaten = self.now
        driver.epoch = driver.epoch or next(self._epochs)
        if any((other.epoch or 0) > driver.epoch for other in self.drivers):
            driver.end(1)


def _found() -> LocalEmr:
    assert _stage is not None
    return _stage.emr


@functools.cache
def _client() -> Any:
    """One for all stages: to make one takes long."""
    client = direct_client(_found)
    client.meta.events.register_first("before-call.emr", _before_call)
    return client


def _before_call(model: Any, params: dict[str, Any], **_: Any) -> None:
    gate(model.name)
    if model.name == "CancelSteps":
        assert _stage is not None
        _stage.asked_to_end.update(json.loads(params["body"])["StepIds"])
