"""The trigger's entry: events as AWS publishes them, settings, documents, what is logged and measured."""

from __future__ import annotations

import json
import pathlib
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import trigger_emr
from emr_direct import direct_client
from emr_steps import PretendSteps
from local_emr import LocalEmr
from moto import mock_aws
from stage import ARTIFACTS, BUCKET, CLUSTER, ENVIRON, STEP
from trigger.documents import fill_in
from trigger.errors import ControlError, DocumentError
from trigger.settings import read_settings

from streaming.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENTS = pathlib.Path(__file__).parents[1] / "support" / "aws" / "events"
SECRET = "never-to-be-seen"  # noqa: S105 - looked for in what is written


def event(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


@pytest.fixture
def emr(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[LocalEmr]:
    """The local EMR, moto's S3 and the function's environment."""
    local = LocalEmr(run_step=PretendSteps())
    client = direct_client(lambda: local)
    monkeypatch.setattr(trigger_emr, "looking_client", lambda: client)
    monkeypatch.setattr(trigger_emr, "acting_client", lambda: client)
    for name, value in ENVIRON.items():
        monkeypatch.setenv(name, value)
    # a logger of its own, that writes to this test's output
    monkeypatch.setenv("POWERTOOLS_SERVICE_NAME", request.node.name)
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "StockETL")
    monkeypatch.setenv("DATABASE_PASSWORD", SECRET)
    with mock_aws(config={"core": {"passthrough": {"services": ["emr"]}}}):
        monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        s3 = boto3.client("s3")
        for bucket in (BUCKET, ARTIFACTS):
            s3.create_bucket(Bucket=bucket)
        for name, document in (("cluster.json", CLUSTER), ("step.json", STEP)):
            s3.put_object(Bucket=ARTIFACTS, Key=f"stocketl/1.2.3/{name}", Body=json.dumps(document))
        local.s3 = s3
        yield local
        s3.close()
        trigger_emr._prepared.cache_clear()  # noqa: SLF001 - its clients end with moto
    client.close()


def beat(emr: LocalEmr, at: float) -> None:
    body = {"epoch": 1, "batch": 4, "time": datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds"), "step": None}
    emr.s3.put_object(Bucket=BUCKET, Key="control/heartbeat.json", Body=json.dumps(body))


@pytest.mark.parametrize(
    ("name", "called_by"),
    [
        ("scheduled-event", "Scheduled Event"),
        ("scheduler-event", "Scheduled Event"),
        ("emr-step-status-change", "EMR Step Status Change"),
        ("emr-cluster-state-change", "EMR Cluster State Change"),
    ],
)
def test_every_event_that_aws_publishes_makes_it_look(emr: LocalEmr, name: str, called_by: str) -> None:
    """Whatever kind of event calls it, the trigger looks at EMR and starts what is missing."""
    line = trigger_emr.handler(event(name), None)
    assert (line["called_by"], line["did"], line["why"]) == (called_by, "start cluster", "there is no cluster")
    assert len(emr.clusters) == 1


def test_a_call_without_an_event_is_one_by_hand() -> None:
    """An empty event is reported as a call by hand."""
    assert trigger_emr.cause({}) == "by hand"


def test_the_events_of_the_local_emr_are_parsed_too(emr: LocalEmr) -> None:
    """The local EMR sends the same kinds of events as AWS."""
    seen: list[Any] = []
    emr.events._sink = seen.append  # noqa: SLF001 - no sink was wanted when it was made
    trigger_emr.handler({}, None)
    emr.tick()
    trigger_emr.handler({}, None)
    emr.tick()
    assert {trigger_emr.cause(one) for one in seen} == {"EMR Cluster State Change", "EMR Step Status Change"}


def test_a_stopped_job_whose_cluster_goes_on_is_measured(emr: LocalEmr, capsys: pytest.CaptureFixture[str]) -> None:
    """A cluster costs as much while `control/stop` is there; without a cluster there is nothing to warn of."""
    trigger_emr.handler({}, None)
    emr.s3.put_object(Bucket=BUCKET, Key="control/stop", Body=b"")
    emr.tick()
    time.sleep(1.1)  # the marker's time has whole seconds
    trigger_emr.handler({}, None)
    emr.kill_cluster(next(iter(emr.clusters)))
    emr.tick()
    trigger_emr.handler({}, None)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    measured = [line for line in lines if "_aws" in line]
    assert [line["IdleSinceStop"][0] > 0 for line in measured] == [False, True, False]
    assert ["ClusterAge" in line for line in measured] == [False, True, False]


def test_each_invocation_writes_one_line_and_its_metrics_as_json(
    emr: LocalEmr, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each invocation logs one JSON line and its metrics, and neither holds a secret."""
    beaten = int(time.time()) - 300
    beat(emr, beaten)
    least = time.time() - beaten
    for _ in range(2):
        trigger_emr.handler(event("scheduled-event"), None)
        emr.tick()
    most = time.time() - beaten
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    metrics = [line for line in lines if "_aws" in line]
    names = ("CrashLoop", "LiveSteps", "Starts", "Clusters")
    assert [[line[name] for name in names] for line in metrics] == [[[0.0]] * 4, [[0.0], [0.0], [1.0], [1.0]]]
    assert least <= metrics[0]["HeartbeatAge"][0] <= metrics[1]["HeartbeatAge"][0] <= most
    assert metrics[0]["_aws"]["CloudWatchMetrics"][0]["Namespace"] == "StockETL"
    assert [line["message"]["did"] for line in lines if "message" in line] == ["start cluster", "start step"]
    assert len({line["service"] for line in lines}) == 1
    assert SECRET not in json.dumps(lines)


def test_without_a_heartbeat_its_age_is_not_measured(emr: LocalEmr, capsys: pytest.CaptureFixture[str]) -> None:
    """If there is no heartbeat, the metric of its age is left out."""
    trigger_emr.handler({}, None)
    assert "HeartbeatAge" not in capsys.readouterr().out
    assert len(emr.clusters) == 1


def test_a_memory_that_cannot_be_read_is_measured_and_raised(emr: LocalEmr, capsys: pytest.CaptureFixture[str]) -> None:
    """A broken memory counts as a control error, is raised, and starts nothing."""
    emr.s3.put_object(Bucket=BUCKET, Key="control/trigger.json", Body=b"{")
    with pytest.raises(ControlError, match="Nothing is started until it is mended"):
        trigger_emr.handler({}, None)
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert line["ControlErrors"] == [1.0]
    assert not emr.clusters


def test_a_refusal_is_logged_with_what_emr_said(emr: LocalEmr, capsys: pytest.CaptureFixture[str]) -> None:
    """If EMR refuses an action, a warning quotes its answer."""
    emr.faults.once("RunJobFlow", "quota")
    assert not trigger_emr.handler({}, None)["taken"]
    warning = next(line for line in capsys.readouterr().out.splitlines() if "WARNING" in line)
    assert "exceeds the quota of this account" in warning


def test_the_settings_have_defaults_for_all_times() -> None:
    """Without settings of its own the policy has all its times and limits, and secrets are not kept as values."""
    settings = read_settings(ENVIRON | {"AWS_REGION": "eu-central-1", "AWS_SECRET_ACCESS_KEY": SECRET})
    policy = settings.policy
    times = (policy.stale, policy.start, policy.pending, policy.cancel, policy.first_pause, policy.longest_pause)
    assert [time.total_seconds() for time in times] == [120, 600, 180, 120, 15, 900]
    assert policy.oldest is None
    assert (policy.max_starts, settings.cluster_name, settings.step_name) == (6, "stocketl", "stocketl")
    assert dict(settings.values) == ENVIRON | {"AWS_REGION": "eu-central-1"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"STATE_BUCKET": ""}, "STATE_BUCKET is not set in the function's environment; deploy the template again"),
        ({"ARTIFACT_VERSION": "1 2"}, "ARTIFACT_VERSION: expected a version such as 1.2.3, got '1 2'"),
        (
            {"OLDEST_CLUSTER_DAYS": "never"},
            "OLDEST_CLUSTER_DAYS: expected a number from 1 to 1000000, got 'never'; correct the function's environment",
        ),
        (
            {"STALE_SECONDS": "two"},
            "STALE_SECONDS: expected a number from 1 to 1000000, got 'two'; correct the function's environment",
        ),
        (
            {"MAX_STARTS_PER_HOUR": "0"},
            "MAX_STARTS_PER_HOUR: expected a number from 1 to 1000000, got '0'; correct the function's environment",
        ),
    ],
)
def test_a_wrong_setting_is_named_with_its_value(change: dict[str, str], message: str) -> None:
    """The message names the setting, what was expected, and the value that was given."""
    with pytest.raises(SettingsError) as error:
        read_settings(ENVIRON | change)
    assert str(error.value) == message


def test_values_are_put_into_a_document_as_json_strings() -> None:
    """A value with quotes, line ends or `$` stays exactly that value in the JSON document."""
    values = {"A": 'say "hi"\n', "B": "$A"}
    assert fill_in('{"a": "${A}", "b": "${B}", "c": "$$5"}', values, "x") == {"a": 'say "hi"\n', "b": "$A", "c": "$5"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"a": "${C}${B}${A}"}', "x needs B, C: expected in the function's environment, not set"),
        ('{"a": "$ 5"}', "x is no JSON text with ${NAME} in it: Invalid placeholder"),
        ("{", "x is no JSON text with ${NAME} in it: Expecting property name"),
        ("[]", "x: expected a JSON object, got list"),
    ],
)
def test_a_document_that_cannot_be_used_is_told(text: str, message: str) -> None:
    """The message names the document and what is wrong with it."""
    with pytest.raises(DocumentError) as error:
        fill_in(text, {"A": "1"}, "x")
    assert str(error.value).startswith(message)
