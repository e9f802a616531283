"""The local EMR behaves as EMR's documents say, answers as botocore's model says, and breaks as its faults say."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError
from emr_records import Delays
from emr_shapes import error_problems, input_problems, output_problems
from emr_wire import answer
from fixture_emr import CLUSTER, NOON, PretendEmr, a_step


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
    cluster_id = emr.start()
    assert emr.state_of(cluster_id) == "STARTING"
    emr.after(59)
    assert emr.state_of(cluster_id) == "STARTING"
    emr.after(1)
    assert emr.state_of(cluster_id) == "BOOTSTRAPPING"
    emr.after(30)
    described = emr.client.describe_cluster(ClusterId=cluster_id)["Cluster"]
    assert described["Status"]["State"] == "WAITING"
    assert {name: at.timestamp() - NOON for name, at in described["Status"]["Timeline"].items()} == {
        "CreationDateTime": 0,
        "ReadyDateTime": 90,
    }


def test_a_cluster_is_described_as_it_was_asked_for(emr: PretendEmr) -> None:
    """DescribeCluster gives back what RunJobFlow got, under the names that it has there; tags can be changed."""
    cluster_id = emr.start(StepConcurrencyLevel=2)
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
    one, two = emr.start(), emr.start(StepConcurrencyLevel=2)
    emr.add(one, *map(a_step, "abc"))
    emr.add(two, *map(a_step, "abc"))
    assert emr.states_in(one) == ["RUNNING", "PENDING", "PENDING"]
    assert emr.states_in(two) == ["RUNNING", "RUNNING", "PENDING"]
    for process in emr.processes.running:
        process.end()
    emr.after()
    assert emr.states_in(one) == ["COMPLETED", "RUNNING", "PENDING"]
    assert emr.states_in(two) == ["COMPLETED", "COMPLETED", "RUNNING"]
    assert emr.state_of(two) == "RUNNING"
    emr.processes.running[-1].end(1)
    emr.after()
    assert emr.states_in(two)[-1] == "FAILED"
    assert emr.state_of(two) == "WAITING"


def test_a_step_is_described_from_its_start_to_its_failure() -> None:
    """Configuration, times and, where it failed, where its log lies."""
    emr = PretendEmr(Delays(pending=5, ending=7))
    cluster_id = emr.start()
    (step_id,) = emr.add(cluster_id, a_step("mine"))
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
    cluster_id = emr.start()
    ids = [step_id for _ in range(12) for step_id in emr.add(cluster_id, *[a_step()] * 10)][::-1]
    first = emr.client.list_steps(ClusterId=cluster_id)
    assert [step["Id"] for step in first["Steps"]] == ids[:50]
    emr.add(cluster_id)
    second = emr.client.list_steps(ClusterId=cluster_id, Marker=first["Marker"])
    third = emr.client.list_steps(ClusterId=cluster_id, Marker=second["Marker"])
    assert [step["Id"] for step in second["Steps"] + third["Steps"]] == ids[50:]
    assert "Marker" not in third
    assert len(emr.states_in(cluster_id)) == 121


def test_filtered_steps_are_not_newest_first(emr: PretendEmr) -> None:
    """EMR promises its order only without filters; a step that changes its state between two pages loses nothing."""
    cluster_id = emr.start()
    ids = emr.add(cluster_id, *[a_step()] * 60)
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
        ids.append(emr.start())
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
    cluster_id = emr.start()
    (step_id,) = emr.add(cluster_id)
    assert emr.client.list_clusters()["Clusters"] == []
    assert emr.client.list_steps(ClusterId=cluster_id)["Steps"] == []
    assert emr.client.describe_step(ClusterId=cluster_id, StepId=step_id)["Step"]["Status"]["State"] == "RUNNING"
    emr.after(10)
    assert len(emr.client.list_clusters()["Clusters"]) == len(emr.states_in(cluster_id)) == 1


def test_a_cancelled_step_keeps_its_place_until_its_process_has_ended(emr: PretendEmr) -> None:
    """PENDING is cancelled at once; RUNNING after SIGTERM, which may take as long as it likes, or SIGKILL."""
    cluster_id = emr.start()
    first, second, third = emr.add(cluster_id, *map(a_step, "abc"))
    emr.processes.started[0].stubborn = True
    told = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[first, second])["CancelStepsInfoList"]
    assert told == [{"StepId": step_id, "Status": "SUBMITTED"} for step_id in (first, second)]
    emr.after(3_600)
    assert emr.states_in(cluster_id) == ["CANCEL_PENDING", "CANCELLED", "PENDING"]
    kill = {"StepCancellationOption": "TERMINATE_PROCESS"}
    emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[first], **kill)
    emr.after()
    assert emr.states_in(cluster_id) == ["CANCELLED", "CANCELLED", "RUNNING"]
    emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[third])
    assert emr.processes.started[1].code == 143
    (told,) = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[first])["CancelStepsInfoList"]
    assert told["Status"] == "FAILED"


def test_emr_may_refuse_to_cancel_twice(emr: PretendEmr) -> None:
    """With that fault a step that ignores SIGTERM can no longer be killed by its id."""
    emr.faults.change(refuse_second_cancel=True)
    cluster_id = emr.start()
    (step_id,) = emr.add(cluster_id)
    emr.processes.started[0].stubborn = True
    emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id])
    again = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id], StepCancellationOption="TERMINATE_PROCESS")
    assert again["CancelStepsInfoList"][0]["Status"] == "FAILED"
    assert emr.processes.started[0].code is None


def test_a_protected_cluster_does_not_terminate_on_request(emr: PretendEmr) -> None:
    """TerminateJobFlows is refused until the protection is taken away; then the steps are cancelled and die."""
    instances = CLUSTER["Instances"] | {"TerminationProtected": True}
    cluster_id = emr.start(Instances=instances)
    emr.add(cluster_id, *map(a_step, "ab"))
    with pytest.raises(ClientError, match="termination protected"):
        emr.client.terminate_job_flows(JobFlowIds=[cluster_id])
    assert emr.state_of(cluster_id) == "RUNNING"
    emr.client.set_termination_protection(JobFlowIds=[cluster_id], TerminationProtected=False)
    emr.client.terminate_job_flows(JobFlowIds=[cluster_id])
    assert emr.state_of(cluster_id) == "TERMINATING"
    assert emr.states_in(cluster_id) == ["CANCELLED", "CANCELLED"]
    assert [process.code for process in emr.processes.started] == [137]
    emr.after()
    assert emr.state_of(cluster_id) == "TERMINATED"


def test_processes_may_outlive_their_cluster() -> None:
    """With `lingering` the old driver still works while EMR already says that its cluster is going."""
    emr = PretendEmr(Delays(lingering=60, terminating=10))
    cluster_id = emr.start()
    emr.add(cluster_id)
    emr.client.terminate_job_flows(JobFlowIds=[cluster_id])
    emr.after(10)
    assert emr.state_of(cluster_id) == "TERMINATED"
    assert len(emr.processes.running) == 1
    emr.after(50)
    assert emr.processes.running == []


@pytest.mark.parametrize("left", ["FAILED", "CANCELLED", "INTERRUPTED"])
def test_a_cluster_that_dies_takes_its_steps_with_it(emr: PretendEmr, left: str) -> None:
    """Protected or not: what ran is left in one of three states, what waited is cancelled, the processes are killed."""
    cluster_id = emr.start(Instances=CLUSTER["Instances"] | {"TerminationProtected": True})
    emr.add(cluster_id, *map(a_step, "ab"))
    emr.kill_cluster(cluster_id, left=left)
    emr.after()
    assert emr.states_in(cluster_id) == [left, "CANCELLED"]
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
    cluster_id = emr.start()
    first, _ = emr.add(cluster_id, a_step("a", ActionOnFailure=action), a_step("b"))
    emr.kill_step(first)
    emr.after()
    emr.after()
    assert emr.states_in(cluster_id) == ["FAILED", next_step]
    assert emr.state_of(cluster_id) == cluster


def test_a_cluster_that_is_not_kept_alive_ends_with_its_steps(emr: PretendEmr) -> None:
    """ALL_STEPS_COMPLETED, with steps given to RunJobFlow itself."""
    instances = {k: v for k, v in CLUSTER["Instances"].items() if k != "KeepJobFlowAliveWhenNoSteps"}
    cluster_id = emr.start(Instances=instances, Steps=[a_step()])
    assert emr.states_in(cluster_id) == ["RUNNING"]
    emr.processes.running[0].end()
    emr.after()
    status = emr.client.describe_cluster(ClusterId=cluster_id)["Cluster"]["Status"]
    assert (status["State"], status["StateChangeReason"]["Code"]) == ("TERMINATED", "ALL_STEPS_COMPLETED")


def test_steps_that_emr_would_not_take_are_refused(emr: PretendEmr) -> None:
    """No cluster, a cluster that is going, too many or too long steps, the wrong action where several run at once."""
    big = a_step(HadoopJarStep={"Jar": "command-runner.jar", "Args": ["x" * 5_200, "y" * 5_200]})
    gone, full, shared = emr.start(), emr.start(), emr.start(StepConcurrencyLevel=2)
    emr.client.terminate_job_flows(JobFlowIds=[gone])
    emr.add(full, *[a_step()] * 256)
    refused = {
        "j-NONE": ([a_step()], "does not exist"),
        gone: ([a_step()], "may not be modified"),
        full: ([a_step()], "Maximum number of active steps"),
        shared: ([a_step(ActionOnFailure="TERMINATE_CLUSTER")], "CONTINUE"),
    }
    for cluster_id, (steps, told) in refused.items():
        with pytest.raises(ClientError, match=told) as raised:
            emr.client.add_job_flow_steps(JobFlowId=cluster_id, Steps=steps)
        assert _code(raised) == "ValidationException"
    with pytest.raises(ClientError, match="10418 characters"):
        emr.client.add_job_flow_steps(JobFlowId=shared, Steps=[big])
    assert emr.states_in(shared) == []


def test_requests_that_emr_would_not_take_are_refused(emr: PretendEmr) -> None:
    """Unknown clusters, steps, markers, operations and values have the errors of EMR."""
    cluster_id = emr.start()
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
