"""Whether and when an ended query is started again: by what ended it, how often that came, and how long it ran."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from streaming.masking import first_line
from streaming.supervision.mishaps import Mishap, mishap_of
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from streaming.publish.foreach_batch import Publish

_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 60.0
_WELL_SECONDS = 60.0  # if a query has lived for this long, it has not met what ended the one before


class Restarts:
    """Counts the mishaps of one batch and tells them. isolate: whether the next start parses drops in isolation."""

    def __init__(self, publish: Publish, *, isolate: bool) -> None:
        self.isolate = isolate
        self._publish = publish
        self._published = 0
        self._count = 0
        self._by_mishap: Counter[Mishap] = Counter()
        self._waits: dict[str, Waiting] = {}
        self._started = time.monotonic()

    def pause_after(self, reason: BaseException) -> float:
        """Seconds to wait before the next start. Raises the reason if that would not help."""
        self.look()
        mishap = mishap_of(reason)
        if mishap is None or (mishap.tries is not None and self._by_mishap[mishap] >= mishap.tries):
            raise reason
        self._by_mishap[mishap] += 1
        self._count += 1
        if mishap.isolates and self._by_mishap[mishap] > 1:
            self.isolate = True
        self._waits.setdefault(mishap.what, Waiting(mishap.what)).failed(first_line(reason), mishap.advice)
        doubled = min(self._count, 10)  # a storage may be away for days, and a float ends at 2 ** 1023
        return min(_FIRST_PAUSE_SECONDS * 2.0**doubled, _LONGEST_PAUSE_SECONDS)

    def started(self) -> None:
        """A query has begun."""
        self._started = time.monotonic()

    def look(self) -> None:
        """If a batch has been published since, the waits are over, and the next mishap counts anew."""
        if self._publish.batches > self._published:
            self._count, self._published = 0, self._publish.batches
            self._by_mishap.clear()
        elif not self._waits or time.monotonic() - self._started < _WELL_SECONDS:
            return
        for wait in self._waits.values():
            wait.over()
        self._waits.clear()
