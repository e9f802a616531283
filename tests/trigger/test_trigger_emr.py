"""The trigger against moto's S3 and the local EMR: one invocation after the other."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError
from emr_direct import short_circuit
from emr_records import Delays
from moto import mock_aws
from s3_shelf import Shelf
from stage import ARTIFACTS, BUCKET, CLUSTER, STEP, Stage
from trigger.emr import acting_client
from trigger.errors import ControlError, DocumentError

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = "control/trigger.json"
DELAYS = Delays(starting=60.0, bootstrapping=120.0, terminating=60.0, pending=5.0, listing=20.0)


@pytest.fixture
def s3() -> Iterator[Any]:
    """moto's S3 with the two buckets."""
    with mock_aws(config={"core": {"passthrough": {"services": ["emr"]}}}):
        client = boto3.client("s3", region_name="us-east-1")
        for bucket in (BUCKET, ARTIFACTS):
            client.create_bucket(Bucket=bucket)
        yield client
        client.close()


@pytest.fixture
def stage(s3: Any) -> Stage:
    return Stage(s3, delays=DELAYS)


@pytest.fixture
def long_stage() -> Stage:
    """For hours, which moto would make long: on the shelf."""
    return Stage(delays=DELAYS)


def running(stage: Stage) -> str:
    """The id of the step that runs after everything was started; its driver beats."""
    stage.run(420)
    (step,) = stage.live
    assert step.state == "RUNNING"
    return step.id


def remembered(stage: Stage) -> dict[str, Any]:
    return json.loads(stage.s3.get_object(Bucket=BUCKET, Key=MEMORY)["Body"].read())


def test_from_nothing_to_a_running_job_with_the_documents_of_the_wanted_version(stage: Stage) -> None:
    """Without a cluster one is started, then a step, both as the documents of the wanted version say."""
    assert [report.did for report in stage.run(300)] == ["start cluster", *["nothing"] * 2, "start step", "nothing"]
    (cluster,) = stage.clusters
    assert (cluster.name, cluster.request["LogUri"]) == ("stocketl", "s3://logs/emr/")
    assert cluster.tags == {"team": "data", "stocketl": "stocketl", "stocketl-intent": "00000001"}
    assert cluster.request["Instances"]["Ec2SubnetIds"] == ["subnet-1", "subnet-2"]
    (step,) = cluster.steps
    assert (step.name, step.action_on_failure) == ("stocketl 1.2.3 00000002", "CONTINUE")
    assert step.config["HadoopJarStep"]["Args"][-2:] == ["s3://artifacts/stocketl/1.2.3/main.py", "run"]
    assert stage.run(1800)[-1].why == f"step {step.id} is RUNNING"


def test_a_step_that_ends_has_a_successor_within_a_period(stage: Stage) -> None:
    """The next invocation after the end of a step starts another one and says why."""
    first = running(stage)
    stage.drivers[0].end(1)
    stage.emr.tick()
    report = stage.invoke()
    assert (report.did, report.why) == ("start step", f"step {first} is FAILED Unknown Error")


def test_a_frozen_driver_has_a_successor_and_is_killed_in_the_end(stage: Stage) -> None:
    """A driver that does not beat is interrupted, replaced, and killed if it does not end."""
    first = running(stage)
    stage.drivers[0].frozen = True
    reports = [r for r in stage.run(420) if r.did != "nothing"]
    assert [(r.did, r.answer) for r in reports] == [
        ("cancel step", "SEND_INTERRUPT SUBMITTED"),
        ("start step", stage.live[-1].id),
        ("cancel step", "TERMINATE_PROCESS SUBMITTED"),
    ]
    assert stage.emr.step(first).state == "CANCELLED"
    assert [driver.launch.step_id for driver in stage.running] == [stage.good[0].id]


