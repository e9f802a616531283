"""How a job ends that is told to, or whose Java dies: in plain lines, with an exit code, and nothing is lost."""

from __future__ import annotations

import contextlib
import signal
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest
from job_process import Job, drop, noise
from outcome import folders, receipts
from table_lock import locked
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from databases import Databases

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"


@dataclass
class Lived:
    """A home on which one job after another lives; each loads what the end of the one before has left in the input."""

    home: Path
    database: str
    dropped: list[bytes] = field(default_factory=list)

    @contextlib.contextmanager
    def job(self) -> Iterator[Job]:
        """The next one, once it has loaded all that was dropped, one more drop at least."""
        self.drop()
        with Job(self.home, self.database, "--lake", "none") as job:
            job.wait_for("every receipt", lambda: len(receipts(self.home)) == len(self.dropped))
            job.wait_for("an empty input", lambda: not folders(self.home, "input"))
            self.assert_right()
            yield job

    def drop(self) -> None:
        """A new date, and a correction of the one before."""
        day = len(self.dropped) + 2
        self.dropped.append(HEADER + f"2024-01-{day:02},A,{day},1\n2024-01-{day - 1:02},A,{day}.5,\n".encode())
        drop(self.home / "input", f"{day}.csv", self.dropped[-1])

    def assert_right(self, *, left: int = 0) -> None:
        """All drops are in the tables and in success/, but for the last ones, so many, which lie in the input."""
        loaded = self.dropped[: len(self.dropped) - left]
        assert_same(stored(self.database), expected(loaded))
        assert sorted(folders(self.home, "success").values()) == sorted(loaded)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Lived:
    """One for all tests that need no home of their own."""
    return Lived(tmp_path_factory.mktemp("lived") / "home", databases.create("lived"))


def test_sigterm_in_an_open_batch_loses_nothing(lived: Lived) -> None:
    """Though all processes get it: the batch is abandoned, and the next start loads it."""
    with lived.job() as job:
        with locked(lived.database) as waiting:
            lived.drop()
            job.wait_for("a batch that waits for the lock", waiting)
            before = job.output
            job.signal_everything(signal.SIGTERM)
            code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, len(said.splitlines()), noise(job.output)] == [143, 1, []], job.output
    lived.assert_right(left=1)


def test_a_java_that_is_killed_ends_the_job_with_one_plain_line(lived: Lived) -> None:
    """It says so and where to look, exit code 1; nothing is lost."""
    with lived.job() as job:
        before = job.output
        job.started("java").kill()
        code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, len(said.splitlines()), noise(job.output)] == [1, 1, []], job.output
        assert "Java was ended by signal 9" in said
        assert str(lived.home / "logs" / "spark.log") in said
    lived.drop()
    lived.assert_right(left=1)


def test_ctrl_c_again_and_again_ends_an_idle_job_in_plain_lines(lived: Lived) -> None:
    """What was loaded stays, each Ctrl-C has its line, and Spark's talk is in a file under the home."""
    with lived.job() as job:
        before = job.output
        job.interrupt()
        job.wait_for("the line that says so", lambda: "stopping (SIGINT)" in job.output)
        job.interrupt()
        code = job.wait_exit()
        said = job.output.removeprefix(before)
        assert [code, "already stopping" in said, noise(job.output)] == [130, True, []], job.output
        job.wait_gone()
    lived.assert_right()
    assert not folders(lived.home, "input")
    assert (lived.home / "logs" / "spark.log").stat().st_size > 0


def test_sigterm_while_spark_starts_ends_the_job_too(tmp_path: Path, database: str) -> None:
    """A stop that comes before the query exists is not forgotten, and leaves no process behind."""
    with Job(tmp_path / "home", database, "--lake", "none") as job:
        job.wait_for("Java", lambda: job.has_started("java") and "starting Spark" in job.output)
        job.signal_group(signal.SIGTERM)
        code = job.wait_exit()
        assert [code, noise(job.output)] == [143, []], job.output
        assert "stopping (SIGTERM): cuts the start of Spark short" in job.output
        job.wait_gone()


def test_sigterm_while_java_begins_ahead_ends_java_too(tmp_path: Path, database: str) -> None:
    """Java begins before anybody looks at the database, and a stop that comes then leaves no process behind."""
    with Job(tmp_path / "home", database, "--lake", "none") as job:
        job.wait_for("Java", lambda: job.has_started("java"))
        job.signal_everything(signal.SIGTERM)
        code = job.wait_exit()
        assert [code, noise(job.output)] == [143, []], job.output
        job.wait_gone()
