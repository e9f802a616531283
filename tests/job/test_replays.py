"""A replay that reads less than the first time is refused before Spark commits it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from job_process import drop, noise, run_once, try_once
from split_drop import BEFORE, LARGE, SPLIT
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark


def test_a_commit_that_was_lost_after_its_drop_was_moved_away_ends_the_job(tmp_path: Path, database: str) -> None:
    """The replay of the last part finds no bytes and is refused; with the bytes back in its claim the job is right."""
    home = tmp_path / "home"
    drop(home / "input", "before.csv", BEFORE, 1)
    drop(home / "input", "large.csv", LARGE, 2)
    run_once(home, database, *SPLIT)
    commits = home / "checkpoint" / "commits"
    last = max(int(path.name) for path in commits.iterdir() if path.name.isdecimal())
    for name in (f"{last}", f".{last}.crc"):
        (commits / name).unlink(missing_ok=True)
    code, output = try_once(home, database, *SPLIT)
    assert (code, noise(output)) == (1, []), output
    assert "'large.csv') no longer reads the same: expected rows_read" in output
    shutil.copy2(home / "success" / "large.csv", home / "input" / ".claims" / "2")  # as the message says
    run_once(home, database, *SPLIT)
    assert_same(stored(database), expected([BEFORE, LARGE]))
