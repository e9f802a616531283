"""How a wait is told: at once, with growing pauses up to a minute, and when it is over."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from streaming.waiting import Waiting, under_way

if TYPE_CHECKING:
    import pytest


class Clock:
    """Seconds that pass when the test says so."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_wait_is_told_at_once_and_then_with_pauses_up_to_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """One try a second for ten minutes: 13 lines, the last ones a minute apart, each with what a person needs."""
    caplog.set_level(logging.WARNING)
    clock = Clock()
    wait = Waiting("PostgreSQL", clock=clock)
    for _ in range(600):
        wait.failed("connection refused [08006]", "Start the server.")
        clock.now += 1
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "waiting for PostgreSQL, nothing is lost: connection refused [08006]. Start the server."
    assert lines[1] == (
        "waiting for PostgreSQL for 2 s (3 tries), nothing is lost: connection refused [08006]. Start the server."
    )
    seconds = [record.seconds for record in caplog.records]
    assert seconds == [0, 2, 6, 14, 30, *range(62, 600, 60)]
    wait.over()


def test_the_end_of_a_wait_is_told_once_and_the_next_wait_begins_anew(caplog: pytest.LogCaptureFixture) -> None:
    """Nothing is said of what never failed."""
    caplog.set_level(logging.WARNING)
    clock = Clock()
    wait = Waiting("the lake", clock=clock)
    wait.over()
    wait.failed("full")
    clock.now += 3.5
    wait.over()
    wait.over()
    wait.failed("full")
    lines = [record.getMessage() for record in caplog.records]
    first = "waiting for the lake, nothing is lost: full"
    assert lines == [first, "the lake is back after 3.5 s: going on", first]
    wait.over()


def test_the_waits_under_way_can_be_asked_for() -> None:
    """The longest first, none once they are over."""
    clock = Clock()
    first, second = Waiting("a", clock=clock), Waiting("b", clock=clock)
    first.failed("x")
    clock.now += 5
    second.failed("y")
    assert [(held.what, held.seconds, held.tries, held.reason) for held in under_way() if held.what in "ab"] == [
        ("a", 5.0, 1, "x"),
        ("b", 0.0, 1, "y"),
    ]
    first.over()
    second.over()
    assert not [held for held in under_way() if held.what in "ab"]


def test_a_wait_that_is_given_up_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    """The job ends, or tells what it met instead; the next wait for the same thing begins anew."""
    wait = Waiting("PostgreSQL")
    wait.failed("down")
    wait.given_up()
    assert under_way() == []
    wait.over()
    assert len(caplog.records) == 1
