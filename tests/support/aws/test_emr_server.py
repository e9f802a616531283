"""The local EMR behind HTTP, and steps that are real process trees."""

from __future__ import annotations

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from emr_operations import OPERATIONS
from emr_server import EmrServer
from emr_steps import PretendSteps, SparkSubmitSteps, StepLaunch
from fixture_emr import emr_client
from local_emr import LocalEmr

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CLUSTER: dict[str, Any] = {"Name": "stocketl", "Instances": {"KeepJobFlowAliveWhenNoSteps": True}}
ONCE = {"retries": {"total_max_attempts": 1}}
# a spark-submit that does what its first argument says; `tree` is a process, a child in a process group of its own, as
# Spark's Python daemon is, and a grandchild that ignores SIGTERM
SPARK_SUBMIT = """#!/bin/bash
case $1 in
exit) exit $2 ;;
tell) pwd; ls -A; env; echo "$@"; echo problem >&2 ;;
sleep) exec sleep 600 ;;
tree)
    python3 -c '
import os, signal, time
os.setpgid(0, 0)
if os.fork() == 0:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
open(f"ready-{os.getpid()}", "w")
time.sleep(600)' &
    trap 'echo interrupted; exit 3' TERM
    while :; do sleep 0.1; done ;;
esac
"""


def _until(condition: Callable[[], Any], deadline: float = 20.0) -> Any:
    end = time.monotonic() + deadline
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
    return found


def _step(*args: str, name: str = "step") -> dict[str, Any]:
    return {
        "Name": name,
        "ActionOnFailure": "CONTINUE",
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["spark-submit", *args]},
    }


def _state(client: Any, cluster_id: str, step_id: str) -> str:
    return client.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]["Status"]["State"]


@pytest.fixture
def spark_home(tmp_path: Path) -> Path:
    """A SPARK_HOME whose spark-submit is the script above."""
    program = tmp_path / "spark" / "bin" / "spark-submit"
    program.parent.mkdir(parents=True)
    program.write_text(SPARK_SUBMIT)
    program.chmod(0o755)
    return program.parents[1]


@dataclass
class Real:
    """Steps that are run for real, the EMR that runs them, a client of it, and a cluster that takes two at once."""

    steps: SparkSubmitSteps
    emr: LocalEmr
    client: Any
    cluster_id: str

    def run(self, *args: str) -> str:
        """Adds a step; its id."""
        (step_id,) = self.client.add_job_flow_steps(JobFlowId=self.cluster_id, Steps=[_step(*args)])["StepIds"]
        return step_id

    def state(self, step_id: str) -> str:
        """A step's."""
        return _state(self.client, self.cluster_id, step_id)


@pytest.fixture
def real(spark_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Real]:
    monkeypatch.setenv("SECRET_OF_THIS_PROCESS", "1")
    steps = SparkSubmitSteps(tmp_path / "conf", {"SPARK_HOME": str(spark_home), "GIVEN": "yes"}, tmp_path / "logs")
    emr = LocalEmr(run_step=steps)
    with EmrServer(emr, every=0.02) as server:
        for name, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", **server.env}.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = emr_client(**ONCE)
        yield Real(steps, emr, client, client.run_job_flow(**CLUSTER, StepConcurrencyLevel=2)["JobFlowId"])
        client.close()
    steps.close()


def test_a_real_client_sees_a_step_through(emr_server: EmrServer) -> None:
    """RunJobFlow to TERMINATED over HTTP, with boto3's own retries, paginators and times."""
    client = emr_client()
    emr_server.emr.faults.once("DescribeCluster", "throttle")
    cluster_id = client.run_job_flow(**CLUSTER)["JobFlowId"]
    steps = [_step(name=f"step {number} ü") for number in range(60)]
    ids = client.add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)["StepIds"]
    _until(lambda: emr_server.steps.running)
    described = client.describe_cluster(ClusterId=cluster_id)["Cluster"]
    assert described["Status"]["State"] == "RUNNING"
    assert abs(described["Status"]["Timeline"]["CreationDateTime"].timestamp() - time.time()) < 30
    pages = client.get_paginator("list_steps").paginate(ClusterId=cluster_id)
    assert [step["Id"] for page in pages for step in page["Steps"]] == ids[::-1]
    emr_server.steps.running[0].end()
    _until(lambda: _state(client, cluster_id, ids[0]) == "COMPLETED")
    client.terminate_job_flows(JobFlowIds=[cluster_id])
    _until(lambda: client.list_clusters(ClusterStates=["TERMINATED"])["Clusters"])
    assert emr_server.emr.faults.counts["throttle DescribeCluster"] == 1
    client.close()


