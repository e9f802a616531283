"""SIGTERM and Ctrl-C: quietly, with exit code 0, and nothing is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from job_process import Job, drop, noise, run_once
from outcome import folders, receipts
from table_lock import locked
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"
FIRST = HEADER + b"2024-01-02,A,10,100\n2024-01-03,B,20,200\n"
SECOND = HEADER + b"2024-01-03,A,30,300\n2024-01-02,B,5,50\n"


def test_ctrl_c_of_an_idle_job_ends_it_with_one_plain_line(tmp_path: Path, database: str) -> None:
    """What was loaded stays, the terminal shows one more line, and Spark's talk is in a file under the home."""
    home = tmp_path / "home"
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "first.csv", FIRST)
        job.wait_for("the file in success/", lambda: folders(home, "success"))
        before = job.output
        job.interrupt()
        code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, len(said.splitlines()), noise(job.output)] == [0, 1, []], job.output
        job.wait_gone()
    assert folders(home) == {"success/first.csv": FIRST}
    assert_same(stored(database), expected([FIRST]))
    assert (home / "logs" / "spark.log").stat().st_size > 0


def test_sigterm_in_an_open_batch_loses_nothing(tmp_path: Path, database: str) -> None:
    """A batch that waits for a lock is abandoned, and the next start loads it."""
    home = tmp_path / "home"
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "first.csv", FIRST)
        job.wait_for("the first receipt", lambda: receipts(home))
        with locked(database) as waiting:
            drop(home / "input", "second.csv", SECOND)
            job.wait_for("a batch that waits for the lock", waiting)
            before = job.output
            job.terminate()
            code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, len(said.splitlines()), noise(job.output)] == [0, 1, []], job.output
    assert_same(stored(database), expected([FIRST]))
    run_once(home, database, "--lake", "none")
    assert_same(stored(database), expected([FIRST, SECOND]))
    assert folders(home) == {"success/first.csv": FIRST, "success/second.csv": SECOND}


def test_sigterm_while_spark_starts_ends_the_job_too(tmp_path: Path, database: str) -> None:
    """A stop that comes before the query exists is not forgotten, and leaves no process behind."""
    with Job(tmp_path / "home", database, "--lake", "none") as job:
        job.wait_for("Java", lambda: job.has_started("java"))
        job.terminate()
        code = job.wait_exit()
        assert [code, noise(job.output)] == [0, []], job.output
        job.wait_gone()
