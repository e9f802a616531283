"""`stocketl.overdue_dates`: sessions that were not complete by their deadline, and who was told.

Each function works in the caller's transaction. A session is judged once, when its deadline has come; if no job ran
then, at the next start.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.dates.calendar import weekdays

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.deadline import ExpectBy

KEPT = dt.timedelta(days=10)
"""For so long a date is waited for and told; no deadline older than this is judged."""
_PART = "deadline"
_NAMED = 20


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a date has. complete: it has data, and no ticker that was expected is missing."""

    tickers: int
    expected: int
    missing: list[str]

    @property
    def complete(self) -> bool:
        """Whether nothing is missing."""
        return self.tickers > 0 and not self.missing


def completeness(cur: cursor, date: dt.date) -> Completeness:
    """Of one date, which need not be there."""
    cur.execute(
        "SELECT coalesce((SELECT tickers FROM stocketl.date_facts WHERE date = %s), 0),"
        " coalesce((SELECT stocketl.ones(expected) FROM stocketl.expectation(%s)), 0),"
        " ARRAY(SELECT stocketl.missing(%s))",
        (date, date, date),
    )
    (tickers, expected, missing), *_ = cur.fetchall()
    return Completeness(tickers, expected, missing)


def judge(cur: cursor, by: ExpectBy, now: dt.datetime) -> tuple[list[dt.date], list[dt.date]]:
    """Judges the deadlines that have come since the last look: dates that are overdue now, and that no longer are."""
    since = max(_judged_until(cur, now), now - KEPT)
    new = []
    for session in by.passed(since, now, _sessions(cur, now)):
        if not completeness(cur, session).complete:
            cur.execute(
                "INSERT INTO stocketl.overdue_dates (date, due_at) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (session, by.due(session)),
            )
            new += [session] * cur.rowcount
    cur.execute("UPDATE stocketl.explained SET limits = %s WHERE part = %s", (now.isoformat(), _PART))
    return new, _close(cur, now)


def open_dates(cur: cursor) -> int:
    """How many dates are overdue."""
    cur.execute("SELECT count(*) FROM stocketl.overdue_dates WHERE done_at IS NULL")
    (count,), *_ = cur.fetchall()
    return int(count)


def forget(cur: cursor) -> None:
    """Without a deadline no date is overdue."""
    cur.execute("DELETE FROM stocketl.explained WHERE part = %s", (_PART,))
    cur.execute("UPDATE stocketl.overdue_dates SET done_at = clock_timestamp() WHERE done_at IS NULL")


def to_tell(cur: cursor, now: dt.datetime) -> list[dict[str, object]]:
    """The messages that wait, each with `event`, `date` and what the date has."""
    cur.execute(
        "SELECT date, due_at, done_at, told FROM stocketl.overdue_dates"
        " WHERE due_at > %s AND (told IS NULL OR told = 'overdue' AND done_at IS NOT NULL) ORDER BY date",
        (now - 2 * KEPT,),
    )
    messages: list[dict[str, object]] = []
    for date, due_at, done_at, told in cur.fetchall():
        has = completeness(cur, date)
        event = "overdue" if told is None else "complete" if has.complete else "given-up"
        messages.append(
            {
                "event": event,
                "date": date.isoformat(),
                "due_at": due_at.astimezone(dt.UTC).isoformat(),
                "complete_at": done_at and done_at.astimezone(dt.UTC).isoformat(),
                "tickers": has.tickers,
                "expected": has.expected,
                "missing": len(has.missing),
                "first_missing": has.missing[:_NAMED],
            }
        )
    return messages


def note_told(message: dict[str, object], cur: cursor) -> None:
    """A message has arrived."""
    cur.execute("UPDATE stocketl.overdue_dates SET told = %s WHERE date = %s", (message["event"], message["date"]))


def _judged_until(cur: cursor, now: dt.datetime) -> dt.datetime:
    """The time of the last look; the first one of all judges nothing."""
    cur.execute(
        "INSERT INTO stocketl.explained (part, limits) VALUES (%s, %s) ON CONFLICT DO NOTHING", (_PART, now.isoformat())
    )
    cur.execute("SELECT limits FROM stocketl.explained WHERE part = %s", (_PART,))
    (limits,), *_ = cur.fetchall()
    return dt.datetime.fromisoformat(limits)


def _sessions(cur: cursor, now: dt.datetime) -> list[dt.date]:
    """Those whose deadline may have come lately. Without a calendar: Mondays to Fridays."""
    first, last = (now - KEPT - KEPT).date(), now.date() + dt.timedelta(days=1)
    cur.execute("SELECT EXISTS (SELECT FROM stocketl.sessions)")
    if cur.fetchall() == [(False,)]:
        return weekdays(first, last)
    cur.execute("SELECT date FROM stocketl.sessions WHERE date BETWEEN %s AND %s ORDER BY date", (first, last))
    return [date for (date,) in cur.fetchall()]


def _close(cur: cursor, now: dt.datetime) -> list[dt.date]:
    cur.execute("SELECT date, due_at FROM stocketl.overdue_dates WHERE done_at IS NULL ORDER BY date")
    done = [date for date, due_at in cur.fetchall() if due_at < now - KEPT or completeness(cur, date).complete]
    if done:
        cur.execute("UPDATE stocketl.overdue_dates SET done_at = %s WHERE date = ANY(%s)", (now, done))
    return done