def test_a_driver_that_cannot_be_killed_does_not_keep_the_job_down(long_stage: Stage) -> None:
    """A successor runs beside a step that no cancellation ends, and stays when that one wakes up."""
    running(long_stage)
    long_stage.emr.faults.refuse_second_cancel = True
    long_stage.drivers[0].frozen = True
    long_stage.run(1800)
    assert [step.state for step in long_stage.live] == ["CANCEL_PENDING", "RUNNING"]
    assert not long_stage.drivers[1].frozen
    long_stage.drivers[0].frozen = False
    long_stage.run(120)
    assert [driver.code for driver in long_stage.drivers] == [143, None]


def test_two_drivers_that_cannot_be_killed_are_waited_for(long_stage: Stage) -> None:
    """While two cancelled steps have not ended, no third is started."""
    running(long_stage)
    long_stage.emr.faults.refuse_second_cancel = True
    for number in range(2):
        long_stage.drivers[number].frozen = True
        long_stage.run(360)
    assert "start step" not in {report.did for report in long_stage.run(600)}
    long_stage.drivers[0].end(1)
    long_stage.run(120)
    assert len(long_stage.good) == 1


def test_a_cluster_that_is_terminating_is_replaced_at_once(stage: Stage) -> None:
    """A new cluster is started while the old one still terminates, and the job runs on the new one."""
    running(stage)
    old = stage.clusters[0]
    stage.emr.kill_cluster(old.id)
    assert (old.state, stage.invoke().did) == ("TERMINATING", "start cluster")
    stage.run(360)
    (new,) = stage.clusters
    assert (new.id != old.id, [step.state for step in new.steps]) == (True, ["RUNNING"])


def test_a_quota_error_is_met_with_growing_pauses_and_told(long_stage: Stage) -> None:
    """A refused start is tried again after longer and longer pauses, and counts as no start."""
    long_stage.emr.faults.quota = 1.0
    reports = long_stage.run(3600)
    tried = [n for n, report in enumerate(reports) if report.did == "start cluster"]
    assert tried == [0, 1, 2, 3, 5, 9, 17, 32, 47]
    assert "exceeds the quota of this account" in reports[47].answer
    assert not any(report.taken for report in reports)
    assert (remembered(long_stage)["refusals"], remembered(long_stage)["starts"]) == (9, {"step": [], "cluster": []})
    long_stage.emr.faults.heal()
    long_stage.run(1200)
    assert (len(long_stage.good), remembered(long_stage)["refusals"]) == (1, 0)


def test_a_cluster_that_dies_at_once_for_its_quota_counts_as_a_start(long_stage: Stage) -> None:
    """A cluster that EMR took and then ended counts towards the limit of six an hour."""
    for _ in range(20):
        long_stage.emr.faults.doom_next("VALIDATION_ERROR")
    reports = long_stage.run(3600)
    assert len(long_stage.emr.clusters) == 6
    assert "TERMINATED_WITH_ERRORS The requested number of instances exceeds your EC2 quota" in reports[5].why
    assert reports[-1].crash_loop


def test_a_step_that_dies_again_and_again_is_started_six_times_an_hour_and_told(long_stage: Stage) -> None:
    """Starts are 60, 60, 60, 120 and 240 s apart, at most six an hour, and the crash loop is reported."""
    long_stage.fates = ["dies"] * 100
    reports = long_stage.run(3 * 3600)
    created = [step.created for step in long_stage.emr.steps()]
    gaps = [round(later - earlier) for earlier, later in itertools.pairwise(created)]
    assert gaps[:5] == [60, 60, 60, 120, 240]
    assert all(later - earlier >= 3600 for earlier, later in zip(created, created[6:], strict=False))
    assert sum(report.crash_loop for report in reports[:60]) > 30
    long_stage.fates = []
    long_stage.run(3900)
    assert [driver.fate for driver in long_stage.running] == ["well"]


