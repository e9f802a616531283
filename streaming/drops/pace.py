"""When the source looks at its input: by a clock that nobody can set.

Spark has a pace of its own, `trigger(processingTime="200 milliseconds")`, but it waits for a time of day. If the clock
were set back by half an hour (by NTP, by hand, after a virtual machine wakes), loading would stop for half an hour. So
the query asks without a pause, `processingTime="0 seconds"`, and the source answers when it is time, or when it is
woken (`wake`).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Seen = TypeVar("Seen")

ANSWER_SECONDS = 1.0
"""If the source finds nothing, it still answers this often, so that Spark can end the query."""


class Pace:
    """One look each `every` seconds, however often it is asked. clock: seconds that only go forward.

    sleep: waits so many seconds; if it is true, something may have arrived, and the next look comes at once.
    """

    def __init__(
        self,
        every: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], bool | None] = time.sleep,
    ) -> None:
        self._every = every
        self._clock = clock
        self._sleep = sleep
        self._next = clock()
        self._parent = os.getppid()

    def look(self, known: Seen, look: Callable[[], Seen], *, patient: bool) -> Seen:
        """What `look` finds. If nothing is new, answers only after the pause; a long pause is cut into several answers.

        patient: looks again and again until something is new. Raises EOFError if the process that asks has gone
        meanwhile: a source that nobody reads must admit nothing.
        """
        while True:
            waited = self._wait()
            if self._clock() < self._next and not patient:
                return known
            if self._clock() >= self._next:
                self._refuse_to_be_alone()
                found = look()
                self._next = self._clock() + self._every
                if found != known:
                    return found
                if not patient:
                    if not waited:
                        self._wait()
                    return known

    def _wait(self) -> bool:
        left = max(0.0, min(self._next - self._clock(), ANSWER_SECONDS))
        if self._sleep(left):  # without a pause too: it hears what has arrived meanwhile
            self._next = self._clock()
        return left > 0

    def _refuse_to_be_alone(self) -> None:
        if os.getppid() != self._parent:
            msg = "the process that reads this source has gone"
            raise EOFError(msg)
