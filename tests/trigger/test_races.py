"""Invocations of the trigger that meet each other, or die: never two steps, never two clusters."""

from __future__ import annotations

import itertools
import threading
from typing import TYPE_CHECKING

import pytest
from emr_records import Delays
from extent import extent
from stage import Stage
from trigger_emr import TriggerReport

if TYPE_CHECKING:
    from collections.abc import Callable

DELAYS = Delays(terminating=60.0, pending=5.0, listing=20.0)


def nothing() -> Stage:
    return Stage(delays=DELAYS)


def no_step() -> Stage:
    stage = nothing()
    stage.run(60)
    return stage


def well() -> Stage:
    stage = no_step()
    stage.run(60)
    return stage


def silent() -> Stage:
    stage = well()
    stage.drivers[0].frozen = True
    stage.wait(150)
    return stage


def given_up() -> Stage:
    stage = silent()
    stage.run(60)
    return stage


def dead_cluster() -> Stage:
    stage = well()
    stage.emr.kill_cluster(stage.clusters[0].id)
    return stage


SITUATIONS = [nothing, no_step, well, silent, given_up, dead_cluster]


def calls_of(situation: Callable[[], Stage]) -> int:
    return len(situation().begin().finish().calls)


def is_well(stage: Stage) -> bool:
    return len(stage.live) == len(stage.good) == len(stage.running) == len(stage.clusters) == 1


@pytest.mark.thorough
@pytest.mark.parametrize("situation", extent([nothing], [nothing, no_step, silent, given_up, dead_cluster]))
def test_two_invocations_at_once_do_no_more_than_one_wherever_they_meet(situation: Callable[[], Stage]) -> None:
    """The first one makes some calls, the second one some, then one after the other goes on to its end."""
    for first_calls, second_calls in itertools.product(range(calls_of(situation) + 1), repeat=2):
        stage = situation()
        before = len(stage.emr.steps()), len(stage.emr.clusters)
        first, second = stage.begin().go_on(first_calls), stage.begin().go_on(second_calls)
        for invocation in (first, second):
            invocation.finish()
            assert invocation.error is None
        started = len(stage.emr.steps()) - before[0] + len(stage.emr.clusters) - before[1]
        assert started <= 1, f"{first.calls} {second.calls}"
        assert len(stage.good) <= 1
        assert len(stage.clusters) <= 1


@pytest.mark.thorough
@pytest.mark.parametrize("situation", extent([no_step], SITUATIONS))
def test_an_invocation_that_dies_after_any_call_leaves_nothing_that_the_next_ones_do_not_mend(
    situation: Callable[[], Stage],
) -> None:
    """Whichever call was its last, the next invocations bring back exactly one step on one cluster."""
    for calls in range(calls_of(situation) + 1):
        stage = situation()
        invocation = stage.begin().go_on(calls)
        invocation.kill()
        for _ in range(20):
            stage.run(60)
            assert len(stage.good) <= 1, f"killed after {invocation.calls}"
            assert len(stage.clusters) <= 1, f"killed after {invocation.calls}"
        assert is_well(stage), f"killed after {invocation.calls}: {stage.emr.history}"


def test_the_crash_between_an_action_and_its_note_is_among_them() -> None:
    """The calls of a start are: read the document, write the intention, act, write the outcome."""
    stage = no_step()
    invocation = stage.begin().finish()
    ends = ["GetObject stocketl/1.2.3/step.json", "PutObject control/trigger.json", "AddJobFlowSteps"]
    assert invocation.calls[0] == "GetObject control/trigger.json"
    assert invocation.calls[-4:] == [*ends, "PutObject control/trigger.json"]


@pytest.mark.parametrize("situation", [nothing, no_step])
def test_eight_invocations_in_threads_start_one_thing(situation: Callable[[], Stage]) -> None:
    """Of eight invocations at once exactly one takes an action."""
    for _ in range(10):
        stage = situation()
        barrier, reports = threading.Barrier(8, timeout=60), list[TriggerReport]()

        def invoke(
            stage: Stage = stage, barrier: threading.Barrier = barrier, reports: list[TriggerReport] = reports
        ) -> None:
            trigger = stage.trigger()
            barrier.wait()
            reports.append(trigger.run())

        threads = [threading.Thread(target=invoke) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [report.taken for report in reports].count(True) == 1
        assert (len(stage.clusters), len(stage.good)) == (1, int(situation is no_step))


def test_a_write_of_the_memory_whose_answer_is_lost_is_recognised_as_ones_own() -> None:
    """If the answer to a conditional write is lost, the trigger recognises its own write and goes on."""
    stage = nothing()
    stage.s3.faults = ["lost", "lost"]
    report = stage.invoke()
    assert (report.did, report.taken, stage.s3.faults) == ("start cluster", True, [])


def test_an_invocation_that_was_held_up_before_its_action_leaves_it() -> None:
    """If writing the intention took too long, the action is not taken, and a later invocation takes it."""
    stage = no_step()
    invocation = stage.begin()
    while not invocation.calls or invocation.calls[-1] != "PutObject control/trigger.json":
        assert invocation.next is not None
        if invocation.next == "PutObject control/trigger.json":
            stage.now += 100.0
        invocation.go_on()
    assert "took too long, so it is left to expire" in invocation.report.why
    assert not stage.live
    stage.run(300)
    assert is_well(stage)
