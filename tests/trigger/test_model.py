"""The trigger against everything that may happen, in any order: see `TriggerMachine`."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError
from emr_records import Delays
from extent import extent
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from stage import BUCKET, LAMBDA_SECONDS, PERIOD, STEP, Stage
from trigger.memory import load

HOUR = 3600.0
STARTS_CLUSTER = 60.0 + 120.0
ACTIONS = ("RunJobFlow", "AddJobFlowSteps", "CancelSteps", "TerminateJobFlows")
EMR_TROUBLE = [(action, fault) for action in ACTIONS for fault in ("throttle", "fail", "lose_answer", "lose_answer")]
EMR_TROUBLE += [("ListClusters", "throttle"), ("ListSteps", "fail")]
DRIVER = ("dies", "ends", "freezes", "freezes", "wakes up")
MINUTES = st.sampled_from([0, 0, 1, 3, 9])
MEMORY, REPLACE_CLUSTER = "control/trigger.json", "control/replace-cluster"
GARBAGE = ("garbage", "[]", '{"time": "2026-03-02"}', '{"time": "2999-01-01T00:00:00Z", "step": null}')


class TriggerMachine(RuleBasedStateMachine):
    """Invocations that overlap and die between any two calls, answers that get lost, drivers that die, freeze and wake
    up, clusters that die, markers, new versions.

    At any time: never two good steps, never two clusters, never more starts in an hour than allowed. And whenever the
    trouble ends: exactly one good step within the stated time, nothing else left alive, and so it stays.
    """

    @initialize(
        listing=st.sampled_from([0.0, 20.0, 90.0]),
        cancelling=st.sampled_from([0.0, 10.0]),
        ending=st.sampled_from([0.0, 20.0]),
        lingering=st.sampled_from([0.0, 40.0]),
        max_starts=st.sampled_from(["3", "6"]),
        minutes=st.sampled_from([0, 3, 6, 6, 6]),
    )
    def begin(self, max_starts: str, minutes: int, **delays: float) -> None:
        times = Delays(starting=60.0, bootstrapping=120.0, terminating=60.0, pending=5.0, **delays)
        self.stage = Stage(delays=times, MAX_STARTS_PER_HOUR=max_starts)
        self.max_starts = int(max_starts)
        self.policy = self.stage.trigger()._policy  # noqa: SLF001 - the times that are promised
        self.by_hand: set[str] = set()
        self.meddled = False
        self.stage.run(minutes * PERIOD)

    # Invocations

    @precondition(lambda self: not self.stage.invocations)
    @rule(turns=st.lists(st.tuples(st.integers(0, 2), st.integers(1, 12)), max_size=12), wait=st.booleans())
    def three_invocations_at_once(self, turns: list[tuple[int, int]], *, wait: bool) -> None:
        """A burst of events: each in turn makes some of its calls."""
        three = [self.stage.begin() for _ in range(3)]
        for which, calls in turns:
            three[which].go_on(calls)
            if wait:
                self.stage.wait(1.0)
        for invocation in three:
            self._forgive(invocation.finish().error)
            self.never_too_much()

    @precondition(lambda self: len(self.stage.invocations) < 3)
    @rule(calls=st.integers(0, 20))
    def an_invocation_begins(self, calls: int) -> None:
        self.stage.begin().go_on(calls)

    @precondition(lambda self: self.stage.invocations)
    @rule(which=st.integers(0, 2), calls=st.integers(1, 6))
    def an_invocation_goes_on(self, which: int, calls: int) -> None:
        self._invocation(which).go_on(calls)

    @precondition(lambda self: self.stage.invocations)
    @rule(which=st.integers(0, 2), killed=st.booleans())
    def an_invocation_ends(self, which: int, *, killed: bool) -> None:
        invocation = self._invocation(which)
        invocation.kill() if killed else self._forgive(invocation.finish().error)

    @rule(minutes=st.integers(1, 12))
    def the_schedule_runs(self, minutes: int) -> None:
        for _ in range(minutes):
            self._invoke()
            self.stage.wait(PERIOD)
            self.never_too_much()

    @rule(seconds=st.sampled_from([1.0, 10.0, 30.0, 200.0, 1500.0]))
    def time_passes(self, seconds: float) -> None:
        self.stage.wait(seconds)

    # Trouble

    @rule(trouble=st.sampled_from(EMR_TROUBLE), minutes=MINUTES)
    def emr(self, trouble: tuple[str, str], minutes: int) -> None:
        self.stage.emr.faults.once(*trouble)
        self.the_schedule_runs(minutes)

    @rule(ignore=st.booleans(), refuse=st.booleans(), s3=st.sampled_from([[], ["lost"], ["down"], ["lost", "down"]]))
    def emr_and_s3(self, s3: list[str], *, ignore: bool, refuse: bool) -> None:
        """EMR does nothing about cancellations, or refuses the second one; S3 loses an answer, or is down."""
        self.stage.emr.faults.change(ignore_cancel=float(ignore), refuse_second_cancel=refuse)
        self.stage.s3.faults = list(s3)

    @precondition(lambda self: self.stage.running)
    @rule(
        what=st.sampled_from(["dies", "ends", "freezes", "freezes", "wakes up"]), oldest=st.booleans(), minutes=MINUTES
    )
    def a_driver(self, what: str, minutes: int, *, oldest: bool) -> None:
        driver = self.stage.running[0 if oldest else -1]
        if what in {"dies", "ends"}:
            driver.end(1 if what == "dies" else 0)
        driver.frozen = what == "freezes"
        self.the_schedule_runs(minutes)

    @rule(fate=st.sampled_from(["dies", "hangs"]), drivers=st.integers(1, 8))
    def drivers_to_come(self, fate: str, drivers: int) -> None:
        self.stage.fates = [fate] * drivers

    @rule(what=st.sampled_from(["dies", "VALIDATION_ERROR", "BOOTSTRAP_FAILURE", "quota"]))
    def the_cluster(self, what: str) -> None:
        faults = self.stage.emr.faults
        if what == "quota":
            faults.once("RunJobFlow", "quota")
        elif what != "dies":
            faults.doom_next(what)
        elif self.stage.clusters:
            self.stage.emr.kill_cluster(self.stage.clusters[0].id)

    @rule(text=st.sampled_from(GARBAGE))
    def the_heartbeat_is_garbage(self, text: str) -> None:
        self.stage.put("control/heartbeat.json", text)

    # People

    @rule(
        stop=st.sampled_from([False, False, True]),
        replace=st.sampled_from([None, "", "1.2.3\n", "1.2.4"]),
        cluster=st.sampled_from([None, None, None, ""]),
    )
    def the_markers(self, replace: str | None, cluster: str | None, *, stop: bool) -> None:
        markers = {"control/stop": "" if stop else None, "control/replace": replace, REPLACE_CLUSTER: cluster}
        for key, text in markers.items():
            self.stage.delete(key) if text is None else self.stage.put(key, text)

    @rule(version=st.sampled_from(["1.2.3", "1.2.4"]))
    def a_version_is_deployed(self, version: str) -> None:
        self.stage.deploy(version)

    @precondition(lambda self: any(c.state in {"RUNNING", "WAITING"} for c in self.stage.clusters))
    @rule()
    def somebody_adds_a_step(self) -> None:
        cluster = next(c for c in self.stage.clusters if c.state in {"RUNNING", "WAITING"})
        request = {"JobFlowId": cluster.id, "Steps": [STEP | {"Name": "stocketl 0.0.1 by hand"}]}
        self.stage.emr.faults._once.pop("AddJobFlowSteps", None)  # noqa: SLF001 - meant for the trigger
        self.by_hand |= set(self.stage.emr.call("AddJobFlowSteps", request)["StepIds"])
        self.meddled = True

    # What must hold

    @invariant()
    def never_too_much(self) -> None:
        if self.meddled:
            return
        stage = self.stage
        assert len(stage.good) <= 1, f"two good steps: {stage.emr.history}"
        assert len(stage.clusters) <= 1, f"two clusters: {stage.emr.history}"
        self._never_too_many([s.created for s in stage.emr.steps() if s.id not in self.by_hand])
        self._never_too_many([c.created for c in stage.emr.clusters.values()])

    @rule()
    def the_trouble_ends(self) -> None:
        self._end_the_trouble()
        started = self.stage.now
        limit = self._promise()
        while not self._settled():
            assert self.stage.now <= started + limit, self._state(f"not settled after {limit} s")
            self._invoke()
            self.stage.wait(PERIOD)
            self.never_too_much()
        self.meddled = False
        before = list(self.stage.emr.steps()), list(self.stage.emr.clusters)
        for _ in range(10):
            self._invoke()
            self.stage.wait(PERIOD)
            assert self._settled(), self._state("it does not stay so")
        assert (list(self.stage.emr.steps()), list(self.stage.emr.clusters)) == before, self._state("needless starts")

    def teardown(self) -> None:
        if not hasattr(self, "stage"):
            return
        try:
            self.the_trouble_ends()
        finally:
            for invocation in self.stage.invocations:
                invocation.kill()

    # How

    def _invocation(self, which: int) -> Any:
        return self.stage.invocations[which % len(self.stage.invocations)]

    def _invoke(self) -> None:
        try:
            self.stage.invoke()
        except Exception as error:  # noqa: BLE001 - judged there
            self._forgive(error)

    def _forgive(self, error: Exception | None) -> None:
        """Only what boto3 raises, which is a fault's doing."""
        if error is not None and not isinstance(error, ClientError | BotoCoreError):
            raise error

    def _never_too_many(self, times: list[float]) -> None:
        times = sorted(times)
        for first, last in zip(times, times[self.max_starts :], strict=False):
            assert last - first >= HOUR, f"more than {self.max_starts} starts in an hour: {times}"

    def _end_the_trouble(self) -> None:
        stage = self.stage
        stage.wait(LAMBDA_SECONDS + 1)  # what still runs is ended by Lambda
        if self.meddled:
            stage.wait(stage.emr.delays.listing)  # nobody can know before of what was not started by the trigger
        stage.emr.faults.heal()
        stage.emr.faults.change(refuse_second_cancel=False)
        stage.s3.faults.clear()
        stage.fates.clear()

    def _promise(self) -> float:
        """Seconds, from what the docstring of `decide` says, for all that can be wrong at once, one after the other."""
        p, now = self.policy, datetime.fromtimestamp(self.stage.now, UTC)
        stored = self.stage.s3.objects.get((BUCKET, MEMORY))
        starts = load(stored).starts if stored else {"step": (), "cluster": ()}
        recent = {kind: [at for at in times if at > now - p.memorable] for kind, times in starts.items()}
        unanswered = p.pending.total_seconds() + PERIOD
        silent = p.start.total_seconds() + p.stale.total_seconds() + 2 * PERIOD
        killed = 2 * (p.cancel.total_seconds() + 2 * PERIOD)  # two that do not end by themselves
        pause = p.longest_pause.total_seconds() + PERIOD
        cluster = 60.0 + PERIOD + STARTS_CLUSTER + PERIOD
        replaced = pause + 2 * PERIOD
        one_by_one = len(self.stage.live) * PERIOD
        promise = unanswered + silent + killed + pause + cluster + replaced + one_by_one
        if self._cluster_is_to_go():
            promise += unanswered + pause + 2 * cluster
        for kind, needed in (("step", 3), ("cluster", 2)):  # a silent one, a replaced one, the last one
            if len(recent[kind]) + needed > self.max_starts:
                promise += p.memorable.total_seconds() + PERIOD
        return promise

    def _settled(self) -> bool:
        stage = self.stage
        if (BUCKET, "control/stop") in stage.s3.objects:
            return not stage.live and not stage.running
        if not len(stage.live) == len(stage.running) == len(stage.clusters) == 1:
            return False
        (step,), (driver,) = stage.live, stage.running
        if step.state == "CANCEL_PENDING" or step.id in self._given_up():
            return False
        if self._cluster_is_to_go():
            return False
        well = driver.launch.step_id == step.id and not driver.frozen and driver.fate == "well"
        asked = stage.s3.objects.get((BUCKET, "control/replace"), b"no").decode().strip()
        wanted = stage.environ["ARTIFACT_VERSION"]
        return well and (asked not in {"", wanted} or f" {wanted} " in step.name)

    def _cluster_is_to_go(self) -> bool:
        """Whether the marker asks for another cluster than the one that is there."""
        asked = self.stage.s3.times.get((BUCKET, REPLACE_CLUSTER))
        there = (BUCKET, REPLACE_CLUSTER) in self.stage.s3.objects
        return there and any(cluster.created < asked.timestamp() for cluster in self.stage.clusters)

    def _given_up(self) -> set[str | None]:
        """Steps that the trigger has cancelled, as far as it knows; a cancellation that EMR refused is none."""
        stored = self.stage.s3.objects.get((BUCKET, MEMORY))
        if stored is None:
            return set()
        memory = load(stored)
        under_way = memory.intention if memory.intention and memory.intention.outcome is None else None
        return {*memory.cancelled, under_way and under_way.step}

    def _state(self, what: str) -> str:
        stage = self.stage
        seen = stage.live, [vars(driver) for driver in stage.running], stage.clusters, stage.emr.history
        return f"{what}: {seen} {stage.s3.objects.get((BUCKET, MEMORY))}"


TestTrigger = pytest.mark.thorough(TriggerMachine.TestCase)
# the same examples each time; TRIGGER_EXAMPLES=1000 looks for others
TestTrigger.settings = settings(
    max_examples=int(os.environ.get("TRIGGER_EXAMPLES", extent(8, 30))),
    derandomize="TRIGGER_EXAMPLES" not in os.environ,
    stateful_step_count=40,
    deadline=None,
)
