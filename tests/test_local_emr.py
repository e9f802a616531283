"""The local EMR behaves as EMR's documents say, answers as botocore's model says, and breaks as its faults say."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from emr_direct import direct_client
from emr_faults import ConnectionCut, EmrError, Faults
from emr_records import Delays
from emr_shapes import error_problems, input_problems, output_problems
from emr_wire import answer
from fixture_emr import NOON, PretendEmr
from hypothesis import given, settings
from hypothesis import strategies as st

CLUSTER: dict[str, Any] = {
    "Name": "Development Cluster",
    "ReleaseLabel": "emr-spark-8.1.0",
    "LogUri": "s3://logs/emr/",
    "Applications": [{"Name": "Spark"}],
    "Instances": {
        "KeepJobFlowAliveWhenNoSteps": True,
        "Ec2SubnetId": "subnet-1",
        "InstanceGroups": [{"InstanceRole": "MASTER", "InstanceType": "m7g.xlarge", "InstanceCount": 1}],
    },
    "Configurations": [{"Classification": "delta-defaults", "Properties": {"delta.enabled": "true"}}],
    "JobFlowRole": "instances",
    "ServiceRole": "service",
    "Tags": [{"Key": "stocketl", "Value": "stocketl"}],
}


def _step(name: str = "CustomJAR", **members: Any) -> dict[str, Any]:
    jar = {"Jar": "command-runner.jar", "Args": ["spark-submit", "main.py"]}
    return {"Name": name, "ActionOnFailure": "CONTINUE", "HadoopJarStep": jar} | members


def _started(emr: PretendEmr, **members: Any) -> str:
    """A cluster that is ready."""
    cluster_id = emr.client.run_job_flow(**(CLUSTER | members))["JobFlowId"]
    emr.after()
    return cluster_id


def _added(emr: PretendEmr, cluster_id: str, *steps: dict[str, Any]) -> list[str]:
    added = emr.client.add_job_flow_steps(JobFlowId=cluster_id, Steps=list(steps) or [_step()])["StepIds"]
    emr.after()
    return added


def _state(emr: PretendEmr, cluster_id: str) -> str:
    return emr.client.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]["State"]


def _states(emr: PretendEmr, cluster_id: str) -> list[str]:
    """Of the steps, oldest first."""
    pages = emr.client.get_paginator("list_steps").paginate(ClusterId=cluster_id)
    return [step["Status"]["State"] for page in pages for step in page["Steps"]][::-1]


def _code(raised: pytest.ExceptionInfo[ClientError]) -> str:
    return raised.value.response["Error"]["Code"]


def test_the_validator_sees_what_does_not_fit_the_model() -> None:
    """Missing and unknown members, wrong types, values outside an enumeration, a length or a pattern are problems."""
    assert output_problems("ListSteps", {"Steps": [{"Status": {"State": "RUNNING", "Timeline": {}}}]}) == []
    wrong = {"Steps": [{"Id": 1, "Status": {"State": "ALIVE", "Timeline": {"StartDateTime": "now"}}, "New": ""}]}
    assert [problem.split(":")[0] for problem in output_problems("ListSteps", wrong)] == [
        ".Steps[0].Id",
        ".Steps[0].Status.State",
        ".Steps[0].Status.Timeline.StartDateTime",
        ".Steps[0].New",
    ]
    assert input_problems("ListSteps", {}) == [".ClusterId: missing"]
    assert input_problems("CancelSteps", {"ClusterId": "j-1", "StepIds": ["\0"]})
    assert input_problems("CancelSteps", {"ClusterId": "j-1", "StepIds": ["s-😀"]}) == []
    assert input_problems("DescribeCluster", {"ClusterId": "j" * 257})
    assert output_problems("DescribeCluster", {"Cluster": {"StepConcurrencyLevel": True, "AutoTerminate": 1}})
    assert output_problems("TerminateJobFlows", {})
    assert error_problems("InvalidRequestException", {"message": "in small letters"})


def test_a_cluster_takes_its_time_and_waits_for_steps() -> None:
    """STARTING, BOOTSTRAPPING, WAITING, each for as long as the delays say; the timeline tells."""
    emr = PretendEmr(Delays(starting=60, bootstrapping=30))
    cluster_id = _started(emr)
    assert _state(emr, cluster_id) == "STARTING"
    emr.after(59)
    assert _state(emr, cluster_id) == "STARTING"
    emr.after(1)
    assert _state(emr, cluster_id) == "BOOTSTRAPPING"
    emr.after(30)
    described = emr.client.describe_cluster(ClusterId=cluster_id)["Cluster"]
    assert described["Status"]["State"] == "WAITING"
    assert {name: at.timestamp() - NOON for name, at in described["Status"]["Timeline"].items()} == {
        "CreationDateTime": 0,
        "ReadyDateTime": 90,
    }


def test_a_cluster_is_described_as_it_was_asked_for(emr: PretendEmr) -> None:
    """DescribeCluster gives back what RunJobFlow got, under the names that it has there; tags can be changed."""
    cluster_id = _started(emr, StepConcurrencyLevel=2)
    emr.client.add_tags(ResourceId=cluster_id, Tags=[{"Key": "stocketl-intent", "Value": "0a1b2c3d"}])
    emr.client.remove_tags(ResourceId=cluster_id, TagKeys=["stocketl", "none"])
    described = emr.client.describe_cluster(ClusterId=cluster_id)["Cluster"]
    same = ("Name", "ReleaseLabel", "LogUri", "Applications", "Configurations", "ServiceRole")
    assert {name: described[name] for name in same} == {name: CLUSTER[name] for name in same}
    assert described["Ec2InstanceAttributes"] == {"Ec2SubnetId": "subnet-1", "IamInstanceProfile": "instances"}
    assert described["Tags"] == [{"Key": "stocketl-intent", "Value": "0a1b2c3d"}]
    assert (described["AutoTerminate"], described["TerminationProtected"]) == (False, False)
    assert (described["StepConcurrencyLevel"], described["InstanceCollectionType"]) == (2, "INSTANCE_GROUP")


def test_steps_run_in_order_as_many_at_once_as_the_cluster_allows(emr: PretendEmr) -> None:
    """One at a time by default, the next when one has ended; StepConcurrencyLevel allows more."""
    one, two = _started(emr), _started(emr, StepConcurrencyLevel=2)
    _added(emr, one, *map(_step, "abc"))
    _added(emr, two, *map(_step, "abc"))
    assert _states(emr, one) == ["RUNNING", "PENDING", "PENDING"]
    assert _states(emr, two) == ["RUNNING", "RUNNING", "PENDING"]
    for process in emr.processes.running:
        process.end()
    emr.after()
    assert _states(emr, one) == ["COMPLETED", "RUNNING", "PENDING"]
    assert _states(emr, two) == ["COMPLETED", "COMPLETED", "RUNNING"]
    assert _state(emr, two) == "RUNNING"
    emr.processes.running[-1].end(1)
    emr.after()
    assert _states(emr, two)[-1] == "FAILED"
    assert _state(emr, two) == "WAITING"


def test_a_step_is_described_from_its_start_to_its_failure() -> None:
    """Configuration, times and, where it failed, where its log lies."""
    emr = PretendEmr(Delays(pending=5, ending=7))
    cluster_id = _started(emr)
    (step_id,) = _added(emr, cluster_id, _step("mine"))
    emr.after(5)
    emr.processes.running[0].end(1)
    for _ in range(2):
        emr.after(6)
        emr.after(1)
    described = emr.client.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]
    times = {name: at.timestamp() - NOON for name, at in described["Status"].pop("Timeline").items()}
    assert times == {"CreationDateTime": 0, "StartDateTime": 5, "EndDateTime": 18}
    assert described == {
        "Id": step_id,
        "Name": "mine",
        "ActionOnFailure": "CONTINUE",
        "Config": {"Jar": "command-runner.jar", "Properties": {}, "Args": ["spark-submit", "main.py"]},
        "LogUri": "s3://logs/emr/",
        "Status": {
            "State": "FAILED",
            "StateChangeReason": {},
            "FailureDetails": {
                "Reason": "Unknown Error",
                "Message": "The step's process ended with 1",
                "LogFile": f"s3://logs/emr/{cluster_id}/steps/{step_id}/stderr.gz",
            },
        },
    }


def test_steps_are_listed_newest_first_fifty_to_a_page(emr: PretendEmr) -> None:
    """A marker names a place that steps added meanwhile do not move; the last page has none."""
    cluster_id = _started(emr)
    ids = [step_id for _ in range(12) for step_id in _added(emr, cluster_id, *[_step()] * 10)][::-1]
    first = emr.client.list_steps(ClusterId=cluster_id)
    assert [step["Id"] for step in first["Steps"]] == ids[:50]
    _added(emr, cluster_id)
    second = emr.client.list_steps(ClusterId=cluster_id, Marker=first["Marker"])
    third = emr.client.list_steps(ClusterId=cluster_id, Marker=second["Marker"])
    assert [step["Id"] for step in second["Steps"] + third["Steps"]] == ids[50:]
    assert "Marker" not in third
    assert len(_states(emr, cluster_id)) == 121


def test_filtered_steps_are_not_newest_first(emr: PretendEmr) -> None:
    """EMR promises its order only without filters; a step that changes its state between two pages loses nothing."""
    cluster_id = _started(emr)
    ids = _added(emr, cluster_id, *[_step()] * 60)
    pending = emr.client.list_steps(ClusterId=cluster_id, StepStates=["PENDING", "CANCEL_PENDING"])
    assert [step["Id"] for step in pending["Steps"]] == ids[1:51]
    emr.client.cancel_steps(ClusterId=cluster_id, StepIds=ids[49:52])
    rest = emr.client.list_steps(ClusterId=cluster_id, StepStates=["PENDING"], Marker=pending["Marker"])
    assert [step["Id"] for step in rest["Steps"]] == ids[52:]
    some = emr.client.list_steps(ClusterId=cluster_id, StepIds=[ids[7], ids[3]])
    assert {step["Id"] for step in some["Steps"]} == {ids[3], ids[7]}
    with pytest.raises(ClientError) as raised:
        emr.client.list_steps(ClusterId=cluster_id, StepIds=ids[:11])
    assert _code(raised) == "InvalidRequestException"


def test_clusters_are_listed_fifty_to_a_page_by_state_and_time(emr: PretendEmr) -> None:
    """Terminated ones too; the filters of ListClusters leave out what they should."""
    ids = []
    for _ in range(120):
        ids.append(_started(emr))
        emr.after(1)
    emr.client.terminate_job_flows(JobFlowIds=ids[:10])
    emr.after()
    pages = list(emr.client.get_paginator("list_clusters").paginate())
    assert [len(page["Clusters"]) for page in pages] == [50, 50, 20]
    assert sorted(cluster["Id"] for page in pages for cluster in page["Clusters"]) == sorted(ids)
    gone = emr.client.list_clusters(ClusterStates=["TERMINATED"], CreatedAfter=NOON + 2, CreatedBefore=NOON + 5)
    assert {cluster["Id"] for cluster in gone["Clusters"]} == set(ids[2:6])
    assert gone["Clusters"][0]["Status"]["StateChangeReason"] == {
        "Code": "USER_REQUEST",
        "Message": "Terminated by user request",
    }


def test_what_is_new_is_listed_late_but_described_at_once() -> None:
    """Listings lag behind by the delay for them."""
    emr = PretendEmr(Delays(listing=10))
    cluster_id = _started(emr)
    (step_id,) = _added(emr, cluster_id)
    assert emr.client.list_clusters()["Clusters"] == []
    assert emr.client.list_steps(ClusterId=cluster_id)["Steps"] == []
    assert emr.client.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]["Status"]["State"] == "RUNNING"
    emr.after(10)
    assert len(emr.client.list_clusters()["Clusters"]) == len(_states(emr, cluster_id)) == 1


def test_a_cancelled_step_keeps_its_place_until_its_process_has_ended(emr: PretendEmr) -> None:
    """PENDING is cancelled at once; RUNNING after SIGTERM, which may take as long as it likes, or SIGKILL."""
    cluster_id = _started(emr)
    first, second, third = _added(emr, cluster_id, *map(_step, "abc"))
    emr.processes.started[0].stubborn = True
    told = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[first, second])["CancelStepsInfoList"]
    assert told == [{"StepId": step_id, "Status": "SUBMITTED"} for step_id in (first, second)]
    emr.after(3_600)
    assert _states(emr, cluster_id) == ["CANCEL_PENDING", "CANCELLED", "PENDING"]
    kill = {"StepCancellationOption": "TERMINATE_PROCESS"}
    emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[first], **kill)
    emr.after()
    assert _states(emr, cluster_id) == ["CANCELLED", "CANCELLED", "RUNNING"]
    emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[third])
    assert emr.processes.started[1].code == 143
    (told,) = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[first])["CancelStepsInfoList"]
    assert told["Status"] == "FAILED"


def test_emr_may_refuse_to_cancel_twice(emr: PretendEmr) -> None:
    """With that fault a step that ignores SIGTERM can no longer be killed by its id."""
    emr.faults.change(refuse_second_cancel=True)
    cluster_id = _started(emr)
    (step_id,) = _added(emr, cluster_id)
    emr.processes.started[0].stubborn = True
    emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id])
    again = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id], StepCancellationOption="TERMINATE_PROCESS")
    assert again["CancelStepsInfoList"][0]["Status"] == "FAILED"
    assert emr.processes.started[0].code is None


def test_a_protected_cluster_does_not_terminate_on_request(emr: PretendEmr) -> None:
    """TerminateJobFlows is refused until the protection is taken away; then the steps are cancelled and die."""
    instances = CLUSTER["Instances"] | {"TerminationProtected": True}
    cluster_id = _started(emr, Instances=instances)
    _added(emr, cluster_id, *map(_step, "ab"))
    with pytest.raises(ClientError, match="termination protected"):
        emr.client.terminate_job_flows(JobFlowIds=[cluster_id])
    assert _state(emr, cluster_id) == "RUNNING"
    emr.client.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
    emr.client.terminate_job_flows(JobFlowIds=[cluster_id])
    assert _state(emr, cluster_id) == "TERMINATING"
    assert _states(emr, cluster_id) == ["CANCELLED", "CANCELLED"]
    assert [process.code for process in emr.processes.started] == [137]
    emr.after()
    assert _state(emr, cluster_id) == "TERMINATED"


def test_processes_may_outlive_their_cluster() -> None:
    """With `lingering` the old driver still works while EMR already says that its cluster is going."""
    emr = PretendEmr(Delays(lingering=60, terminating=10))
    cluster_id = _started(emr)
    _added(emr, cluster_id)
    emr.client.terminate_job_flows(JobFlowIds=[cluster_id])
    emr.after(10)
    assert _state(emr, cluster_id) == "TERMINATED"
    assert len(emr.processes.running) == 1
    emr.after(50)
    assert emr.processes.running == []


@pytest.mark.parametrize("left", ["FAILED", "CANCELLED", "INTERRUPTED"])
def test_a_cluster_that_dies_takes_its_steps_with_it(emr: PretendEmr, left: str) -> None:
    """Protected or not: what ran is left in one of three states, what waited is cancelled, the processes are killed."""
    cluster_id = _started(emr, Instances=CLUSTER["Instances"] | {"TerminationProtected": True})
    _added(emr, cluster_id, *map(_step, "ab"))
    emr.kill_cluster(cluster_id, left=left)
    emr.after()
    assert _states(emr, cluster_id) == [left, "CANCELLED"]
    assert [process.code for process in emr.processes.started] == [137]
    status = emr.client.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED_WITH_ERRORS", "INSTANCE_FAILURE")
    published = [event["detail"]["state"] for event in emr.seen if "stepId" in event["detail"]]
    assert published.count(left) == {"FAILED": 1, "CANCELLED": 2, "INTERRUPTED": 0}[left]
    assert emr.faults.counts["kill_cluster"] == 1


@pytest.mark.parametrize(
    ("action", "cluster", "next_step"),
    [
        ("CONTINUE", "RUNNING", "RUNNING"),
        ("CANCEL_AND_WAIT", "WAITING", "CANCELLED"),
        ("TERMINATE_CLUSTER", "TERMINATED_WITH_ERRORS", "CANCELLED"),
    ],
)
def test_a_failed_step_does_to_its_cluster_what_it_was_added_with(
    emr: PretendEmr, action: str, cluster: str, next_step: str
) -> None:
    """ActionOnFailure: go on, cancel the others, or shut down."""
    cluster_id = _started(emr)
    first, _ = _added(emr, cluster_id, _step("a", ActionOnFailure=action), _step("b"))
    emr.kill_step(first)
    emr.after()
    emr.after()
    assert _states(emr, cluster_id) == ["FAILED", next_step]
    assert _state(emr, cluster_id) == cluster


def test_a_cluster_that_is_not_kept_alive_ends_with_its_steps(emr: PretendEmr) -> None:
    """ALL_STEPS_COMPLETED, with steps given to RunJobFlow itself."""
    instances = {k: v for k, v in CLUSTER["Instances"].items() if k != "KeepJobFlowAliveWhenNoSteps"}
    cluster_id = _started(emr, Instances=instances, Steps=[_step()])
    assert _states(emr, cluster_id) == ["RUNNING"]
    emr.processes.running[0].end()
    emr.after()
    status = emr.client.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED", "ALL_STEPS_COMPLETED")


def test_steps_that_emr_would_not_take_are_refused(emr: PretendEmr) -> None:
    """No cluster, a cluster that is going, too many or too long steps, the wrong action where several run at once."""
    big = _step(HadoopJarStep={"Jar": "command-runner.jar", "Args": ["x" * 5_200, "y" * 5_200]})
    gone, full, shared = _started(emr), _started(emr), _started(emr, StepConcurrencyLevel=2)
    emr.client.terminate_job_flows(JobFlowIds=[gone])
    _added(emr, full, *[_step()] * 256)
    refused = {
        "j-NONE": ([_step()], "does not exist"),
        gone: ([_step()], "may not be modified"),
        full: ([_step()], "Maximum number of active steps"),
        shared: ([_step(ActionOnFailure="TERMINATE_CLUSTER")], "CONTINUE"),
    }
    for cluster_id, (steps, told) in refused.items():
        with pytest.raises(ClientError, match=told) as raised:
            emr.client.add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)
        assert _code(raised) == "ValidationException"
    with pytest.raises(ClientError, match="10418 characters"):
        emr.client.add_job_flow_steps(JobFlowId=shared, Steps=[big])
    assert _states(emr, shared) == []


def test_requests_that_emr_would_not_take_are_refused(emr: PretendEmr) -> None:
    """Unknown clusters, steps, markers, operations and values have the errors of EMR."""
    cluster_id = _started(emr)
    refused: list[tuple[str, dict[str, Any], str]] = [
        ("describe_cluster", {"ClusterId": "j-NONE"}, "InvalidRequestException"),
        ("describe_step", {"ClusterId": cluster_id, "StepId": "s-NONE"}, "InvalidRequestException"),
        ("list_steps", {"ClusterId": cluster_id, "Marker": "nonsense"}, "InvalidRequestException"),
        ("list_steps", {"ClusterId": cluster_id, "StepStates": ["ALIVE"]}, "ValidationException"),
        ("terminate_job_flows", {"JobFlowIds": ["j-NONE"]}, "ValidationException"),
        ("list_studios", {}, "UnknownOperationException"),
    ]
    for method, request, code in refused:
        with pytest.raises(ClientError) as raised:
            getattr(emr.client, method)(**request)
        assert _code(raised) == code, method
    assert answer(emr, "ElasticMapReduce.ListSteps", b"{")[0] == 400
    assert answer(emr, "Elastic.ListSteps", b"{}")[0] == 400


def test_step_events_are_those_of_emr(emr: PretendEmr) -> None:
    """The document of a failed step is the one in EMR's documentation, apart from its ids and times."""
    cluster_id = _started(emr)
    (step_id,) = _added(emr, cluster_id)
    emr.processes.running[0].end(1)
    emr.after(3_600)
    event = emr.seen[-2]
    assert len(event.pop("id")) == 36
    assert event == {
        "version": "0",
        "detail-type": "EMR Step Status Change",
        "source": "aws.emr",
        "account": "123456789012",
        "time": "2023-11-14T23:13:20Z",
        "region": "us-east-1",
        "resources": [],
        "detail": {
            "severity": "ERROR",
            "actionOnFailure": "CONTINUE",
            "stepId": step_id,
            "name": "CustomJAR",
            "clusterId": cluster_id,
            "state": "FAILED",
            "message": f"Step {step_id} (CustomJAR) in Amazon EMR cluster {cluster_id} (Development Cluster) "
            "failed at 2023-11-14 23:13 UTC.",
        },
    }
    assert [seen["detail"]["state"] for seen in emr.seen] == [
        *("STARTING", "WAITING", "PENDING", "RUNNING", "RUNNING", "FAILED", "WAITING")
    ]


