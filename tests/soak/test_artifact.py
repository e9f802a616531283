"""The artifact as the cluster gets it: installed by the bootstrap, submitted as the step document says, from S3."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from aws_world import s3_properties
from cloudformation import Stack
from outcome import rows
from rich.console import Console
from standalone import DEADLINE, SPARK_HOME, Standalone
from tables import assert_same, expected, stored
from trigger.documents import fill_in

from deploy.build import build
from streaming.spark.jars import jars
from streaming.spark.java import java_home

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.soak

ROOT = Path(__file__).resolve().parents[2]
HEADER = "date,id,price,trade_volume\n"
# The one command that EMR's nodes have and this machine may lack; `aws s3 cp [--recursive] s3://… …` of the bootstrap.
# A script for the shell and for Python, as pip writes them, since no path with a blank may stand behind `#!`.
_AWS = """#!/bin/sh
'''exec' "{python}" "$0" "$@"
' '''
import pathlib, sys, boto3
_, _, *options, source, target = sys.argv[1:]
bucket, _, key = source.removeprefix("s3://").partition("/")
client = boto3.client("s3")
if "--recursive" not in options:
    client.download_file(bucket, key, target)
    sys.exit()
for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=key):
    for entry in page.get("Contents", []):
        file = pathlib.Path(target, entry["Key"].removeprefix(key))
        file.parent.mkdir(parents=True, exist_ok=True)
        client.download_file(bucket, entry["Key"], str(file))
"""


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A built version."""
    return build(tmp_path_factory.mktemp("build"), Console(quiet=True))


@pytest.fixture
def uploaded(artifact: Path, s3: Any) -> tuple[str, str]:
    """The bucket and prefix where the artifact lies."""
    bucket, prefix = s3.bucket(versioned=False), f"stocketl/{artifact.name}"
    for path in artifact.rglob("*"):
        if path.is_file():
            s3.client.upload_file(str(path), bucket, f"{prefix}/{path.relative_to(artifact)}")
    return bucket, prefix


def _bootstrapped(uploaded: tuple[str, str], tmp_path: Path, env: dict[str, str]) -> Path:
    """The Python of a node's environment, with only the artifact's wheels in it."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "aws").write_text(_AWS.format(python=sys.executable))
    (tmp_path / "bin" / "aws").chmod(0o755)
    home = tmp_path / "node"
    place = "s3://{}/{}".format(*uploaded)
    subprocess.run(
        [ROOT / "deploy" / "bootstrap.sh", place, home],
        env={
            **os.environ,
            **env,
            "PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}",
            "STOCKETL_PYTHON": sys.executable,
        },
        check=True,
        timeout=DEADLINE,
    )
    return home / "venv" / "bin" / "python"


def test_the_lambdas_archive_has_all_that_the_handlers_import(artifact: Path, tmp_path: Path) -> None:
    """Nothing but Python itself beside it: each handler string of the template resolves."""
    with zipfile.ZipFile(artifact / "lambda.zip") as packed:
        packed.extractall(tmp_path)
    handlers = {function["Handler"] for function in Stack().of_type("AWS::Lambda::Function").values()}
    assert handlers == {"monitor_emr.handler", "trigger_emr.handler"}
    for handler in handlers:
        module, _, name = handler.rpartition(".")
        code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import {module}; print(callable({module}.{name}))"
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.stdout.strip(), done.stderr) == ("True", "")


def test_the_step_runs_on_a_cluster_and_a_worker_killed_in_a_batch_changes_nothing(
    uploaded: tuple[str, str], tmp_path: Path, database: str, s3: Any
) -> None:
    """They share no process, no folder and no installed package, only S3; what spark-defaults.conf says wins."""
    python = _bootstrapped(uploaded, tmp_path, s3.env)
    state, drops = s3.bucket(versioned=False), s3.bucket(versioned=True)
    contents = [_many_rows(start) for start in range(6)]
    work = tmp_path / "empty"
    work.mkdir()
    marker = tmp_path / "in-the-state"
    env = {name: os.environ[name] for name in ("HOME", "PATH", "LANG") if name in os.environ} | s3.env
    with Standalone(tmp_path, env | {"STOCKETL_FAULT": f"state:{marker}"}, workers=2) as cluster:
        conf = _spark_conf(tmp_path, s3, cluster.url, python)
        command = _step(uploaded, {"INPUT": drops, "STATE": state, "RECEIPTS": state}, database, tmp_path)
        with _submitted(command, work, env | {"SPARK_CONF_DIR": str(conf)}, tmp_path) as wait_for:
            for number, content in enumerate(contents[:3]):
                s3.client.put_object(Bucket=drops, Key=f"in/{number}.csv", Body=content)
            wait_for("a task that stands still in the state operator", marker.exists)
            cluster.kill_worker(cluster.worker_of(int(marker.read_text().split()[1])))
            wait_for("receipts of what the killed worker had", lambda: _receipts(s3, state) == 3)
            cluster.start_worker(2)
            for number, content in enumerate(contents[3:], start=3):
                s3.client.put_object(Bucket=drops, Key=f"in/{number}.csv", Body=content)
            wait_for("all receipts", lambda: _receipts(s3, state) == len(contents))
    in_order = rows(database, "SELECT key FROM stocketl.drops ORDER BY seq")
    assert_same(stored(database), expected(contents[int(row["key"][0])] for row in in_order))
    assert list(work.iterdir()) == []
    assert _state_partitions(s3, state) == {"0", "1", "2"}


def _step(uploaded: tuple[str, str], buckets: dict[str, str], database: str, folder: Path) -> list[str]:
    """The command of the step document, with a secret-free database and the job's home in a folder of the test."""
    bucket, prefix = uploaded
    values = Stack({"WakeQueue": "no"}).environment("Trigger")
    values |= {f"{name}_BUCKET": place for name, place in buckets.items()}
    values |= {"ARTIFACTS_BUCKET": bucket, "ARTIFACT_VERSION": prefix.rpartition("/")[2], "INPUT_PREFIX": "in"}
    values |= {"SUCCESS_BUCKET": "success", "FAILED_BUCKET": "failed", "DATABASE_URI": database, "DATABASE_SECRET": ""}
    document = fill_in((ROOT / "deploy" / "step.json").read_text(), values, "step.json")
    arguments = document["HadoopJarStep"]["Args"]
    secret = arguments.index("--database-secret")
    del arguments[secret : secret + 2]
    arguments[arguments.index("--home") + 1] = str(folder / "home")
    return [str(SPARK_HOME / "bin" / "spark-submit"), *arguments[1:]]


