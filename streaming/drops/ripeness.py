"""When a file that can only fail may fail: an empty one, and one whose name is none of a price file.

Some producers make an empty file before they fill it, others write under a name of their own that no list knows. So
such a file is left alone until it has lain untouched for a minute.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streaming.checkpoint.offset import digest
from streaming.ticks.how import wrong_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.profiles.profile import Profile
    from streaming.storage.place import Version


class Ripeness:
    """Asked before each admission. seconds: of patience; now: the time of day; clock: seconds that only go forward."""

    def __init__(
        self, seconds: float, *, now: Callable[[], float] = time.time, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._seconds = seconds
        self._now = now
        self._clock = clock
        self._seen: dict[str, float] = {}

    def __call__(self, version: Version, profile: Profile | None) -> bool:
        """Whether the version may be admitted: by its time or, if a clock is wrong, since it was first seen."""
        if version.size and wrong_name(version.key, profile) is None:
            return True
        if self._now() - version.modified.timestamp() >= self._seconds:
            return True
        since = self._seen.setdefault(digest(version), self._clock())
        if self._clock() - since < self._seconds:
            return False
        del self._seen[digest(version)]
        return True