def test_cluster_events_are_those_of_emr(emr: PretendEmr) -> None:
    """The document of a terminated cluster is the one in EMR's documentation, apart from its ids and times."""
    cluster_id = _started(emr)
    emr.client.terminate_job_flows(JobFlowIds=[cluster_id])
    emr.after()
    event = emr.seen[-1]
    assert event["detail-type"] == "EMR Cluster State Change"
    assert event["detail"] == {
        "severity": "INFO",
        "stateChangeReason": '{"code":"USER_REQUEST","message":"Terminated by user request"}',
        "name": "Development Cluster",
        "clusterId": cluster_id,
        "state": "TERMINATED",
        "message": f"Amazon EMR Cluster {cluster_id} (Development Cluster) has terminated at 2023-11-14 22:13 UTC "
        "with a reason of USER_REQUEST.",
    }
    assert emr.seen[0]["detail"]["stateChangeReason"] == '{"code":""}'


def test_events_get_lost_repeated_late_and_overtaken() -> None:
    """Each of these happens about as often as asked for, and is counted."""
    emr = PretendEmr(
        Delays(events=1), Faults(7, lose_event=0.2, repeat_event=0.2, delay_event=0.2, swap_event=0.2, longest_delay=50)
    )
    cluster_id = _started(emr)
    for _ in range(100):
        _added(emr, cluster_id)
        emr.processes.running[0].end()
        emr.after(1)
    assert emr.events.waiting
    emr.after(51)
    assert emr.events.waiting == 0
    counts, published = emr.faults.counts, 2 + 5 * 100
    assert len(emr.seen) == published - counts["lose_event"] + counts["repeat_event"]
    ids = [event["id"] for event in emr.seen]
    assert len(ids) - len(set(ids)) == counts["repeat_event"]
    assert all(counts[fault] > 50 for fault in ("lose_event", "repeat_event", "delay_event", "swap_event"))
    assert counts["overtaken_event"] > 50
    assert counts["lose_event"] == sum(
        counts[f"lose_event EMR {what} Change"] for what in ("Step Status", "Cluster State")
    )


