"""`stocketl status` beside a real job: running, killed, and what a script sees."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from job_process import Job, command, drop
from outcome import receipts

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"


def test_a_job_is_seen_until_it_is_killed(tmp_path: Path, database: str) -> None:
    """By its home and by the database alone; after kill -9 both say that no job is running."""
    home = tmp_path / "home"
    by_home = ("status", "--home", str(home), "--database", database)
    by_database = ("status", "--database", database, "--input", str(home / "input"), "--json")
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "0.csv", HEADER + b"2024-01-02,A,10,100\n")
        job.wait_for("the first receipt", lambda: receipts(home))
        seen = command(*by_home)
        assert (seen.returncode, seen.stderr) == (0, ""), seen.stdout
        assert " ".join(seen.stdout.splitlines()[0].split()).startswith("job running: process ")
        facts = json.loads(command(*by_database).stdout)
        assert (facts["exit_code"], facts["job"]["running"], facts["drops"]["success"]) == (0, True, 1)
        job.kill()
    gone = command(*by_home)
    assert gone.returncode == 3
    assert " ".join(gone.stdout.splitlines()[0].split()).startswith("job NOT running, last seen ")
    facts = json.loads(command(*by_database).stdout)
    assert (facts["exit_code"], facts["job"]["running"]) == (3, False)
