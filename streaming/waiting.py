"""A wait for something outside of the job: told at once, then again and again until it is over.

If a wait were told only once, the job would look idle. So each wait repeats its line, first often, then once a minute:
what the job waits for, for how long, after how many tries, what the last try met, and what to do.
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 60.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HeldUp:
    """A wait under way: for what, for how many seconds, after how many tries, what the last one met."""

    what: str
    seconds: float
    tries: int
    reason: str


class Waiting:
    """One thing that may have to be waited for again and again. For several threads.

    what: its name at the beginning of a line, such as `PostgreSQL`; clock: seconds.
    """

    def __init__(self, what: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._lock = threading.Lock()
        self._tries = 0
        self._since = self._next_line = self._pause = 0.0
        self._reason = ""

    def failed(self, reason: str, advice: str = "") -> None:
        """Another try has failed. Tells it if the last line is long enough ago.

        reason: one line with the SQLSTATE, errno or code; advice: a whole sentence that says what a person can do.
        """
        with self._lock:
            now = self._clock()
            if not self._tries:
                self._since = self._next_line = now
                self._pause = FIRST_PAUSE_SECONDS
                _register(self)
            self._tries, self._reason = self._tries + 1, reason
            if now < self._next_line:
                return
            self._next_line, self._pause = now + self._pause, min(2 * self._pause, LONGEST_PAUSE_SECONDS)
            seconds, tries = now - self._since, self._tries
        so_far = "" if tries == 1 else f" for {seconds:.0f} s ({tries} tries)"
        told = {"waiting_for": self._what, "seconds": round(seconds, 1), "tries": tries}
        log.warning("waiting for %s%s, nothing is lost: %s", self._what, so_far, _joined(reason, advice), extra=told)

    def over(self) -> None:
        """It answers again, or nobody needs it any more. If there was a wait, says so."""
        with self._lock:
            if not self._tries:
                return
            seconds, tries, self._tries = self._clock() - self._since, self._tries, 0
            _forget(self)
        told = {"waited_for": self._what, "seconds": round(seconds, 1), "tries": tries}
        log.warning("%s is back after %.1f s: going on", self._what, seconds, extra=told)

    def given_up(self) -> None:
        """The wait has ended without an answer: nothing is said."""
        with self._lock:
            if self._tries:
                self._tries = 0
                _forget(self)

    def held_up(self) -> HeldUp:
        """How it stands now."""
        with self._lock:
            return HeldUp(self._what, self._clock() - self._since, self._tries, self._reason)


def under_way() -> list[HeldUp]:
    """Every wait of this process, the longest first, for heartbeat and status."""
    with _registry_lock:
        waits = list(_registry)
    return sorted((wait.held_up() for wait in waits), key=lambda held: -held.seconds)


_registry: weakref.WeakSet[Waiting] = weakref.WeakSet()  # a wait that went away with its owner is over
_registry_lock = threading.Lock()


def _register(wait: Waiting) -> None:
    with _registry_lock:
        _registry.add(wait)


def _forget(wait: Waiting) -> None:
    with _registry_lock:
        _registry.discard(wait)


def _joined(reason: str, advice: str) -> str:
    return f"{reason.rstrip('.')}. {advice}" if advice else reason