def test_an_event_may_call_emr(emr: PretendEmr) -> None:
    """The sink runs outside of all locks, as a Lambda that the event starts would."""

    def add_another(event: dict[str, Any]) -> None:
        if event["detail"]["state"] == "FAILED":
            emr.client.add_job_flow_steps(JobFlowId=event["detail"]["clusterId"], Steps=[_step("next")])

    emr.events._sink = add_another  # noqa: SLF001 - the one of the fixture only remembers
    cluster_id = _started(emr)
    (step_id,) = _added(emr, cluster_id)
    emr.kill_step(step_id)
    emr.after()
    emr.after()
    assert _states(emr, cluster_id) == ["FAILED", "RUNNING"]


def test_calls_are_throttled_and_fail_by_chance() -> None:
    """About as often as asked for, without effect, and counted by operation."""
    emr = PretendEmr(faults=Faults(3, throttle=0.2, fail=0.1, quota=0.1))
    codes = []
    for _ in range(200):
        try:
            emr.client.run_job_flow(**CLUSTER)
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert len(emr.clusters) == 200 - len(codes)
    assert {code: codes.count(code) for code in set(codes)} == {
        "ThrottlingException": emr.faults.counts["throttle"],
        "InternalFailure": emr.faults.counts["fail RunJobFlow"],
        "ValidationException": emr.faults.counts["quota"],
    }
    assert all(10 < emr.faults.counts[fault] < 60 for fault in ("throttle", "fail", "quota"))
    emr.faults.heal()
    for _ in range(20):
        emr.client.list_clusters()


