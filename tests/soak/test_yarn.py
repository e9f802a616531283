"""The step on a real YARN, with what cluster.json says of Spark: drops load, masters and nodes die, two drivers fit.

The built archive runs by spark-submit in client mode, as on EMR; executors are YARN's containers on two node managers.
Driver and executors talk encrypted, S3 is the local one and gives the job no more than its role in the template.
"""

from __future__ import annotations

import json
import os
import re
import signal
import sys
import time
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from aws_world import KEYS, s3_properties
from cloudformation import TEMPLATE, Stack
from emr_steps import SparkSubmitSteps, StepLaunch
from mini_yarn import PIP_JARS, MiniYarn
from tables import assert_same, expected, stored
from trigger.documents import fill_in

from deploy.build import archive
from deploy.sources import job_sources
from streaming.spark.jars import jars as spark_jars
from streaming.spark.java import java_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from emr_steps import SparkSubmitStep
    from fixture_s3 import S3Server

DEADLINE = 900.0
VERSION = "1.0.0-test"
# what is too large for one machine, or different on it; all else is as cluster.json has it
SMALL = {
    "spark.driver.memory": "1g",
    "spark.executor.memory": "512m",
    "spark.executor.memoryOverhead": "768m",
    "spark.executor.cores": "1",
    "spark.sql.shuffle.partitions": "2",
}


