"""Which profile is for a key."""

from __future__ import annotations

import pytest

from streaming.profiles.matching import first_for, fits
from streaming.profiles.profile import Profile


@pytest.mark.parametrize(
    ("pattern", "key", "is_for"),
    [
        ("*.csv", "a.csv", True),
        ("*.csv", "deep/in/a.csv", True),
        ("*.csv", "a.csv.gz", False),
        ("/*.csv", "deep/a.csv", False),
        ("nse/*.csv", "nse/a.csv", True),
        ("nse/*.csv", "nse/2024/a.csv", False),
        ("nse/**/*.csv", "nse/2024/03/a.csv", True),
        ("nse/**/*.csv", "nse/a.csv", True),
        ("nse/**", "nse/2024/a.csv", True),
        ("EQ??????.CSV", "EQ040324.CSV", True),
        ("EQ??????.CSV", "eq040324.csv", False),
        ("[ab].csv", "b.csv", True),
        ("[!ab].csv", "b.csv", False),
        ("a+b (1).csv", "a+b (1).csv", True),
    ],
)
def test_a_pattern_fits_keys_as_a_shell_would_have_it(pattern: str, key: str, is_for: bool) -> None:  # noqa: FBT001
    """`*` stays in a folder, `**` does not, and a pattern without a slash is for every folder."""
    assert fits(pattern, key) is is_for


def test_the_first_profile_that_fits_is_used() -> None:
    """The order of the file is the order of preference."""
    profiles = [Profile.model_validate({"name": name, "files": name}) for name in ("b.csv", "*.csv", "a.csv")]
    assert [getattr(first_for(key, profiles), "name", None) for key in ("a.csv", "b.csv", "c.txt")] == [
        "*.csv",
        "b.csv",
        None,
    ]
