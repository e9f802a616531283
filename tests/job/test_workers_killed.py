"""Each kind of Python process that Spark starts for the job is killed from outside: the job goes on by itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from gauges import role
from job_process import Job, drop, noise
from outcome import receipts
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"


def test_a_job_whose_python_processes_are_killed_loads_the_next_drop(tmp_path: Path, database: str) -> None:
    """The reader of the input ended the job once, with the words `the query ended: null`."""
    home, drops = tmp_path / "home", [HEADER + f"2024-01-0{day},A,{day},1\n".encode() for day in (2, 3, 4, 5)]
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "0.csv", drops[0])
        job.wait_for("the first receipt", lambda: receipts(home))
        for number, kind in enumerate(["source", "workers", "source"], 1):
            victims = [process for process in job.processes("python") if role(process, job.pid) == kind]
            assert victims, f"nothing is a {kind}"
            for process in victims:
                process.kill()
            drop(home / "input", f"{number}.csv", drops[number])
            job.wait_for(f"receipt {number + 1}", lambda number=number: len(receipts(home)) == number + 1)
        assert noise(job.output) == []
    assert_same(stored(database), expected(drops))