def test_a_lost_answer_is_seen_as_a_network_would_lose_it(emr_server: EmrServer) -> None:
    """A cut connection, a 500 and a throttling, each of a call that took effect; the next call goes through."""
    client, seen = emr_client(**ONCE), set()
    while len(seen) < 3:
        emr_server.emr.faults.once("RunJobFlow", "lose_answer")
        with pytest.raises((ClientError, ConnectionClosedError)) as raised:
            client.run_job_flow(**CLUSTER)
        lost = raised.value
        seen.add(lost.response["Error"]["Code"] if isinstance(lost, ClientError) else "cut")
        count = sum(len(page["Clusters"]) for page in client.get_paginator("list_clusters").paginate())
        assert count == emr_server.emr.faults.counts["lose_answer"]
    assert seen == {"cut", "InternalFailure", "ThrottlingException"}
    client.close()


@pytest.mark.usefixtures("emr_server")
def test_calls_at_the_same_time_do_not_disturb_each_other() -> None:
    """Eight clients add steps to one cluster; each step is there once."""
    client = emr_client(max_pool_connections=8)
    cluster_id = client.run_job_flow(**CLUSTER)["JobFlowId"]

    def add(number: int) -> list[str]:
        return client.add_job_flow_steps(JobFlowId=cluster_id, Steps=[_step(name=str(number))] * 3)["StepIds"]

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        ids = [step_id for added in pool.map(add, range(40)) for step_id in added]
    pages = client.get_paginator("list_steps").paginate(ClusterId=cluster_id)
    assert sorted(step["Id"] for page in pages for step in page["Steps"]) == sorted(set(ids))
    assert len(ids) == 120
    client.close()


def test_an_error_of_who_gets_the_events_is_not_lost() -> None:
    """It ends the ticking and is raised when the server ends."""

    def sink(_event: dict[str, Any]) -> None:
        msg = "no room"
        raise OSError(msg)

    def serve() -> None:
        emr = LocalEmr(run_step=lambda _: None, on_event=sink)
        with EmrServer(emr, every=0.01) as server:
            emr.call("RunJobFlow", CLUSTER)
            _until(lambda: server.error)

    with pytest.raises(OSError, match="no room"):
        serve()