def test_an_answer_that_is_lost_is_of_a_call_that_took_effect() -> None:
    """The client sees a cut connection, a 500 or a throttling; the cluster is there."""
    emr = PretendEmr(faults=Faults(1, lose_answer=1.0))
    raised = set()
    for _ in range(20):
        with pytest.raises((ClientError, ConnectionClosedError)) as error:
            emr.client.run_job_flow(**CLUSTER)
        lost = error.value
        raised.add(lost.response["Error"]["Code"] if isinstance(lost, ClientError) else "cut")
    assert raised == {"cut", "InternalFailure", "ThrottlingException"}
    assert len(emr.clusters) == emr.faults.counts["lose_answer RunJobFlow"] == 20
    with pytest.raises(ClientError, match="does not exist"):
        emr.client.add_job_flow_steps(JobFlowId="j-NONE", Steps=[_step()])
    assert emr.faults.counts["lose_answer"] == 20


def test_the_retries_of_boto3_make_two_clusters_of_one_lost_answer(emr: PretendEmr) -> None:
    """RunJobFlow and AddJobFlowSteps have no client token: whoever calls them must turn the retries off."""
    emr.faults.once("RunJobFlow", "lose_answer")
    retrying = direct_client(lambda: emr, retries={"mode": "standard", "total_max_attempts": 2})
    retrying.run_job_flow(**CLUSTER)
    assert len(emr.clusters) == 2
    emr.faults.once("RunJobFlow", "lose_answer")
    with pytest.raises((ClientError, ConnectionClosedError)):
        emr.client.run_job_flow(**CLUSTER)
    assert len(emr.clusters) == 3


