"""What is decided in which situation: one row, one rule."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from situations import CANCELLED, ENDING, MAKING, NOW, POLICY, READY, STARTING, WELL, ago, beat, cluster, starts, step
from trigger.keep_alive import RULES, decide
from trigger.memory import Intention, Memory, Started
from trigger.situation import (
    Beat,
    CancelStep,
    Cluster,
    Decision,
    EndCluster,
    StartCluster,
    StartStep,
    Step,
    Wait,
    World,
)


def decided(world: World, memory: Memory | None = None) -> Decision:
    return decide(world, memory or Memory(), NOW, POLICY)


@pytest.mark.parametrize(
    ("world", "expected"),
    [
        (World(), StartCluster("there is no cluster")),
        (World(clusters=(cluster("TERMINATING"),)), StartCluster("cluster j-1 is TERMINATING")),
        (
            World(clusters=(Cluster("j-1", "TERMINATED_WITH_ERRORS", ago(900), "over quota"),)),
            StartCluster("cluster j-1 is TERMINATED_WITH_ERRORS over quota"),
        ),
        (World(clusters=(cluster("STARTING"),)), Wait("cluster j-1 is STARTING")),
        (World(clusters=(cluster("BOOTSTRAPPING"),)), Wait("cluster j-1 is BOOTSTRAPPING")),
        (READY, StartStep("j-1", "there is no step")),
        (World(clusters=(cluster("RUNNING"),)), StartStep("j-1", "there is no step")),
        (replace(READY, steps=(step("FAILED"),)), StartStep("j-1", "step s-1 is FAILED")),
        (replace(READY, steps=(step("INTERRUPTED"),)), StartStep("j-1", "step s-1 is INTERRUPTED")),
        (World(clusters=(cluster(), cluster(name="j-2", made=10))), StartStep("j-2", "there is no step")),
        (World(clusters=(cluster("TERMINATING"), cluster("STARTING", "j-2", 10))), Wait("cluster j-2 is STARTING")),
        (WELL, Wait("step s-1 is RUNNING")),
        (replace(READY, steps=(step("PENDING", made=10),)), Wait("step s-1 is PENDING")),
    ],
)
def test_a_cluster_is_started_then_waited_for_then_given_a_step_that_is_left_alone(
    world: World, expected: Decision
) -> None:
    """Each state of the newest live cluster and its step leads to exactly one decision."""
    assert decided(world) == expected


def test_a_job_that_is_worn_out_every_quarter_of_an_hour_is_no_crash_loop() -> None:
    """It ends its step with exit code 0 before descriptors run out; the next one is added at once."""
    world = replace(READY, steps=(step("COMPLETED", made=900),))
    assert decided(world, starts(3600, 2700, 1800, 900)) == StartStep("j-1", "step s-1 is COMPLETED")


@pytest.mark.parametrize(
    ("seen", "heartbeat", "why"),
    [
        (step(), beat(119), None),
        (step(), beat(121), "its last heartbeat is 121 s old"),
        (step(), beat(-60), None),
        (step(), beat(-121), "it has been RUNNING since 18:36:40 and has sent no heartbeat"),
        (step(made=599), None, None),
        (step(made=601), None, "it has been RUNNING since 19:49:59 and has sent no heartbeat"),
        (step("PENDING", made=601), None, "it has been PENDING since 19:49:59 and has sent no heartbeat"),
        (step(), beat(130, None), "its last heartbeat is 130 s old"),
        (step(made=599), beat(600, None), None),
        (step(made=599), beat(500, "s-0"), None),
        (step(made=601), beat(500, "s-0"), "it has been RUNNING since 19:49:59 and has sent no heartbeat"),
        (step(), beat(10, "s-0"), None),
    ],
)
def test_a_step_is_cancelled_when_its_last_heartbeat_is_stale_or_its_first_one_does_not_come(
    seen: Step, heartbeat: Beat | None, why: str | None
) -> None:
    """A step has 120 s between heartbeats and 600 s until the first one; after that it is cancelled with the reason."""
    expected = Wait(f"step s-1 is {seen.state}") if why is None else CancelStep("j-1", "s-1", why)
    assert decided(replace(READY, steps=(seen,), heartbeat=heartbeat)) == expected


@pytest.mark.parametrize(
    ("world", "memory", "expected"),
    [
        (replace(READY, steps=(step("CANCEL_PENDING"),)), CANCELLED, StartStep("j-1", "there is no step")),
        (replace(WELL, heartbeat=beat(200)), CANCELLED, StartStep("j-1", "there is no step")),
        (
            replace(READY, steps=(step("CANCEL_PENDING"), step("CANCEL_PENDING", "s-2", 900))),
            Memory(cancelled={"s-1": ago(60), "s-2": ago(30)}),
            Wait("2 cancelled steps have not ended"),
        ),
        (
            replace(READY, steps=(step("CANCEL_PENDING"), step("CANCEL_PENDING", "s-2", 900))),
            Memory(cancelled={"s-1": ago(120), "s-2": ago(30)}),
            CancelStep("j-1", "s-1", "it does not end", force=True),
        ),
        (
            replace(READY, steps=(step("CANCEL_PENDING"), step(name="s-2", made=60))),
            Memory(cancelled={"s-1": ago(119)}),
            Wait("step s-2 is RUNNING"),
        ),
        (
            replace(READY, steps=(step("CANCEL_PENDING"), step(name="s-2", made=60))),
            Memory(cancelled={"s-1": ago(120)}),
            CancelStep("j-1", "s-1", "it does not end", force=True),
        ),
        (
            replace(READY, steps=(step("CANCEL_PENDING"), step(name="s-2", made=60))),
            Memory(),
            CancelStep("j-1", "s-1", "it does not end"),
        ),
    ],
)
def test_a_cancelled_step_is_not_waited_for_but_killed_in_the_end_and_two_of_them_are_waited_for(
    world: World, memory: Memory, expected: Decision
) -> None:
    """One cancelled step delays no successor and is killed after 120 s; two that have not ended delay it."""
    assert decided(world, memory) == expected


def test_of_two_good_steps_the_older_is_cancelled_whichever_beats() -> None:
    """The newer step stays, on the same cluster and on another one."""
    both = (step(name="s-2", made=50), step(name="s-1", made=60))
    why = "a newer step, s-2, is there"
    assert decided(replace(READY, steps=both, heartbeat=beat(1))) == CancelStep("j-1", "s-1", why)
    apart = (replace(step(), cluster="j-2"), step(name="s-2", made=50))
    assert decided(World((cluster(), cluster(name="j-2")), apart)) == CancelStep("j-2", "s-1", why)


@pytest.mark.parametrize(
    ("world", "memory", "expected"),
    [
        (WELL, Memory(), CancelStep("j-1", "s-1", "the stop marker is there")),
        (WELL, CANCELLED, Wait("stopped: the marker control/stop is there")),
        (
            WELL,
            Memory(cancelled={"s-1": ago(121)}),
            CancelStep("j-1", "s-1", "the stop marker is there", force=True),
        ),
        (READY, Memory(), Wait("stopped: the marker control/stop is there")),
        (World(), Memory(), Wait("stopped: the marker control/stop is there")),
    ],
)
def test_the_stop_marker_cancels_the_step_and_starts_nothing(world: World, memory: Memory, expected: Decision) -> None:
    """While the stop marker is there, a live step is cancelled, then killed, and no other is started."""
    assert decided(replace(world, stopped=ago(1)), memory) == expected


@pytest.mark.parametrize(
    ("version", "marker", "memory", "replaced"),
    [
        ("1.2.2", "1.2.3", Memory(), True),
        ("1.2.2", "", Memory(), True),
        ("1.2.2", None, Memory(), False),
        ("1.2.2", "1.2.4", Memory(), False),
        ("1.2.3", "1.2.3", Memory(), False),
        ("1.2.3", "", Memory(), False),
        ("1.2.2", "", starts(10), False),
        ("1.2.2", "", starts(3000, 2500, 2000, 1500, 1000, 500), False),
    ],
)
def test_another_version_is_replaced_when_asked_and_when_a_successor_may_start(
    version: str, marker: str | None, memory: Memory, *, replaced: bool
) -> None:
    """A step is replaced only if the marker asks for the wanted version and no pause or limit stops its successor."""
    world = replace(WELL, steps=(step(version=version),), replace=marker)
    cancel = CancelStep("j-1", "s-1", "version 1.2.2 is replaced by 1.2.3", replaced=True)
    assert decided(world, memory) == (cancel if replaced else Wait("step s-1 is RUNNING"))


@pytest.mark.parametrize(
    ("asked", "memory", "replaced"),
    [
        (None, Memory(), False),
        (8999, Memory(), True),
        (9000, Memory(), False),
        (9001, Memory(), False),
        (10, starts(10, kind="cluster"), False),
        (10, starts(3000, 2500, 2000, 1500, 1000, 500, kind="cluster"), False),
    ],
)
def test_a_cluster_made_before_the_marker_is_ended_when_another_may_start(
    asked: float | None, memory: Memory, *, replaced: bool
) -> None:
    """The marker that stays there ends no cluster that was made after it, so nobody has to remove it."""
    world = replace(WELL, replace_cluster=None if asked is None else ago(asked))
    end = EndCluster("j-1", "made before the marker control/replace-cluster of 2026-03-02 17:30:01")
    found = decided(world, memory)
    assert found == (end if asked == 8999 else Wait("step s-1 is RUNNING"))
    assert isinstance(found, EndCluster) is replaced


@pytest.mark.parametrize(
    ("age", "waiting", "ended"),
    [(29.9, 0, False), (30, 0, True), (30, 3, False), (30.9, None, False), (31, 3, True), (31, None, True)],
)
def test_an_old_cluster_is_ended_when_no_drops_wait_or_a_day_later(
    age: float, waiting: int | None, *, ended: bool
) -> None:
    """A cluster takes no patches while it lives, and its end costs ten minutes: better while nobody waits."""
    world = replace(WELL, clusters=(cluster(made=age * 86400),), heartbeat=replace(beat(10), waiting=waiting))
    limited = replace(POLICY, oldest=timedelta(days=30))
    expected = EndCluster("j-1", f"it is {int(age)} days old") if ended else Wait("step s-1 is RUNNING")
    assert decide(world, Memory(), NOW, limited) == expected
    assert decided(world) == Wait("step s-1 is RUNNING")


@pytest.mark.parametrize(
    ("memory", "expected"),
    [
        (starts(14), Wait("1 starts of a step within an hour: a pause until 20:00:01")),
        (starts(15), None),
        (starts(100, 29), Wait("2 starts of a step within an hour: a pause until 20:00:01")),
        (starts(100, 30), None),
        (starts(900, 800, 700, 600, 239), Wait("5 starts of a step within an hour: a pause until 20:00:01")),
        (starts(900, 800, 700, 600, 240), None),
        (
            starts(3779, 2500, 2000, 1500, 1000, 500),
            Wait("6 starts of a step within an hour: none before 20:00:01", crash_loop=True),
        ),
        (starts(3780, 2500, 2000, 1500, 1000, 500), None),
        (starts(9000, 1), Wait("1 starts of a step within an hour: a pause until 20:00:14")),
        (Memory(refusals=3, refused_at=ago(59)), Wait("EMR refused 3 times in a row: a pause until 20:00:01")),
        (Memory(refusals=99, refused_at=ago(899)), Wait("EMR refused 99 times in a row: a pause until 20:00:01")),
        (Memory(refusals=99, refused_at=ago(900)), None),
    ],
)
def test_starts_have_growing_pauses_between_them_and_a_limit_an_hour(memory: Memory, expected: Decision | None) -> None:
    """Each start or refusal within the hour makes the next pause longer, until the limit allows none."""
    assert decided(READY, memory) == (expected or StartStep("j-1", "there is no step"))


def test_clusters_have_pauses_and_a_limit_of_their_own() -> None:
    """Too many starts of clusters stop further clusters, but not a step on a cluster that is ready."""
    six = starts(3000, 2500, 2000, 1500, 1000, 500, kind="cluster")
    limit = Wait("6 starts of a cluster within an hour: none before 20:13:00", crash_loop=True)
    assert decided(World(), six) == limit
    assert decided(READY, six) == StartStep("j-1", "there is no step")


def test_a_silent_step_is_left_alone_while_no_other_may_start() -> None:
    """A stale step is not cancelled while the limit allows no successor."""
    left = Wait(
        "step s-1 is left alone though its last heartbeat is 200 s old: 6 starts of a step within an hour: "
        "none before 20:13:00",
        crash_loop=True,
    )
    assert decided(replace(WELL, heartbeat=beat(200)), starts(3000, 2500, 2000, 1500, 1000, 500)) == left


@pytest.mark.parametrize("intention", [STARTING, MAKING, ENDING])
@pytest.mark.parametrize("world", [World(), READY, replace(WELL, stopped=ago(1)), replace(WELL, heartbeat=beat(500))])
def test_while_an_action_has_no_outcome_nothing_else_is_done(intention: Intention, world: World) -> None:
    """An intention without an outcome blocks each decision, and one with an outcome blocks none."""
    waits = Wait(f"the action 0a ({intention.kind}) of 19:58:20 has no outcome yet")
    assert decided(world, Memory(intention=intention)) == waits
    noted = Memory(intention=replace(intention, outcome="s-1"))
    assert decided(world, noted) == decided(world)


@pytest.mark.parametrize(
    ("memory", "world", "waits"),
    [
        (Memory(last_step=Started("s-9", "j-1", ago(179))), READY, "step s-9"),
        (Memory(last_step=Started("s-9", "j-1", ago(180))), READY, None),
        (Memory(last_step=Started("s-9", "j-1", ago(9))), replace(READY, steps=(step("FAILED", "s-9"),)), None),
        (Memory(last_step=Started("s-9", "j-0", ago(9))), READY, None),
        (Memory(last_cluster=Started("j-9", "j-9", ago(179))), World(), "cluster j-9"),
        (Memory(last_cluster=Started("j-9", "j-9", ago(180))), World(), None),
        (Memory(last_cluster=Started("j-9", "j-9", ago(9))), World(clusters=(cluster("TERMINATED", "j-9"),)), None),
    ],
)
def test_what_was_started_is_believed_in_before_it_is_listed(memory: Memory, world: World, waits: str | None) -> None:
    """For 180 s a step or cluster that was started counts as there, unless the lists show its end."""
    found = decided(world, memory)
    assert isinstance(found, Wait) is (waits is not None)
    assert waits is None or found == Wait(f"{waits} was started just now and is not listed yet")


def test_the_rules_answer_in_the_order_in_which_they_are_told() -> None:
    """The first rule that answers decides, so their order is fixed."""
    assert [rule.__name__ for rule in RULES] == [
        "an_action_is_under_way",
        "what_was_started_is_not_listed_yet",
        "the_stop_marker_stops_all_steps",
        "a_cluster_is_replaced_when_asked",
        "of_two_good_steps_the_older_is_cancelled",
        "a_silent_step_is_cancelled",
        "a_step_of_another_version_is_replaced_when_asked",
        "a_good_step_stays",
        "not_too_many_steps_are_on_their_way_out",
        "there_is_a_cluster",
        "the_cluster_is_ready",
        "there_is_a_step",
    ]
