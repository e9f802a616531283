"""The sessions of an exchange, by the package `exchange_calendars`, kept in `stocketl.sessions`."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from psycopg2.extras import execute_values

from streaming.errors import SettingsError

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

FIRST = dt.date(1990, 1, 1)  # with older data, the sessions begin with the data
AHEAD, MARGIN = dt.timedelta(days=90), dt.timedelta(days=30)
_WEEKEND = 5


def check_calendar(name: str) -> None:
    """Raises SettingsError if there is no calendar of this name, or not the package."""
    try:
        import exchange_calendars  # noqa: PLC0415 (takes a second to load, and few jobs have a calendar)
    except ImportError:
        msg = "calendar: the package exchange_calendars is not installed; `make setup` installs it"
        raise SettingsError(msg) from None
    if name not in exchange_calendars.get_calendar_names():
        msg = f"calendar: expected a name that exchange_calendars knows, such as XNYS, XLON or XETR, got {name!r}"
        raise SettingsError(msg)


def sessions(name: str, first: dt.date, last: dt.date) -> list[dt.date]:
    """The sessions from one date to another, as far as the calendar reaches."""
    import exchange_calendars  # noqa: PLC0415 (as above)

    least, most = _bounds(name)
    first, last = max(first, least or first), min(last, most or last)
    if first >= last:
        return []
    try:
        calendar = exchange_calendars.get_calendar(name, start=first.isoformat(), end=last.isoformat())
    except exchange_calendars.errors.NoSessionsError:
        return []
    return [session.date() for session in calendar.sessions]


def weekdays(first: dt.date, last: dt.date) -> list[dt.date]:
    """Mondays to Fridays: what counts as sessions without a calendar."""
    days = (first + dt.timedelta(days=number) for number in range((last - first).days + 1))
    return [day for day in days if day.weekday() < _WEEKEND]


def keep_sessions(cur: cursor, name: str | None, today: dt.date) -> bool:
    """Fills the table so that it reaches from the first date with data to some weeks ahead; None empties it.

    False: it did so already.
    """
    cur.execute("SELECT min(date), max(date) FROM stocketl.sessions WHERE calendar = %s", (name,))
    (first, last), *_ = cur.fetchall()
    cur.execute("SELECT min(date) FROM stocketl.date_facts")
    (oldest,), *_ = cur.fetchall()
    cur.execute("SELECT EXISTS (SELECT FROM stocketl.sessions WHERE calendar IS DISTINCT FROM %s)", (name,))
    others = cur.fetchall() == [(True,)]
    since, until = min(FIRST, oldest or FIRST), today + AHEAD
    enough = name is None or (first is not None and _reaches(name, first, last, since, until))
    if enough and not others:
        return False
    cur.execute("DELETE FROM stocketl.sessions")
    if name is not None:
        rows = [(day, name) for day in sessions(name, since, until)]
        execute_values(cur, "INSERT INTO stocketl.sessions (date, calendar) VALUES %s", rows, page_size=10_000)
    return True


def _reaches(name: str, first: dt.date, last: dt.date, since: dt.date, until: dt.date) -> bool:
    """Whether known sessions reach far enough, or as far as the calendar does."""
    least, most = _bounds(name)
    return first <= max(since, least or since) + MARGIN and last >= min(until, most or until) - MARGIN


def _bounds(name: str) -> tuple[dt.date | None, dt.date | None]:
    """The first and the last day that a calendar can tell of; None: it has no such bound."""
    import exchange_calendars  # noqa: PLC0415 (as above)

    calendar = exchange_calendars.get_calendar(name)
    least, most = calendar.bound_min(), calendar.bound_max()
    return None if least is None else least.date(), None if most is None else most.date()