def test_an_answer_that_emr_would_not_give_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its client sees a 500, and the server raises what was wrong when it ends."""
    monkeypatch.setitem(OPERATIONS, "ListClusters", lambda *_: {"Clusters": [{"Id": 7}]})

    def serve() -> int:
        with EmrServer(LocalEmr(run_step=PretendSteps())) as server:
            connection = http.client.HTTPConnection(server.endpoint.removeprefix("http://"))
            with contextlib.closing(connection):
                connection.request("POST", "/", "{}", {"X-Amz-Target": "ElasticMapReduce.ListClusters"})
                return connection.getresponse().status

    with pytest.raises(AssertionError, match=r"Clusters\[0\].Id: expected string, got 7"):
        serve()


def test_a_step_runs_as_command_runner_runs_it(real: Real, tmp_path: Path) -> None:
    """In an empty folder, with EMR's variables and those given, nothing else of this process; logs in EMR's places."""
    cluster_id = real.cluster_id
    step_id = real.run("tell", "a b", "ü")
    _until(lambda: real.state(step_id) == "COMPLETED")
    logs = tmp_path / "logs" / cluster_id / "steps" / step_id
    work, *told = (logs / "stdout").read_text().splitlines()
    assert work == str(logs / "work")
    assert told[-1] == "tell a b ü"
    variables = dict(line.split("=", 1) for line in told[:-1] if "=" in line)
    assert len(variables) == len(told) - 1, "the folder was not empty"
    assert variables["EMR_STEP_ID"] == step_id
    assert variables["SPARK_CONF_DIR"] == str(tmp_path / "conf")
    assert variables["GIVEN"] == "yes"
    assert "SECRET_OF_THIS_PROCESS" not in variables
    assert (logs / "stderr").read_text() == "problem\n"
    assert (logs / "controller").read_text() == "spark-submit tell a b ü\n"


def test_exit_codes_and_missing_programs_are_failed_steps(real: Real) -> None:
    """The reason says which."""
    client, cluster_id = real.client, real.cluster_id
    failed = real.run("exit", "7")
    jar = {"Jar": "command-runner.jar", "Args": ["no-such-program"]}
    missing = {"Name": "missing", "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar}
    (absent,) = client.add_job_flow_steps(JobFlowId=cluster_id, Steps=[missing])["StepIds"]
    for step_id, told in ((failed, "ended with 7"), (absent, "No such file")):
        _until(lambda step_id=step_id: real.state(step_id) == "FAILED")
        status = client.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]["Status"]
        assert told in status["FailureDetails"]["Message"]


def _tree(real: Real) -> tuple[str, list[psutil.Process]]:
    """A step that is a tree of at least three processes, in two process groups."""
    steps = real.steps
    step_id = real.run("tree")
    process = _until(lambda: next((step for step in steps.started if step.launch.step_id == step_id), None))
    _until(lambda: len(list((process.logs / "work").glob("ready-*"))) == 2)
    tree = process.tree()
    assert len({os.getpgid(one.pid) for one in tree if one.is_running()}) == 2
    return step_id, tree


def _gone(tree: list[psutil.Process]) -> bool:
    return not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in tree)


@pytest.mark.parametrize("how", ["terminate", "die", "kill step", "cancel"])
def test_killing_takes_the_whole_tree(real: Real, how: str) -> None:
    """Children in other process groups and those that ignore SIGTERM too; other steps go on."""
    steps, client, cluster_id = real.steps, real.client, real.cluster_id
    step_id, tree = _tree(real)
    other = client.run_job_flow(**CLUSTER)["JobFlowId"]
    (bystander,) = client.add_job_flow_steps(JobFlowId=other, Steps=[_step("sleep")])["StepIds"]
    _until(lambda: _state(client, other, bystander) == "RUNNING")
    match how:
        case "terminate":
            client.terminate_job_flows(JobFlowIds=[cluster_id])
        case "die":
            real.emr.kill_cluster(cluster_id, left="INTERRUPTED")
        case "kill step":
            real.emr.kill_step(step_id)
        case "cancel":
            kill = {"StepCancellationOption": "TERMINATE_PROCESS"}
            client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id], **kill)
    left = {"terminate": "CANCELLED", "die": "INTERRUPTED", "kill step": "FAILED", "cancel": "CANCELLED"}[how]
    _until(lambda: real.state(step_id) == left and _gone(tree))
    assert steps.started[0].poll() == 128 + signal.SIGKILL
    assert steps.started[0].tree() == []
    assert _state(client, other, bystander) == "RUNNING"


def test_an_interrupted_step_is_told_and_its_children_are_not(real: Real) -> None:
    """SEND_INTERRUPT is SIGTERM to the process that was started; what it leaves behind goes with the cluster."""
    steps, client, cluster_id = real.steps, real.client, real.cluster_id
    step_id, tree = _tree(real)
    client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id])
    _until(lambda: real.state(step_id) == "CANCELLED")
    assert (steps.started[0].logs / "stdout").read_text() == "interrupted\n"
    assert steps.started[0].poll() == 3
    assert not _gone(tree)
    client.terminate_job_flows(JobFlowIds=[cluster_id])
    _until(lambda: _gone(tree))


def test_a_runner_takes_the_signal_and_leaves_the_step_alone(spark_home: Path, tmp_path: Path) -> None:
    """As seen from EMR the step has ended; its exit code is the runner's when nobody disturbs it."""
    steps = SparkSubmitSteps(tmp_path, {"SPARK_HOME": str(spark_home)}, tmp_path, runner=True)
    ended = steps(StepLaunch(("spark-submit", "exit", "7"), "s-1", "j-1", "ended"))
    assert ended.wait() == 7
    left = steps(StepLaunch(("spark-submit", "sleep"), "s-2", "j-1", "left"))
    _until(lambda: len(left.tree()) > 1)
    left.interrupt()
    _until(lambda: left.poll() == 128 + signal.SIGTERM)
    assert left.tree()
    steps.close()
    _until(lambda: not left.tree())


