"""The times that the docstring of `keep_alive.decide` states, wherever in its period the schedule is met."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from emr_records import Delays
from extent import extent
from stage import PERIOD, Stage

if TYPE_CHECKING:
    from collections.abc import Callable

STARTS_CLUSTER, STALE, START, PENDING, HOUR = 180.0, 120.0, 600.0, 180.0, 3600.0


def ends(stage: Stage) -> float:
    stage.drivers[-1].end(1)
    return PERIOD


def freezes(stage: Stage) -> float:
    stage.drivers[-1].frozen = True
    return STALE + 2 * PERIOD


def never_beats(stage: Stage) -> float:
    stage.fates = ["hangs"]
    return ends(stage) + START + 2 * PERIOD


def loses_its_cluster(stage: Stage) -> float:
    stage.emr.kill_cluster(stage.clusters[0].id)
    return PERIOD + STARTS_CLUSTER + PERIOD


def ends_and_emr_does_not_answer(stage: Stage) -> float:
    stage.emr.faults.once("AddJobFlowSteps", "throttle")
    return ends(stage) + PENDING + PERIOD


def ends_and_an_invocation_dies(stage: Stage) -> float:
    limit = ends(stage)
    stage.emr.tick()
    invocation = stage.begin()
    while invocation.next != "AddJobFlowSteps":
        invocation.go_on()
    invocation.kill()
    return limit + PENDING


@pytest.mark.thorough
@pytest.mark.parametrize("offset", extent([59.0], [1.0, 20.0, 40.0, 59.0]))
@pytest.mark.parametrize(
    "trouble",
    [ends, freezes, never_beats, loses_its_cluster, ends_and_emr_does_not_answer, ends_and_an_invocation_dies],
)
def test_a_good_step_is_back_within_the_stated_time(trouble: Callable[[Stage], float], offset: float) -> None:
    """After each kind of trouble, at any moment of the period, a good step is back within its limit."""
    stage = Stage(delays=Delays(starting=60.0, bootstrapping=120.0, terminating=60.0))
    stage.run(2 * HOUR)
    stage.wait(offset)
    began, limit = stage.now, trouble(stage)
    stage.wait(PERIOD - offset)
    while not (stage.good and stage.good[-1].created >= began and not stage.fates and _is_well(stage)):
        assert stage.now - began <= limit
        stage.invoke()
        stage.wait(PERIOD)
    assert stage.good[-1].created - began <= limit


def _is_well(stage: Stage) -> bool:
    return stage.good[-1].process is not None and stage.good[-1].process.fate == "well"


def test_a_crash_loop_is_tried_again_an_hour_after_its_first_start() -> None:
    """After six starts that died, a crash loop is reported, and the seventh comes an hour after the first."""
    stage = Stage()
    stage.run(60)
    stage.fates = ["dies"] * 6
    stage.run(1200)
    assert len(stage.emr.steps()) == 6
    reports = stage.run(2 * HOUR)
    first, seventh = stage.emr.steps()[0].created, stage.emr.steps()[6].created
    assert HOUR <= seventh - first <= HOUR + PENDING + PERIOD
    assert [report.crash_loop for report in reports[:30]] == [True] * 30
    assert (len(stage.emr.steps()), len(stage.good)) == (7, 1)
