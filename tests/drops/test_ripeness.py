"""An empty file, and one with a foreign name, may still be written to: each fails only after a minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from streaming.drops.ripeness import Ripeness
from streaming.profiles.profile import Profile
from streaming.storage.place import Version

NOW = datetime(2024, 3, 4, 12, tzinfo=UTC)


def version(key: str, size: int, age: float) -> Version:
    return Version(key, "e", None, size, NOW - timedelta(seconds=age))


@pytest.mark.parametrize(
    ("key", "size", "age", "is_ripe"),
    [
        ("a.csv", 1, 0, True),
        ("a.csv", 0, 59, False),
        ("a.csv", 0, 60, True),
        ("a.txt", 1, 59, False),
        ("a.txt", 1, 61, True),
        ("a.csv.6eF5", 9, 1, False),
    ],
)
def test_a_file_that_can_only_fail_waits_for_a_minute(key: str, size: int, age: float, is_ripe: bool) -> None:  # noqa: FBT001
    """A price file with something in it does not wait."""
    assert Ripeness(60, now=NOW.timestamp, clock=lambda: 0.0)(version(key, size, age), None) is is_ripe


def test_a_profile_takes_files_of_any_name() -> None:
    """So such a file does not wait."""
    profile = Profile.model_validate({"name": "a", "files": "*.txt"})
    assert Ripeness(60, now=NOW.timestamp)(version("a.txt", 1, 0), profile)


def test_a_file_of_the_future_waits_since_it_was_first_seen() -> None:
    """Somebody's clock is wrong, and the file must not wait for ever."""
    clock = iter([0.0, 30.0, 31.0, 60.0]).__next__
    ripe = Ripeness(60, now=NOW.timestamp, clock=clock)
    assert [ripe(version("a.csv", 0, -3600), None) for _ in range(2)] == [False, True]