def test_a_frozen_step_hears_nothing_until_it_wakes(real: Real) -> None:
    """It stays in CANCEL_PENDING: SIGTERM does not reach a process that is stopped."""
    steps, client, cluster_id = real.steps, real.client, real.cluster_id
    step_id, tree = _tree(real)
    steps.started[0].freeze()
    _until(lambda: {process.status() for process in tree if process.is_running()} == {psutil.STATUS_STOPPED})
    client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id])
    ticks = len(real.emr.history)
    real.run("exit", "0")
    _until(lambda: len(real.emr.history) >= ticks + 3)  # the other step has come and gone meanwhile
    assert real.state(step_id) == "CANCEL_PENDING"
    steps.started[0].wake()
    _until(lambda: real.state(step_id) == "CANCELLED")


def test_the_server_in_a_process_of_its_own(spark_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Endpoint and events on standard output, faults by control requests, and no step outlives it."""
    options = ["--logs", tmp_path / "logs", "--conf-dir", tmp_path, "--pass", "SPARK_HOME", "--until-stdin-closes"]
    command = [sys.executable, Path(__file__).with_name("emr_server.py"), *options, "--delays", '{"terminating": 0.1}']
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"SPARK_HOME": str(spark_home), "PYTHONPATH": str(Path(__file__).parents[1])},
    ) as process:
        endpoint = process.stdout.readline().strip()
        for name, value in {"ACCESS_KEY_ID": "x", "SECRET_ACCESS_KEY": "x", "DEFAULT_REGION": "us-east-1"}.items():
            monkeypatch.setenv(f"AWS_{name}", value)
        monkeypatch.setenv("AWS_ENDPOINT_URL_EMR", endpoint)
        client = emr_client(**ONCE)
        _control(endpoint, {"once": ["ListClusters", "throttle"]})
        with pytest.raises(ClientError, match="Rate exceeded"):
            client.list_clusters()
        cluster_id = client.run_job_flow(**CLUSTER)["JobFlowId"]
        _until(lambda: _control(endpoint, {})["clusters"] == {cluster_id: "WAITING"})
        (step_id,) = client.add_job_flow_steps(JobFlowId=cluster_id, Steps=[_step("sleep")])["StepIds"]
        _until(lambda: _control(endpoint, {})["steps"] == {step_id: "RUNNING"})
        (sleeper,) = psutil.Process(process.pid).children(recursive=True)
        _control(endpoint, {"freeze": step_id})
        _until(lambda: sleeper.status() == psutil.STATUS_STOPPED)
        assert _control(endpoint, {"wake": step_id, "faults": {"throttle": 0.0}})["counts"]["throttle"] == 1
        client.close()
        process.stdin.close()
        states = [json.loads(line)["detail"]["state"] for line in process.stdout]
    assert process.returncode == 0
    assert states == ["STARTING", "WAITING", "PENDING", "RUNNING", "RUNNING"]
    assert _gone([sleeper])


def _control(endpoint: str, wanted: dict[str, Any]) -> dict[str, Any]:
    connection = http.client.HTTPConnection(endpoint.removeprefix("http://"))
    with contextlib.closing(connection):
        connection.request("POST", "/control", json.dumps(wanted))
        return json.loads(connection.getresponse().read())