def test_throttling_of_a_look_ends_the_invocation_before_it_does_anything(stage: Stage) -> None:
    """If EMR throttles a list, the invocation fails without an action, and the next one acts."""
    stage.emr.faults.once("ListClusters", "throttle")
    with pytest.raises(ClientError, match="ThrottlingException"):
        stage.invoke()
    assert not stage.emr.clusters
    stage.run(180)
    stage.emr.faults.once("ListSteps", "throttle")
    with pytest.raises(ClientError, match="ThrottlingException"):
        stage.invoke()
    assert not stage.live
    assert stage.invoke().did == "start step"


@pytest.mark.parametrize("fault", ["throttle", "fail"])
def test_an_action_without_effect_is_tried_again_once_that_is_certain(long_stage: Stage, fault: Any) -> None:
    """An action that EMR did not carry out is repeated only after the time in which it could still show."""
    long_stage.emr.faults.once("RunJobFlow", fault)
    assert [report.did for report in long_stage.run(300)] == [
        "start cluster",
        *["nothing"] * 2,
        "start cluster",
        "nothing",
    ]
    assert remembered(long_stage)["starts"]["cluster"] == ["2026-03-02T20:03:00+00:00"]
    long_stage.run(60)
    long_stage.emr.faults.once("AddJobFlowSteps", fault)
    assert [report.did for report in long_stage.run(300)] == ["start step", *["nothing"] * 2, "start step", "nothing"]
    assert (len(long_stage.live), long_stage.emr.faults.counts[fault]) == (1, 2)


@pytest.mark.parametrize("seed", range(6))
def test_an_action_whose_answer_is_lost_is_not_done_twice(long_stage: Stage, seed: int) -> None:
    """If the answer is lost, the effect is found in the lists, and nothing is started or cancelled again."""
    long_stage.emr.faults.change(seed=seed)
    for operation in ("RunJobFlow", "AddJobFlowSteps", "CancelSteps"):
        long_stage.emr.faults.once(operation, "lose_answer")
    running(long_stage)
    long_stage.drivers[0].frozen = True
    long_stage.run(900)
    assert long_stage.emr.faults.counts["lose_answer"] == 3
    assert (len(long_stage.emr.clusters), len(long_stage.emr.steps()), len(long_stage.live)) == (1, 2, 1)