def test_a_doomed_cluster_never_gets_ready(emr: PretendEmr) -> None:
    """Over the quota of EC2 it ends from STARTING, with a broken bootstrap action from BOOTSTRAPPING."""
    for code, last in (("VALIDATION_ERROR", "STARTING"), ("BOOTSTRAP_FAILURE", "BOOTSTRAPPING")):
        emr.faults.doom_next(code)
        cluster_id = _started(emr, Steps=[_step()])
        states = [state for _, one, state in emr.history if one == cluster_id]
        assert states[-3:] == [last, "TERMINATING", "TERMINATED_WITH_ERRORS"]
        assert _states(emr, cluster_id) == ["CANCELLED"]
        assert json.loads(emr.seen[-1]["detail"]["stateChangeReason"])["code"] == code
    assert emr.faults.counts["doom"] == 2
    assert _state(emr, _started(emr)) == "WAITING"


def test_a_cancellation_may_do_nothing(emr: PretendEmr) -> None:
    """CancelSteps "does not guarantee that a step will be canceled, even if the request is successfully submitted"."""
    emr.faults.change(ignore_cancel=1.0)
    cluster_id = _started(emr)
    (step_id,) = _added(emr, cluster_id)
    told = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id])["CancelStepsInfoList"]
    assert told[0]["Status"] == "SUBMITTED"
    emr.after()
    assert _states(emr, cluster_id) == ["RUNNING"]
    assert emr.faults.counts["ignore_cancel"] == 1


