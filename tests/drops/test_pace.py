"""When the source looks at its input: whatever is done to the clock of the machine."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from streaming.drops.pace import ANSWER_SECONDS, Pace

if TYPE_CHECKING:
    from collections.abc import Callable


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


def woken_at(clock: Clock, *moments: float) -> Callable[[float], bool]:
    """A sleep that somebody ends at these moments."""
    left = list(moments)

    def sleep(seconds: float) -> bool:
        if left and left[0] <= clock() - 100.0 + seconds:
            clock.now = max(clock.now, 100.0 + left.pop(0))
            return True
        clock.sleep(seconds)
        return False

    return sleep


def looks(pace: Pace, lying: Input, until: float, clock: Clock) -> list[float]:
    """The moments of all looks until then."""
    known = OLD
    while clock() - 100.0 < until:
        known = pace.look(known, lying, patient=False)
    return lying.looks


def test_a_source_that_is_told_looks_rarely_by_itself_and_soon_after_it_found_something() -> None:
    """A batch may have left drops behind, of which no message tells again; once all is quiet, a minute passes."""
    clock = Clock()
    sleep = woken_at(clock, 30.0)
    pace = Pace(1.0, clock=clock, sleep=sleep, rest=0.2, rarely=lambda: 60.0, deaf_sleep=clock.sleep)
    lying = Input(clock, look_2=NEW, look_3=NEW, look_4=NEW, look_5=NEW)
    assert looks(pace, lying, 160.0, clock) == [0.0, 30.0, 31.0, 91.0, 151.0]


def test_a_source_whose_queue_fails_looks_as_often_as_without_one() -> None:
    """From the moment on at which it fails: the pause under way is cut short."""
    clock = Clock()
    pace = Pace(1.0, clock=clock, sleep=clock.sleep, rest=0.2, rarely=lambda: 60.0 if clock() < 110.5 else 1.0)
    assert looks(pace, Input(clock), 12.5, clock) == [0.0, 11.0, 12.0, 13.0]


def test_a_flood_of_messages_costs_no_more_looks_than_a_source_without_a_queue() -> None:
    """Each look for nothing doubles the rest until the next one, up to the pause, until something is found."""
    clock = Clock()
    flood = [number / 100 for number in range(1_000)]
    pace = Pace(1.0, clock=clock, sleep=woken_at(clock, *flood), rest=0.2, rarely=lambda: 60.0, deaf_sleep=clock.sleep)
    lying = Input(clock, look_6=NEW)
    assert looks(pace, lying, 4.3, clock) == [0.0, 0.4, 1.2, 2.2, 3.2, 4.2, 4.4]