class Yard:
    """The buckets, the cluster, and the steps that were started on it."""

    def __init__(self, folder: Path, s3: S3Server, database: str, yarn: MiniYarn) -> None:
        self.folder, self.s3, self.database, self.yarn = folder, s3, database, yarn
        kinds = ("InputBucket", "SuccessBucket", "FailedBucket", "ReceiptsBucket")
        self.names = {name: s3.bucket() for name in kinds} | {"StateBucket": s3.bucket(versioned=False)}
        self.names["DropEvents"] = f"of-{self.names['InputBucket']}"
        self.artifacts = s3.bucket()
        given = {"ArtifactsBucket": self.artifacts, "ArtifactVersion": VERSION, "InputPrefix": "in"}
        self.stack = Stack(given, self.names)
        arrives = self.stack.of_type("AWS::Events::Rule")["DropArrives"]["EventPattern"]
        self.queue = s3.queue(self.names["InputBucket"], arrives)
        role = self.stack.of_type("AWS::IAM::Role")["ClusterRole"]
        s3.rights(ClusterRole=role["Policies"][0]["PolicyDocument"]["Statement"])
        self._upload()
        env = s3.env | KEYS["ClusterRole"] | {
            "HADOOP_CONF_DIR": str(yarn.conf), "STOCKETL_HEARTBEAT_EVERY": "2s", "STOCKETL_TRIGGER": "500ms",
            "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip
        self.steps = SparkSubmitSteps(self._spark_conf(), env, folder / "emr")
        self.dropped: list[bytes] = []

    def start(self) -> SparkSubmitStep:
        """A step, as step.json has it, with the test's database in the place of RDS."""
        number = len(self.steps.started) + 1
        environment = self.stack.environment("Trigger") | {"DATABASE_URI": self.database, "WAKE_QUEUE": self.queue}
        text = (TEMPLATE.parent / "step.json").read_text().replace("/var/tmp/stocketl", str(self.folder / "home"))  # noqa: S108
        args: list[str] = fill_in(text, environment, "step.json")["HadoopJarStep"]["Args"]
        at = args.index("--database-secret")
        del args[at : at + 2]
        args[args.index("--metrics") + 1] = "none"
        return self.steps(StepLaunch(tuple(args), f"s-{number}", "j-1", f"j-1/steps/s-{number}"))

    def drop(self, *days: int) -> None:
        """A file for each day, with the same two tickers."""
        for day in days:
            body = f"date,id,price,volume\n2024-01-{day:02d},AAPL,{100 + day},7\n2024-01-{day:02d},MSFT,{200 + day},9\n"
            self.dropped.append(body.encode())
            self.s3.client.put_object(Bucket=self.names["InputBucket"], Key=f"in/{day}.csv", Body=body.encode())

    def wait_loaded(self) -> None:
        """Until each drop has its receipt; then the tables are those of pandas."""

        def receipts() -> int:
            assert self.steps.started[-1].poll() is None, f"the step has ended:\n{self.told()}"
            found = self.s3.client.list_objects_v2(Bucket=self.names["ReceiptsBucket"], Prefix="receipts/0")
            return len(found.get("Contents", []))

        self.wait(f"{len(self.dropped)} receipts", lambda: receipts() == len(self.dropped))
        assert_same(stored(self.database), expected(self.dropped))

    def beat(self) -> dict[str, Any]:
        """The last sign of life; empty if there is none."""
        try:
            bucket = self.names["StateBucket"]
            body = self.s3.client.get_object(Bucket=bucket, Key="control/heartbeat.json")["Body"].read()
        except self.s3.client.exceptions.NoSuchKey:
            return {}
        return json.loads(body)

    def processes(self, word: str) -> list[psutil.Process]:
        """Those of this cluster's containers that have a word in their command line."""
        found = []
        for process in psutil.process_iter(["cmdline"]):
            command = " ".join(process.info["cmdline"] or ())
            if word in command and str(self.folder) in command and process.name() == "java":  # not the shell around it
                found.append(process)
        return found

    def node_of_master(self) -> int:
        """The number of the node manager that runs the only application's master."""
        (master,) = self.processes("ExecutorLauncher")
        return int(re.findall(r"-nm-(\d+)_", " ".join(master.cmdline()))[0])

    def wait(self, what: str, condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + DEADLINE
        while not (found := condition()):
            assert time.monotonic() < end, f"waited in vain for {what}:\n{self.told()}"
            time.sleep(0.5)
        return found

    def told(self) -> str:
        """What a person would look at."""
        logs = [step.logs / "stderr" for step in self.steps.started] + [self.folder / "yarn.log"]
        return "\n".join(f"--- {log}\n" + "\n".join(log.read_text(errors="replace").splitlines()[-25:]) for log in logs)

    def _upload(self) -> None:
        sources = job_sources(TEMPLATE.parents[1])
        archive(self.folder / "stocketl.zip", {name: path.read_bytes() for name, path in sources.items()})
        for name, path in (("stocketl.zip", self.folder), ("main.py", TEMPLATE.parent)):
            self.s3.client.upload_file(str(path / name), self.artifacts, f"stocketl/{VERSION}/{name}")

    def _spark_conf(self) -> Path:
        conf = self.folder / "conf"
        conf.mkdir()
        ours = classified(self.stack.document("cluster.json"), "spark-defaults")
        extra = [str(jar) for jar in spark_jars(lake=True, s3=True, folders=False)]
        local = {
            "spark.master": "yarn",
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.pyspark.python": sys.executable,
            "spark.pyspark.driver.python": sys.executable,
            "spark.yarn.jars": ",".join(["local:" + str(path) for path in [*sorted(PIP_JARS.glob("*.jar")), *extra]]),
            "spark.yarn.stagingDir": f"file://{self.folder}/staging",
            "spark.driver.extraClassPath": ":".join(extra),
            "spark.eventLog.dir": f"file://{self.folder}/events",
            "spark.executorEnv.PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "spark.yarn.appMasterEnv.JAVA_HOME": str(java_home()),
            "spark.executorEnv.JAVA_HOME": str(java_home()),
            "spark.ui.enabled": "false",
        }
        local |= {f"spark.executorEnv.{name}": value for name, value in (self.s3.env | KEYS["ClusterRole"]).items()}
        (self.folder / "events").mkdir()
        properties = ours | s3_properties(self.s3) | SMALL | local
        (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in properties.items()))
        (conf / "spark-env.sh").write_text(f"export JAVA_HOME={java_home()}\n")
        return conf


def classified(cluster: dict[str, Any], name: str) -> dict[str, str]:
    """The properties of one classification."""
    (found,) = [of["Properties"] for of in cluster["Configurations"] if of["Classification"] == name]
    return found


@pytest.fixture
def yard(tmp_path: Path, s3: S3Server, database: str) -> Iterator[Yard]:
    """Two nodes with room for two executors and two masters each, as cluster.json plans it."""
    cluster = json.loads((TEMPLATE.parent / "cluster.json").read_text())
    properties = classified(cluster, "yarn-site") | classified(cluster, "capacity-scheduler")
    properties["yarn.nodemanager.resource.memory-mb"] = "4352"  # two executors of 512 + 768, two masters of 512 + 384
    with MiniYarn(tmp_path, 2, properties) as yarn:
        made = Yard(tmp_path, s3, database, yarn)
        yield made
        made.steps.close()


def test_the_step_on_yarn_survives_the_loss_of_its_master_and_of_a_node(yard: Yard) -> None:
    """Four drops; the master is killed, then the node of the next one is lost, and what is dropped then loads too."""
    step = yard.start()
    yard.drop(2, 3, 4, 5)
    yard.wait_loaded()
    (master,) = yard.processes("ExecutorLauncher")
    os.kill(master.pid, signal.SIGKILL)
    yard.drop(8)
    yard.wait_loaded()
    yard.yarn.lose(yard.node_of_master())  # with the second master; YARN's default is to start no third
    yard.drop(9)
    yard.wait_loaded()
    assert step.poll() is None
    assert [line for line in yard.s3.rights() if line.startswith("ClusterRole ")] == []


def test_two_drivers_are_on_the_cluster_at_once_and_the_newer_one_works(yard: Yard) -> None:
    """As while a frozen one is being cancelled: the second gets its executor, takes the epoch, and loads."""
    first = yard.start()
    yard.drop(2, 3)
    yard.wait_loaded()
    first.freeze()
    yard.start()
    yard.wait("the heartbeat of the second step", lambda: yard.beat().get("step") == "s-2")
    yard.drop(4)
    yard.wait_loaded()
    assert len(yard.processes("ExecutorLauncher")) == 2
    first.wake()
    yard.wait("the end of the older one", lambda: first.poll() is not None)
    yard.drop(5)
    yard.wait_loaded()
