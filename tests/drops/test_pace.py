"""When the source looks at its input: whatever is done to the clock of the machine."""

from __future__ import annotations

import os
from typing import Any

import pytest

from streaming.drops.pace import ANSWER_SECONDS, Pace


class Clock:
    """Seconds that pass only while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


class Input:
    """Looks at it are noted with their time; `new`: what the look of this number finds."""

    def __init__(self, clock: Clock, **new: dict[str, Any]) -> None:
        self._clock = clock
        self._new = new
        self.looks: list[float] = []

    def __call__(self) -> dict[str, Any]:
        self.looks.append(round(self._clock() - 100.0, 6))
        return self._new.get(f"look_{len(self.looks)}", OLD)


OLD: dict[str, Any] = {"seq": 0}
NEW: dict[str, Any] = {"seq": 1}


def test_the_source_looks_once_in_a_pause_however_often_it_is_asked() -> None:
    """The first look comes at once; an answer without news comes when the next look is due."""
    clock = Clock()
    pace, lying = Pace(0.2, clock=clock, sleep=clock.sleep), Input(clock)
    answers = [pace.look(OLD, lying, patient=False) for _ in range(3)]
    assert (answers, lying.looks, round(clock.now, 6)) == ([OLD] * 3, [0.0, 0.2, 0.4], 100.6)


def test_what_is_new_is_told_at_once_and_the_next_look_keeps_the_pause() -> None:
    """A batch that takes no time does not make the source look more often."""
    clock = Clock()
    pace, lying = Pace(0.2, clock=clock, sleep=clock.sleep), Input(clock, look_1=NEW)
    assert (pace.look(OLD, lying, patient=False), clock.now) == (NEW, 100.0)
    assert pace.look(NEW, Input(clock), patient=False) == OLD
    assert round(clock.now, 6) == 100.2


def test_a_long_pause_is_cut_into_answers_so_that_the_query_can_be_ended() -> None:
    """With a pause of a minute there is an answer each second and a look each minute."""
    clock = Clock()
    pace, lying = Pace(60.0, clock=clock, sleep=clock.sleep), Input(clock)
    for number in range(1, 62):
        assert pace.look(OLD, lying, patient=False) == OLD
        assert clock.now == 100.0 + number * ANSWER_SECONDS
    assert lying.looks == [0.0, 60.0]


def test_before_the_first_drop_there_is_no_answer() -> None:
    """However long that takes: Spark would plan a batch of nothing."""
    clock = Clock()
    pace, lying = Pace(2.0, clock=clock, sleep=clock.sleep), Input(clock, look_4=NEW)
    assert pace.look(OLD, lying, patient=True) == NEW
    assert lying.looks == [0.0, 2.0, 4.0, 6.0]


def test_a_source_that_nobody_reads_admits_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Java was killed while the source waited: another one may be at work by now."""
    clock = Clock()
    pace, lying = Pace(0.2, clock=clock, sleep=clock.sleep), Input(clock)
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(EOFError, match="has gone"):
        pace.look(OLD, lying, patient=True)
    assert lying.looks == []


def test_a_source_that_is_woken_looks_at_once() -> None:
    """And keeps the pause after that look."""
    clock = Clock()
    woken = iter([False, True])  # before the first look it is asked without a pause

    def sleep(seconds: float) -> bool:
        wakes = next(woken, False)
        clock.sleep(0.05 if wakes else seconds)
        return wakes

    pace, lying = Pace(0.2, clock=clock, sleep=sleep), Input(clock, look_2=NEW)
    assert pace.look(OLD, lying, patient=True) == NEW
    assert lying.looks == [0.0, 0.05]
    assert pace.look(NEW, lying, patient=False) == OLD
    assert lying.looks == [0.0, 0.05, 0.25]