def test_the_client_that_acts_never_tries_again_by_itself(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client for actions sends each request once, even if its answer is lost."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    client = acting_client()
    short_circuit(client, lambda: stage.emr)
    stage.emr.faults.once("RunJobFlow", "lose_answer")
    with pytest.raises(Exception, match=r"RunJobFlow|closed"):
        client.run_job_flow(**CLUSTER)
    assert len(stage.emr.clusters) == 1
    client.close()


def test_a_live_step_is_found_behind_hundreds_of_ended_ones_and_other_peoples(stage: Stage) -> None:
    """The lists are read to their end, and steps and clusters of others are left out."""
    for _ in range(60):
        stage.emr.call("RunJobFlow", CLUSTER | {"Name": "other", "Tags": []})
    first = running(stage)
    cluster = stage.emr.step(first).id and next(c for c in stage.clusters if c.name == "stocketl")
    stage.fates = ["dies"] * 240
    for n in range(240):
        name = "stocketl 1.2.3 deadbeef" if n % 2 else "other"
        stage.emr.call("AddJobFlowSteps", {"JobFlowId": cluster.id, "Steps": [STEP | {"Name": name}]})
    for step in cluster.steps[1:]:
        stage.emr.call("CancelSteps", {"ClusterId": cluster.id, "StepIds": [step.id]})
    stage.wait(60)
    report = stage.invoke()
    assert (report.why, len(report.world.steps)) == (f"step {first} is RUNNING", 121)


def test_of_many_live_steps_all_but_the_newest_are_cancelled_one_by_one(long_stage: Stage) -> None:
    """However many steps somebody added by hand, only the newest stays."""
    running(long_stage)
    (cluster,) = long_stage.clusters
    for _ in range(70):
        request = {"JobFlowId": cluster.id, "Steps": [STEP | {"Name": "stocketl 1.2.3 by hand"}]}
        (last,) = long_stage.emr.call("AddJobFlowSteps", request)["StepIds"]
        long_stage.wait(1)
    long_stage.wait(20)
    assert len(long_stage.invoke().world.live) > 60
    long_stage.run(800, period=10)
    assert [step.id for step in long_stage.live] == [last]


def test_the_stop_marker_stops_the_step_and_its_removal_starts_one(long_stage: Stage) -> None:
    """The stop marker ends the job and keeps it down until somebody removes the marker."""
    first = running(long_stage)
    long_stage.put("control/stop", "maintenance")
    long_stage.run(60)
    assert long_stage.emr.step(first).state == "CANCELLED"
    assert {report.did for report in long_stage.run(3600)} == {"nothing"}
    assert remembered(long_stage)["last_stop"] == f"{first}: the stop marker is there"
    long_stage.delete("control/stop")
    long_stage.run(60)
    assert len(long_stage.good) == 1


def test_the_replace_marker_rolls_a_new_version_out(long_stage: Stage) -> None:
    """A new version runs only once the replace marker names it, and it is replaced only once."""
    running(long_stage)
    long_stage.deploy("1.3.0")
    assert {report.did for report in long_stage.run(600)} == {"nothing"}
    long_stage.put("control/replace", "1.3.0\n")
    long_stage.run(180)
    (step,) = long_stage.live
    assert step.name.startswith("stocketl 1.3.0 ")
    assert step.config["HadoopJarStep"]["Args"][-2] == "s3://artifacts/stocketl/1.3.0/main.py"
    assert {report.did for report in long_stage.run(600)} == {"nothing"}


def test_the_marker_for_another_cluster_is_heeded_once(long_stage: Stage) -> None:
    """The cluster ends, protected or not, another one takes over the job, and the marker may stay."""
    running(long_stage)
    (old,) = long_stage.clusters
    long_stage.wait(60)
    long_stage.put("control/replace-cluster", "")
    assert [report.did for report in long_stage.run(120)] == ["end cluster", "start cluster"]
    long_stage.run(600)
    (new,) = long_stage.clusters
    assert (new.id != old.id, len(long_stage.good)) == (True, 1)
    assert {report.did for report in long_stage.run(600)} == {"nothing"}


def test_a_cluster_that_could_not_be_started_again_is_not_ended(long_stage: Stage) -> None:
    """If the cluster document of the wanted version is missing, the marker costs no job."""
    first = running(long_stage)
    long_stage.wait(60)
    long_stage.environ["ARTIFACT_VERSION"] = "9.9.9"
    long_stage.put("control/replace-cluster", "")
    report = long_stage.invoke()
    assert (report.did, report.taken, [step.id for step in long_stage.good]) == ("nothing", False, [first])
    assert "all stays as it is: s3://artifacts/stocketl/9.9.9/cluster.json is not there: upload" in report.answer


def test_a_replacement_by_a_version_that_was_never_uploaded_costs_no_job(long_stage: Stage) -> None:
    """If the documents of the new version are missing, the running step stays."""
    first = running(long_stage)
    before = long_stage.emr.history.copy()
    long_stage.environ["ARTIFACT_VERSION"] = "9.9.9"
    long_stage.put("control/replace", "")
    for _ in range(3):
        report = long_stage.invoke()
        assert (report.did, report.taken) == ("nothing", False)
        assert "all stays as it is: s3://artifacts/stocketl/9.9.9/step.json is not there: upload" in report.answer
        long_stage.wait(60)
    assert ([step.id for step in long_stage.good], long_stage.emr.history) == ([first], before)


def test_a_memory_that_cannot_be_read_stops_all_starts_with_a_plain_error(stage: Stage) -> None:
    """Nothing is started until the broken memory is mended or removed."""
    first = running(stage)
    stage.put(MEMORY, "{")
    stage.drivers[0].end(1)
    for _ in range(10):
        with pytest.raises(ControlError, match=r"s3://state/control/trigger.json: .* Nothing is started until"):
            stage.invoke()
        stage.wait(60)
    assert [step.id for step in stage.emr.steps()] == [first]
    stage.delete(MEMORY)
    stage.run(60)
    assert len(stage.good) == 1


def test_garbage_instead_of_a_heartbeat_counts_as_none_and_is_told(long_stage: Stage) -> None:
    """An unreadable heartbeat is named in a warning and keeps no frozen step alive."""
    running(long_stage)
    long_stage.drivers[0].frozen = True
    long_stage.put("control/heartbeat.json", '{"time": "yesterday"}')
    long_stage.run(660)
    assert len(long_stage.drivers) == 2
    assert "control/heartbeat.json counts as none, it is no heartbeat" in long_stage.warnings[0]


@pytest.mark.parametrize("name", ["cluster.json", "step.json"])
def test_a_missing_document_is_told_and_leaves_no_intention(stage: Stage, name: str) -> None:
    """The message names the missing document and what to do, and EMR is not asked for anything."""
    stage.run(0 if name == "cluster.json" else 240)
    stage.environ["ARTIFACT_VERSION"] = "9.9.9"
    stage.drivers[:] = []
    before = stage.emr.history.copy()
    if name == "step.json":
        stage.emr.step(stage.live[0].id).process.end(1)
        stage.wait(60)
        before = stage.emr.history.copy()
    for _ in range(3):
        with pytest.raises(DocumentError, match=f"s3://artifacts/stocketl/9.9.9/{name} is not there: upload"):
            stage.invoke()
    assert stage.emr.history == before


def test_artifacts_that_are_gone_with_their_bucket_are_told(s3: Any, stage: Stage) -> None:
    """A missing bucket gives the same message as a missing document."""
    for entry in s3.list_objects_v2(Bucket=ARTIFACTS)["Contents"]:
        s3.delete_object(Bucket=ARTIFACTS, Key=entry["Key"])
    s3.delete_bucket(Bucket=ARTIFACTS)
    with pytest.raises(DocumentError, match=r"s3://artifacts/stocketl/1.2.3/cluster.json is not there: upload"):
        stage.invoke()


def test_a_document_that_emr_would_not_take_is_told_and_counts_as_refused(stage: Stage) -> None:
    """A document that fails the validation is a refusal, and the answer says what to correct."""
    stage.put("stocketl/1.2.3/cluster.json", '{"Instances": {"Subnet": "${SUBNET_IDS}"}}', bucket=ARTIFACTS)
    report = stage.invoke()
    assert not report.taken
    assert "cannot start a cluster: correct its document: Parameter validation failed:" in report.answer
    assert remembered(stage)["refusals"] == 1


def test_the_shelf_answers_as_moto_does(s3: Any) -> None:
    """The model runs on the shelf, since moto would take too long for it."""
    shelf = Shelf()

    def put(**condition: str) -> Any:
        return lambda to: to.put_object(Bucket=BUCKET, Key="k", Body=b"v", **condition)["ETag"]

    def get(to: Any) -> Any:
        found = to.get_object(Bucket=BUCKET, Key="k")
        return found["Body"].read(), found["ETag"]

    def answer(call: Any, to: Any) -> Any:
        try:
            return call(to)
        except ClientError as error:
            return error.response["Error"]["Code"]

    etag = answer(put(), Shelf())
    calls = [get, put(IfMatch=etag), put(IfNoneMatch="*"), put(IfNoneMatch="*"), get, put(IfMatch=etag)]
    calls += [put(IfMatch='"0"'), put(), lambda to: to.delete_object(Bucket=BUCKET, Key="k") and None, get]
    assert [answer(call, shelf) for call in calls] == [answer(call, s3) for call in calls]