def _spark_conf(folder: Path, s3: Any, master: str, python: Path) -> Path:
    """What the cluster document's classifications say, as far as they are not about the size of its machines."""
    conf = folder / "conf"
    conf.mkdir()
    extra = ":".join(str(jar) for jar in jars(lake=True, s3=True, folders=False))
    properties = s3_properties(s3) | {
        "spark.master": master,
        "spark.driver.memory": "1g",
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.extraClassPath": extra,
        "spark.executor.extraClassPath": extra,
        "spark.executor.memory": "900m",
        "spark.pyspark.python": str(python),
        "spark.pyspark.driver.python": str(python),
        "spark.ui.enabled": "false",
        "spark.sql.shuffle.partitions": "3",  # neither the number of local.conf nor that of emr.conf
    }
    (conf / "spark-defaults.conf").write_text("".join(f"{name} {value}\n" for name, value in properties.items()))
    return conf


@contextlib.contextmanager
def _submitted(command: list[str], work: Path, env: dict[str, str], folder: Path) -> Iterator[Callable[..., None]]:
    """The step while the context lasts; gives a function that waits for a condition as long as the step lives."""
    log = folder / "step.log"
    java = {"JAVA_HOME": str(java_home()), "SPARK_HOME": str(SPARK_HOME)}
    with log.open("wb") as sink:
        process = subprocess.Popen(
            command,
            cwd=work,
            env=env | java,
            stdin=subprocess.DEVNULL,
            stdout=sink,
            stderr=sink,
            start_new_session=True,
        )

    def wait_for(what: str, condition: Callable[[], object]) -> None:
        end = time.monotonic() + DEADLINE
        while not condition():
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-60:])
            assert process.poll() is None, f"the step ended while waiting for {what}:\n{tail}"
            assert time.monotonic() < end, f"waited in vain for {what}:\n{tail}"
            time.sleep(0.1)

    try:
        yield wait_for
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(DEADLINE)


def _receipts(s3: Any, bucket: str) -> int:
    return s3.client.list_objects_v2(Bucket=bucket, Prefix="receipts/")["KeyCount"]


def _state_partitions(s3: Any, bucket: str) -> set[str]:
    pages = s3.client.get_paginator("list_objects_v2").paginate(Bucket=bucket)
    keys = (item["Key"] for page in pages for item in page.get("Contents", []))
    return {found[1] for key in keys if (found := re.search(r"/state/0/(\d+)/", key))}


def _many_rows(start: int) -> bytes:
    """A year of 40 tickers; every second date again in the next file, with other prices."""
    days = [
        f"20{10 + start // 2 + half}-{month:02}-{day:02}"
        for half in (0, 1)
        for month in range(1, 13)
        for day in (1, 15)
    ]
    lines = (
        f"{day},T{ticker},{1 + (ticker * 7 + number + start) % 50},{number}"
        for number, day in enumerate(days)
        for ticker in range(40)
    )
    return "\n".join([HEADER.strip(), *lines, ""]).encode()
