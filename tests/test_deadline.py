"""Deadlines: a time of day in a zone, whatever the clock of the machine says."""

from __future__ import annotations

import datetime as dt

import pytest

from streaming.deadline import ExpectBy


@pytest.mark.parametrize(
    ("text", "session", "due"),
    [
        ("18:30 America/New_York", "2024-03-08", "2024-03-08T23:30:00+00:00"),  # winter time
        ("18:30 America/New_York", "2024-03-11", "2024-03-11T22:30:00+00:00"),  # summer time
        ("18:30 America/New_York", "2024-07-03", "2024-07-03T22:30:00+00:00"),  # the exchange closes at 13:00
        ("06:30+1 Europe/Berlin", "2024-03-29", "2024-03-30T05:30:00+00:00"),
        ("06:30+1 Europe/Berlin", "2024-03-30", "2024-03-31T04:30:00+00:00"),  # the night of the change
        ("02:30 America/New_York", "2024-03-10", "2024-03-10T07:30:00+00:00"),  # an hour that is left out
        ("01:30 America/New_York", "2024-11-03", "2024-11-03T05:30:00+00:00"),  # an hour that comes twice: the first
        ("9:00 Asia/Tokyo", "2024-01-04", "2024-01-04T00:00:00+00:00"),
    ],
)
def test_a_deadline_is_a_time_of_its_zone(text: str, session: str, due: str) -> None:
    """Summer time, the days of its changes and days after the session included."""
    assert ExpectBy.of(text).due(dt.date.fromisoformat(session)).isoformat() == due


@pytest.mark.parametrize("text", ["18:30", "18:30 Nowhere/At_All", "25:00 UTC", "6pm UTC", "18:30 ../etc/passwd", ""])
def test_what_is_no_time_in_a_zone_is_refused(text: str) -> None:
    """The message shows how one is written."""
    with pytest.raises(ValueError, match="'18:30 America/New_York'"):
        ExpectBy.of(text)


def test_a_deadline_is_written_as_it_is_read() -> None:
    """The same text comes back, with two digits for the hour."""
    for text in ("18:30 America/New_York", "06:30+1 Europe/Berlin"):
        assert ExpectBy.of(text).given == text


def test_a_deadline_has_passed_from_its_second_on() -> None:
    """Not a second before, and not again once it was looked at."""
    by, days = ExpectBy.of("18:30 UTC"), [dt.date(2024, 3, 4), dt.date(2024, 3, 5)]
    due = dt.datetime(2024, 3, 4, 18, 30, tzinfo=dt.UTC)
    second = dt.timedelta(seconds=1)
    assert by.passed(due - 5 * second, due - second, days) == []
    assert by.passed(due - second, due, days) == days[:1]
    assert by.passed(due, due + second, days) == []