def test_only_faults_that_exist_can_be_changed(emr: PretendEmr) -> None:
    """A misspelt fault would never fire."""
    with pytest.raises(ValueError, match="throtle"):
        emr.faults.change(throtle=0.5)


_LEGAL = {
    None: {"PENDING", "STARTING"},
    "PENDING": {"RUNNING", "CANCELLED", "FAILED"},
    "RUNNING": {"COMPLETED", "FAILED", "CANCELLED", "INTERRUPTED", "CANCEL_PENDING", "WAITING", "TERMINATING"},
    "CANCEL_PENDING": {"CANCELLED", "FAILED", "INTERRUPTED"},
    "STARTING": {"BOOTSTRAPPING", "TERMINATING"},
    "BOOTSTRAPPING": {"RUNNING", "WAITING", "TERMINATING"},
    "WAITING": {"RUNNING", "TERMINATING"},
    "TERMINATING": {"TERMINATED", "TERMINATED_WITH_ERRORS"},
}
_ACTIONS = ("run", "add", "cancel", "kill", "terminate", "die", "end", "wait", "list")


def _act(emr: PretendEmr, action: str, pick: int) -> None:
    clusters, steps = sorted(emr.clusters), emr.steps()
    cluster_id = clusters[pick % len(clusters)] if clusters else "j-NONE"
    step_id = steps[pick % len(steps)].id if steps else "s-NONE"
    option = ("SEND_INTERRUPT", "TERMINATE_PROCESS")[pick % 2]
    calls: dict[str, tuple[str, dict[str, Any]]] = {
        "run": ("RunJobFlow", CLUSTER | {"StepConcurrencyLevel": 1 + pick % 3}),
        "add": ("AddJobFlowSteps", {"JobFlowId": cluster_id, "Steps": [_step()] * (1 + pick % 3)}),
        "cancel": ("CancelSteps", {"ClusterId": cluster_id, "StepIds": [step_id], "StepCancellationOption": option}),
        "terminate": ("TerminateJobFlows", {"JobFlowIds": [cluster_id]}),
        "list": ("ListSteps", {"ClusterId": cluster_id}),
    }
    running = emr.processes.running
    if action in calls:
        emr.call(*calls[action])
    elif action == "die" and clusters:
        emr.kill_cluster(cluster_id)
    elif action == "end" and running:
        running[pick % len(running)].end(pick % 2)
    elif action == "kill" and running:
        running[pick % len(running)].kill()
    emr.after(pick if action == "wait" else 0)


