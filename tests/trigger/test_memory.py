"""What the trigger remembers, and how it finds out what nobody noted."""

from __future__ import annotations

from dataclasses import replace

import pytest
from situations import ENDING, MAKING, NOW, POLICY, READY, REPLACING, STARTING, WELL, ago, cluster, starts, step
from trigger.errors import ControlError
from trigger.keep_alive import settle
from trigger.memory import Intention, Memory, Started, dump, load
from trigger.situation import World


@pytest.mark.parametrize(
    ("intention", "world", "outcome"),
    [
        (STARTING, READY, None),
        (STARTING, replace(READY, steps=(replace(step(), intention="0a"),)), "s-1"),
        (replace(STARTING, at=ago(181)), READY, "nothing came of it until 20:00:00"),
        (replace(STARTING, at=ago(181)), World(), "if it was there, it went with its cluster"),
        (MAKING, World(clusters=(cluster(made=100),)), None),
        (replace(MAKING, at=ago(181)), World(clusters=(cluster(made=180),)), "j-1"),
        (
            replace(MAKING, at=ago(181)),
            World(clusters=(cluster(made=900),)),
            "nothing came of it until 20:00:00",
        ),
        (REPLACING, WELL, None),
        (REPLACING, World(clusters=(cluster("TERMINATING"),)), "seen in its effect"),
        (replace(REPLACING, at=ago(181)), WELL, "nothing came of it until 20:00:00"),
        (ENDING, WELL, None),
        (ENDING, replace(READY, steps=(step("CANCEL_PENDING"),)), "seen in its effect"),
        (ENDING, READY, "seen in its effect"),
        (replace(ENDING, at=ago(181)), WELL, "nothing came of it until 20:00:00"),
    ],
)
def test_an_outcome_that_nobody_noted_is_told_by_the_lists(
    intention: Intention, world: World, outcome: str | None
) -> None:
    """An outcome is read from the lists of EMR, or given up after 180 s, and settling twice changes nothing more."""
    memory = Memory().intend(intention, POLICY.memorable, set())
    settled = settle(memory, world, NOW, POLICY)
    assert settled.intention == replace(intention, outcome=outcome)
    assert settle(settled, world, NOW, POLICY) == settled


def test_a_start_counts_from_its_intention_unless_it_is_known_to_have_had_no_effect() -> None:
    """An intended start counts towards the limit unless EMR refused it or nothing came of it."""
    intended = starts(9000, 60).intend(STARTING, POLICY.memorable, set())
    assert intended.starts["step"] == (ago(60), ago(100))
    assert intended.done("s-1", NOW).starts["step"] == (ago(60), ago(100))
    assert intended.unknown("who knows").starts["step"] == (ago(60), ago(100))
    assert intended.came_to_nothing("no").starts["step"] == (ago(60),)
    refused = intended.refused("quota", NOW)
    assert (refused.starts["step"], refused.refusals, refused.refused_at) == ((ago(60),), 1, NOW)
    again = refused.intend(replace(STARTING, at=NOW), POLICY.memorable, set()).done("s-2", NOW)
    assert (again.refusals, again.last_step) == (0, Started("s-2", "j-1", NOW))


def test_a_cancellation_is_remembered_with_its_reason_for_as_long_as_the_step_is_live() -> None:
    """A cancelled step is forgotten when it is no longer live, and a refused cancellation at once."""
    memory = Memory().intend(ENDING, POLICY.memorable, {"s-1"}).done("SEND_INTERRUPT SUBMITTED", NOW)
    assert (memory.cancelled, memory.last_stop) == ({"s-1": NOW}, "s-1: why")
    assert memory.intend(STARTING, POLICY.memorable, {"s-1", "s-2"}).cancelled == {"s-1": NOW}
    assert memory.intend(STARTING, POLICY.memorable, {"s-2"}).cancelled == {}
    assert Memory().intend(ENDING, POLICY.memorable, set()).refused("no", NOW).cancelled == {}


def test_the_end_of_a_cluster_is_no_start() -> None:
    """It counts towards no limit, whatever becomes of it."""
    intended = starts(60).intend(REPLACING, POLICY.memorable, set())
    ends = intended.done("j-1 ends", NOW), intended.refused("no", NOW), intended.came_to_nothing("no")
    assert [(memory.starts, memory.refusals) for memory in ends] == [(starts(60).starts, 0)] * 3


def test_an_outcome_is_noted_once() -> None:
    """Without an open intention there is nothing to note an outcome for."""
    with pytest.raises(ControlError, match="expected an intention without outcome, got None"):
        Memory().done("s-1", NOW)


def test_the_memory_survives_its_way_through_json() -> None:
    """A memory that is dumped and loaded is equal to itself, full or empty."""
    memory = starts(60).intend(STARTING, POLICY.memorable, set()).refused("no", NOW)
    memory = replace(memory, cancelled={"s-0": NOW}, last_stop="why", last_cluster=Started("j-1", "j-1", NOW))
    assert load(dump(memory)) == memory
    assert load(dump(Memory())) == Memory()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"format": 2}',
        b"\xff",
        dump(Memory()).replace(b"null", b"7"),
        dump(starts(60)).replace(b"+00:00", b""),
        dump(Memory(intention=STARTING)).replace(b'"step"', b'"stop"'),
    ],
)
def test_what_is_no_memory_is_refused(text: bytes) -> None:
    """A text that is no JSON, of another format, or with a wrong field is an error, never an empty memory."""
    with pytest.raises(ControlError, match="is no memory of the trigger"):
        load(text)
