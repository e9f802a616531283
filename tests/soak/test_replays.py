"""A replay that reads other bytes than the first time is refused before Spark commits it, however often it is tried."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest
from job_process import drop, kill_at, noise, run_once, try_once
from split_drop import BEFORE, LARGE, SPLIT
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak


def _kill_in_batch_of(home: Path, database: str, marker: Path) -> None:
    """Killed when the first part of the large drop is in the database and Spark has not committed it."""
    drop(home / "input", "before.csv", BEFORE, 1)
    run_once(home, database, *SPLIT)
    drop(home / "input", "large.csv", LARGE, 2)
    kill_at("published", marker, home, database, *SPLIT)


def _remove_its_bytes(home: Path) -> None:
    (home / "input" / "large.csv").unlink()
    for claim in (home / "input" / ".claims").iterdir():
        claim.unlink()


def _change_its_bytes(home: Path) -> None:
    """The claim is damaged: as long, with the same time of modification, and other prices."""
    for claim in (home / "input" / ".claims").iterdir():
        status = claim.stat()
        claim.write_bytes(claim.read_bytes().replace(b",12,9\n", b",77,9\n"))
        os.utime(claim, ns=(status.st_atime_ns, status.st_mtime_ns))


def test_a_part_of_a_drop_that_no_longer_reads_the_same_ends_the_job(tmp_path: Path, database: str) -> None:
    """Nothing is committed, however often it is tried; with the bytes back in their place the job goes on, right."""
    home = tmp_path / "home"
    _kill_in_batch_of(home, database, tmp_path / "marker")
    committed = sorted(path.name for path in (home / "checkpoint" / "commits").iterdir())
    shutil.copytree(home / "input", tmp_path / "kept")
    for damage in (_change_its_bytes, _remove_its_bytes):
        damage(home)
        code, output = try_once(home, database, *SPLIT)
        assert (code, noise(output)) == (1, []), output
        assert "'large.csv') no longer reads the same: expected rows_read" in output
        assert "INPUT/.claims/2" in output
        assert sorted(path.name for path in (home / "checkpoint" / "commits").iterdir()) == committed
    shutil.rmtree(home / "input")
    shutil.copytree(tmp_path / "kept", home / "input")
    run_once(home, database, *SPLIT)
    assert_same(stored(database), expected([BEFORE, LARGE]))


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
