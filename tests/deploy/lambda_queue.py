"""Lambda's queues of asynchronous calls, as its documents describe them: one for each function, and what waits in it.

By docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html a call for which there is no concurrency
left goes back to the queue and is tried again, after 1 s at first and twice as long each time, at most 5 minutes; one
that is older than the function's MaximumEventAgeInSeconds is dropped. Lambda reads a long queue more slowly than this
model does, so what is late here would be later there.
"""

from __future__ import annotations

import heapq
import itertools
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 300.0


@dataclass(frozen=True)
class Function:
    """seconds: of one call; concurrency: calls at a time; oldest: age in seconds at which a call is dropped."""

    name: str
    seconds: float
    concurrency: int
    oldest: float = 6 * 3600.0


@dataclass(frozen=True)
class Call:
    """of: what called; due: when, in seconds; began: when it ran, None if it was dropped."""

    of: str
    due: float
    began: float | None

    @property
    def late(self) -> float:
        """Seconds; without end if it was dropped."""
        return float("inf") if self.began is None else self.began - self.due


def calls(function: Function, due: Iterable[tuple[float, str]], spread: float = 0.5) -> list[Call]:
    """What becomes of calls (when, of what) to a function, in the order in which they begin or are dropped.

    spread: by which share a pause may be shorter or longer, by chance, the same each time.
    """
    chance = Random(0)  # noqa: S311 - no secret
    number = itertools.count()
    waiting = [(at, next(number), at, of, _FIRST_PAUSE) for at, of in due]
    heapq.heapify(waiting)
    running: list[float] = []
    found: list[Call] = []
    while waiting:
        now, _, born, of, pause = heapq.heappop(waiting)
        while running and running[0] <= now:
            heapq.heappop(running)
        if now - born > function.oldest:
            found.append(Call(of, born, None))
        elif len(running) < function.concurrency:
            heapq.heappush(running, now + function.seconds)
            found.append(Call(of, born, now))
        else:
            after = pause * chance.uniform(1 - spread, 1 + spread)
            heapq.heappush(waiting, (now + after, next(number), born, of, min(2 * pause, _LONGEST_PAUSE)))
    return found
