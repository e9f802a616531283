"""How a job ends that is told to, or whose Java dies: in plain lines, with an exit code, and nothing is lost."""

from __future__ import annotations

import signal
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


def test_ctrl_c_again_and_again_ends_an_idle_job_in_plain_lines(tmp_path: Path, database: str) -> None:
    """What was loaded stays, each Ctrl-C has its line, and Spark's talk is in a file under the home."""
    home = tmp_path / "home"
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "first.csv", FIRST)
        job.wait_for("the file in success/", lambda: folders(home, "success"))
        before = job.output
        job.interrupt()
        job.wait_for("the line that says so", lambda: "stopping (SIGINT)" in job.output)
        job.interrupt()
        code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, "stopping already" in said, noise(job.output)] == [130, True, []], job.output
        job.wait_gone()
    assert folders(home) == {"success/first.csv": FIRST}
    assert_same(stored(database), expected([FIRST]))
    assert (home / "logs" / "spark.log").stat().st_size > 0


def test_sigterm_in_an_open_batch_loses_nothing(tmp_path: Path, database: str) -> None:
    """Though all processes get it: the batch is abandoned, and the next start loads it."""
    home = tmp_path / "home"
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "first.csv", FIRST)
        job.wait_for("the first receipt", lambda: receipts(home))
        with locked(database) as waiting:
            drop(home / "input", "second.csv", SECOND)
            job.wait_for("a batch that waits for the lock", waiting)
            before = job.output
            job.signal_everything(signal.SIGTERM)
            code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, len(said.splitlines()), noise(job.output)] == [143, 1, []], job.output
    assert_same(stored(database), expected([FIRST]))
    run_once(home, database, "--lake", "none")
    assert_same(stored(database), expected([FIRST, SECOND]))
    assert folders(home) == {"success/first.csv": FIRST, "success/second.csv": SECOND}


def test_sigterm_while_spark_starts_ends_the_job_too(tmp_path: Path, database: str) -> None:
    """A stop that comes before the query exists is not forgotten, and leaves no process behind."""
    with Job(tmp_path / "home", database, "--lake", "none") as job:
        job.wait_for("Java", lambda: job.has_started("java"))
        job.signal_group(signal.SIGTERM)
        code = job.wait_exit()
        assert [code, noise(job.output)] == [143, []], job.output
        assert "stopping (SIGTERM): cuts the start of Spark short" in job.output
        job.wait_gone()


def test_a_java_that_is_killed_ends_the_job_with_one_plain_line(tmp_path: Path, database: str) -> None:
    """It says so and where to look, exit code 1; nothing is lost."""
    home = tmp_path / "home"
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "first.csv", FIRST)
        job.wait_for("the file in success/", lambda: folders(home, "success"))
        before = job.output
        job.started("java").kill()
        code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, len(said.splitlines()), noise(job.output)] == [1, 1, []], job.output
        assert "Java was ended by signal 9" in said
        assert str(home / "logs" / "spark.log") in said
    drop(home / "input", "second.csv", SECOND)
    run_once(home, database, "--lake", "none")
    assert_same(stored(database), expected([FIRST, SECOND]))
