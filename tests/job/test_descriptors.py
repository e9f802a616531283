"""What a process has open is counted, and a job that is worn out begins anew before nothing can be opened any more."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest
from job_process import Job, drop, noise
from outcome import receipts, rows
from tables import assert_same, expected, stored

from streaming.descriptors import Descriptors, of_java_above, of_process
from streaming.telemetry.metrics import CloudWatch
from streaming.telemetry.wear import Wear

HEADER = b"date,id,price,trade_volume\n"
_CHILD = "import sys; from streaming.descriptors import of_java_above; print(of_java_above(), flush=True)"


def wear(*shares: int) -> tuple[Wear, list[bool]]:
    """What is said after each batch in which a Java had so many of 100 descriptors open."""
    seen = Wear(CloudWatch(print))
    ends = []
    for share in shares:
        seen.see([Descriptors("java 1 on a", share, 100)])
        ends.append(seen.ends(between_batches=True))
    return seen, ends


def test_what_is_open_is_counted_against_the_limit_of_that_process(tmp_path: Path) -> None:
    """Three more files are three more; the limit is the soft one."""
    before = of_process(os.getpid(), "python")
    files = [(tmp_path / str(number)).open("w") for number in range(3)]
    after = of_process(os.getpid(), "python")
    for file in files:
        file.close()
    assert before is not None
    assert after is not None
    assert after.open == before.open + 3
    assert after.limit <= resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert Descriptors.from_json(after.to_json()) == after


def test_a_process_that_is_gone_tells_nothing() -> None:
    """No error: the figure is left out."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert of_process(gone.pid, "python") is None


def test_java_is_found_above_a_shell_and_not_where_there_is_none(tmp_path: Path) -> None:
    """By the name of the process: the worker's parent may be the daemon that forked it."""
    java = tmp_path / "java"
    java.symlink_to(sys.executable)
    child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {_CHILD!r}])".replace(
        "sys.executable", repr(sys.executable)
    )
    command = [str(java), "-c", child]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path.cwd()).stdout
    assert found.startswith("Descriptors(process='java ")
    assert of_java_above() is None


def test_a_job_that_is_worn_out_ends_once_no_batch_is_open(caplog: pytest.LogCaptureFixture) -> None:
    """At 70 % of a limit that was mostly free before; told once, with the figures."""
    seen, ends = wear(10, 69, 70, 12)
    assert ends == [False, False, True, True]
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("java 1 on a has 70 of 100 descriptors open: the job ends between two batches")
    seen = wear(10)[0]
    seen.see([Descriptors("java 1 on a", 90, 100)])
    assert not seen.ends(between_batches=False)
    assert seen.ends(between_batches=True)


def test_a_limit_that_is_too_low_from_the_start_is_told_and_does_not_end_the_job(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Beginning anew would not help: the job would begin anew for ever."""
    assert wear(60, 75, 80)[1] == [False] * 3
    (line,) = [record.getMessage() for record in caplog.records]
    assert "ulimit -n" in line


def test_the_highest_share_counts_and_not_the_highest_number() -> None:
    """A process with few of few allowed is nearer to its end than one with many of many."""
    seen, _ = wear()
    seen.see([Descriptors("java 1 on a", 900, 100_000), Descriptors("java 2 on b", 60, 100)])
    assert seen.highest == Descriptors("java 2 on b", 60, 100)


@pytest.mark.spark
def test_a_worn_out_job_on_one_machine_begins_anew_and_goes_on(tmp_path: Path, database: str) -> None:
    """The limit of its Java falls below what it has open: another Java, the same command and process, nothing lost."""
    home, drops = tmp_path / "home", [HEADER + f"2024-01-0{day},A,{day},1\n".encode() for day in (2, 3, 4)]
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "0.csv", drops[0])
        job.wait_for("the first receipt", lambda: receipts(home))
        (java,) = job.processes("java")
        java.rlimit(resource.RLIMIT_NOFILE, (java.num_fds() * 13 // 10,) * 2)
        drop(home / "input", "1.csv", drops[1])
        job.wait_for(
            "another epoch", lambda: rows(database, "SELECT epoch AS number FROM stocketl.writer") == [{"number": 2}]
        )
        assert not java.is_running()
        drop(home / "input", "2.csv", drops[2])
        job.wait_for("the third receipt", lambda: len(receipts(home)) == 3)
        assert "descriptors open: the job ends between two batches and begins anew" in job.output
        assert noise(job.output) == []
        job.terminate()
        job.wait_exit()
        job.wait_gone()
    assert_same(stored(database), expected(drops))
