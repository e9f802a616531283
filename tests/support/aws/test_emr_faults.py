"""The local EMR publishes EMR's events, and goes wrong as often as it is asked to."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError
from emr_direct import direct_client
from emr_faults import ConnectionCut, EmrError, Faults
from emr_records import Delays
from fixture_emr import CLUSTER, PretendEmr, a_step
from hypothesis import given, settings
from hypothesis import strategies as st


def test_step_events_are_those_of_emr(emr: PretendEmr) -> None:
    """The document of a failed step is the one in EMR's documentation, apart from its ids and times."""
    cluster_id = emr.start()
    (step_id,) = emr.add(cluster_id)
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
    cluster_id = emr.start()
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
    cluster_id = emr.start()
    for _ in range(100):
        emr.add(cluster_id)
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
            emr.client.add_job_flow_steps(JobFlowId=event["detail"]["clusterId"], Steps=[a_step("next")])

    emr.events._sink = add_another  # noqa: SLF001 - the one of the fixture only remembers
    cluster_id = emr.start()
    (step_id,) = emr.add(cluster_id)
    emr.kill_step(step_id)
    emr.after()
    emr.after()
    assert emr.states_in(cluster_id) == ["FAILED", "RUNNING"]


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
        emr.client.add_job_flow_steps(JobFlowId="j-NONE", Steps=[a_step()])
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
        cluster_id = emr.start(Steps=[a_step()])
        states = [state for _, one, state in emr.history if one == cluster_id]
        assert states[-3:] == [last, "TERMINATING", "TERMINATED_WITH_ERRORS"]
        assert emr.states_in(cluster_id) == ["CANCELLED"]
        assert json.loads(emr.seen[-1]["detail"]["stateChangeReason"])["code"] == code
    assert emr.faults.counts["doom"] == 2
    assert emr.state_of(emr.start()) == "WAITING"


def test_a_cancellation_may_do_nothing(emr: PretendEmr) -> None:
    """CancelSteps "does not guarantee that a step will be canceled, even if the request is successfully submitted"."""
    emr.faults.change(ignore_cancel=1.0)
    cluster_id = emr.start()
    (step_id,) = emr.add(cluster_id)
    told = emr.client.cancel_steps(ClusterId=cluster_id, StepIds=[step_id])["CancelStepsInfoList"]
    assert told[0]["Status"] == "SUBMITTED"
    emr.after()
    assert emr.states_in(cluster_id) == ["RUNNING"]
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
        "add": ("AddJobFlowSteps", {"JobFlowId": cluster_id, "Steps": [a_step()] * (1 + pick % 3)}),
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
