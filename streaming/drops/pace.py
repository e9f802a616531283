"""When the source looks at its input: by a clock that nobody can set.

Spark has a pace of its own, `trigger(processingTime="200 milliseconds")`, but it waits for a time of day. If the clock
were set back by half an hour (by NTP, by hand, after a virtual machine wakes), loading would stop for half an hour. So
the query asks without a pause, `processingTime="0 seconds"`, and the source answers when it is time, or when it is
woken (`wake`).
"""

from __future__ import annotations

import math
import os
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

Seen = TypeVar("Seen")

ANSWER_SECONDS = 1.0
"""If the source finds nothing, it still answers this often, so that Spark can end the query."""

RARELY_SECONDS, REST_SECONDS = 60.0, 0.2
"""With a queue that tells of a bucket's new objects: the pause if it tells nothing, and the least if it tells much."""


class Pace:
    """One look each `every` seconds, however often it is asked. clock: seconds that only go forward.

    sleep: waits so many seconds; if it is true, something may have arrived, and the next look comes at once, but not
    within `rest` seconds of the last one. Each look that was woken for nothing doubles this rest, up to `every`.
    rarely: the pause after a look that found nothing, asked again and again; None: `every`.
    """

    def __init__(
        self,
        every: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], bool | None] = time.sleep,
        rest: float = 0.0,
        rarely: Callable[[], float] | None = None,
        deaf_sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._every = every
        self._clock = clock
        self._sleep = sleep
        self._deaf_sleep = deaf_sleep
        self._least_rest = self._rest = min(rest, every)
        self._rarely = rarely or (lambda: every)
        self._looked = -math.inf
        self._woken = self._found = False
        self._parent = os.getppid()

    def look(self, known: Seen, look: Callable[[], Seen], *, patient: bool) -> Seen:
        """What `look` finds. If nothing is new, answers only after the pause; a long pause is cut into several answers.

        patient: looks again and again until something is new. Raises EOFError if the process that asks has gone
        meanwhile: a source that nobody reads must admit nothing.
        """
        while True:
            waited = self._wait()
            self._refuse_to_be_alone()
            if self._left():
                if not patient:
                    return known
                continue
            found = look()
            self._note(found=found != known)
            if self._found:
                return found
            if not patient:
                if not waited:
                    self._wait()
                return known

    def _note(self, *, found: bool) -> None:
        """A look has ended."""
        if found:
            self._rest = self._least_rest
        elif self._woken:
            self._rest = min(2 * self._rest, self._every)
        self._looked, self._woken, self._found = self._clock(), False, found

    def _left(self) -> float:
        """Seconds until the next look."""
        pause = self._rest if self._woken else self._every if self._found else self._rarely()
        return max(0.0, self._looked + pause - self._clock())

    def _wait(self) -> bool:
        left = min(self._left(), ANSWER_SECONDS)
        if self._woken and left:
            self._deaf_sleep(left)  # it knows already that it will look
        elif self._sleep(left):  # without a pause too: it hears what has arrived meanwhile
            self._woken = True
        return left > 0

    def _refuse_to_be_alone(self) -> None:
        if os.getppid() != self._parent:
            msg = "the process that reads this source has gone"
            raise EOFError(msg)