@settings(deadline=None, max_examples=60)
@given(seed=st.integers(0, 99), actions=st.lists(st.tuples(st.sampled_from(_ACTIONS), st.integers(0, 40)), max_size=60))
def test_whatever_happens_states_follow_each_other_as_they_may(seed: int, actions: list[tuple[str, int]]) -> None:
    """Never more processes than places, none without a running step; the same seed and calls give the same history."""

    def lived() -> PretendEmr:
        delays = Delays(starting=5, bootstrapping=3, pending=2, cancelling=1, ending=1, terminating=4, events=1)
        emr = PretendEmr(delays, Faults(seed, throttle=0.05, lose_answer=0.05, doom=0.1, ignore_cancel=0.1))
        for action, pick in actions:
            with contextlib.suppress(EmrError, ConnectionCut):
                _act(emr, action, pick)
            for cluster in emr.clusters.values():
                places = [step for step in cluster.steps if step.occupies]
                assert len(places) <= cluster.concurrency
            assert len(emr.processes.running) <= sum(step.occupies for step in emr.steps())
        return emr

    emr = lived()
    last: dict[str, str] = {}
    for _, one, state in emr.history:
        assert state in _LEGAL[last.get(one)], (one, last.get(one), state)
        last[one] = state
    assert lived().history == emr.history
