"""One job whose processes are killed from outside: first the Python ones, which it outlives, then all of them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from gauges import role
from job_process import Job, command, drop, noise
from outcome import receipts
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from databases import Databases

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"
DROPS = [HEADER + f"2024-01-0{day},A,{day},1\n".encode() for day in (2, 3, 4, 5)]


@dataclass(frozen=True)
class Living:
    """A job that has loaded the first drop."""

    home: Path
    database: str
    job: Job


@pytest.fixture(scope="module")
def living(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Living]:
    home, database = tmp_path_factory.mktemp("living") / "home", databases.create("living")
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "0.csv", DROPS[0])
        job.wait_for("the first receipt", lambda: receipts(home))
        yield Living(home, database, job)


def test_a_job_whose_python_processes_are_killed_loads_the_next_drop(living: Living) -> None:
    """The reader of the input ended the job once, with the words `the query ended: null`."""
    job, home = living.job, living.home
    for number, kind in enumerate(["source", "workers", "source"], 1):
        victims = [process for process in job.processes("python") if role(process, job.pid) == kind]
        assert victims, f"nothing is a {kind}"
        for process in victims:
            process.kill()
        drop(home / "input", f"{number}.csv", DROPS[number])
        job.wait_for(f"receipt {number + 1}", lambda number=number: len(receipts(home)) == number + 1)
    assert noise(job.output) == []
    assert_same(stored(living.database), expected(DROPS))


def test_status_sees_a_job_until_it_is_killed(living: Living) -> None:
    """By its home and by the database alone; after kill -9 both say that no job is running."""
    by_home = ("status", "--home", str(living.home), "--database", living.database)
    by_database = ("status", "--database", living.database, "--input", str(living.home / "input"), "--json")
    seen = command(*by_home)
    assert (seen.returncode, seen.stderr) == (0, ""), seen.stdout
    assert " ".join(seen.stdout.splitlines()[0].split()).startswith("job running: process ")
    facts = json.loads(command(*by_database).stdout)
    loaded = len(receipts(living.home))
    assert (facts["exit_code"], facts["job"]["running"], facts["drops"]["success"]) == (0, True, loaded)
    living.job.kill()
    gone = command(*by_home)
    assert gone.returncode == 3
    assert " ".join(gone.stdout.splitlines()[0].split()).startswith("job NOT running, last seen ")
    facts = json.loads(command(*by_database).stdout)
    assert (facts["exit_code"], facts["job"]["running"]) == (3, False)
