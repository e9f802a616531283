"""The time by which a date is to be complete: a time of day in a zone, for each session."""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_TEXT = re.compile(r"(\d{1,2}):(\d{2})(?:\+(\d))? ([A-Za-z][A-Za-z0-9_+/-]*)")


@dataclass(frozen=True, slots=True)
class ExpectBy:
    """time: of the day in the zone; later: how many days after the session.

    A session that ends early has the same deadline.

    >>> ExpectBy.of("18:30 America/New_York").due(dt.date(2024, 7, 3)).isoformat()
    '2024-07-03T22:30:00+00:00'
    """

    time: dt.time
    later: int
    zone: ZoneInfo

    @classmethod
    def of(cls, text: str) -> ExpectBy:
        """`18:30 America/New_York`, or `06:30+1 Europe/Berlin` for the day after the session. Raises ValueError."""
        found = _TEXT.fullmatch(text.strip())
        msg = "expected a time and a zone such as '18:30 America/New_York', or '06:30+1 Europe/Berlin' for the next day"
        if found is None:
            raise ValueError(msg)
        hour, minute, later, zone = found.groups()
        try:
            return cls(dt.time(int(hour), int(minute)), int(later or 0), ZoneInfo(zone))
        except (ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError, and so is caught below
            raise ValueError(msg) from None
        except KeyError:
            raise ValueError(msg) from None

    @property
    def given(self) -> str:
        """As `of` reads it."""
        return f"{self.time:%H:%M}" + (f"+{self.later}" if self.later else "") + f" {self.zone.key}"

    @property
    def text(self) -> str:
        """As it is told."""
        after = {0: "", 1: ", the day after"}.get(self.later, f", {self.later} days after")
        return f"{self.time:%H:%M} {self.zone.key}{after}"

    def due(self, session: dt.date) -> dt.datetime:
        """The deadline of a session, in UTC. In the hour that a change of the clock leaves out, it is an hour later."""
        day = session + dt.timedelta(days=self.later)
        return dt.datetime.combine(day, self.time, self.zone).astimezone(dt.UTC)

    def passed(self, since: dt.datetime, now: dt.datetime, sessions: list[dt.date]) -> list[dt.date]:
        """The sessions whose deadline lies after `since` and has come."""
        return [session for session in sessions if since < self.due(session) <= now]
