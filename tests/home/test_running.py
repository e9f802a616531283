"""Whether a job runs: by its home, by the database, by its heartbeat."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psycopg2
import pytest

from streaming.database.transactions import Transactions
from streaming.home import running, sign
from streaming.ledger import writer
from streaming.settings import Settings, load
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

_HOLD = """
import sys, time
from streaming.settings import load
from streaming.home.sign import sign_of_life
with sign_of_life(load(environment=False, home=sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def holder(home: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that leaves its sign of life in a home."""
    command = [sys.executable, "-c", _HOLD, str(home)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            wait_until(lambda: (sign.read_document(home) or {}).get("process_id") == process.pid)
            yield process
        finally:
            process.kill()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def the_job(job: running.Job | None) -> running.Job:
    assert job is not None
    return job


def in_database(uri: str) -> running.Job | None:
    with contextlib.closing(psycopg2.connect(uri)) as connected, connected.cursor() as cur:
        return running.of_ledger(cur)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(environment=False, home=str(tmp_path / "home"))


def test_a_home_without_a_job_knows_of_none(settings: Settings) -> None:
    """Neither a home that is not there nor one that is a file makes up a job."""
    assert running.of_home(settings.home) is None
    settings.home.write_text("a file")
    assert running.of_home(settings.home) is None


def test_a_job_is_seen_by_its_home_until_it_ends(settings: Settings) -> None:
    """Its process, host and start are told; after its end, that it has ended and since when."""
    with holder(settings.home) as process:
        job = the_job(running.of_home(settings.home))
        assert (job.alive, job.process_id, job.host) == (True, process.pid, socket.gethostname())
        assert job.started_at is not None
        assert not job.silent
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)
    ended = the_job(running.of_home(settings.home))
    assert (ended.alive, ended.ended, ended.process_id) == (False, True, process.pid)


def test_a_killed_job_is_not_taken_for_the_program_that_has_its_number_now(settings: Settings) -> None:
    """After kill -9 the sign names a process that is alive, this one: the lock says that it is not the job."""
    with holder(settings.home) as process:
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    document = json.loads((settings.home / sign.DOCUMENT).read_text())
    (settings.home / sign.DOCUMENT).write_text(json.dumps(document | {"process_id": os.getpid()}))
    job = the_job(running.of_home(settings.home))
    assert (job.alive, job.ended) == (False, False)


def test_a_frozen_job_is_alive_and_silent(settings: Settings) -> None:
    """It holds its lock, and nobody has heard of it for some time."""
    with holder(settings.home) as process:
        process.send_signal(signal.SIGSTOP)
        document = json.loads((settings.home / sign.DOCUMENT).read_text())
        before = (datetime.now(UTC) - timedelta(minutes=5)).isoformat()
        (settings.home / sign.DOCUMENT).write_text(json.dumps(document | {"seen_at": before}))
        job = the_job(running.of_home(settings.home))
        assert (job.alive, job.silent) == (True, True)


def test_a_job_that_takes_over_in_the_same_home_is_the_one_that_is_told(settings: Settings) -> None:
    """The older one ends and does not write over the sign of the newer one."""
    with holder(settings.home) as older, holder(settings.home) as newer:
        assert older.stdin is not None
        older.stdin.close()
        older.wait(60)
        job = the_job(running.of_home(settings.home))
        assert (job.alive, job.process_id, job.ended) == (True, newer.pid, False)


def _of_wrong_types(settings: Settings) -> list[str]:
    whole = sign.read_document(settings.home)
    assert whole is not None
    wrong = ({"process_id": "x"}, {"home": 3}, {"database": 9}, {"seen_at": 7}, {"waits": 5}, {"waits": [{"what": 1}]})
    return [json.dumps(whole | values) for values in wrong]


def test_a_torn_sign_still_says_that_a_job_runs(settings: Settings) -> None:
    """Half a document, none, or another one: the lock alone decides."""
    with holder(settings.home):
        for text in ("", '{"process_id": 1', "[1]", "\0", *_of_wrong_types(settings)):
            (settings.home / sign.DOCUMENT).write_text(text)
            job = the_job(running.of_home(settings.home))
            assert (job.alive, job.process_id) == (True, None)


def test_a_full_disk_does_not_keep_a_job_from_leaving_its_sign(settings: Settings) -> None:
    """It takes the room of the last one; else `status` would say that all is well just when it is not."""
    settings.home.mkdir()
    document = settings.home / sign.DOCUMENT
    document.write_text("x" * 4000)
    file = document.stat().st_ino
    (settings.home / f"{sign.DOCUMENT}.{os.getpid()}.tmp").symlink_to("/dev/full")
    with sign.sign_of_life(settings):
        wait_until(lambda: the_job(running.of_home(settings.home)).process_id == os.getpid())
        assert document.stat().st_ino == file
    assert the_job(running.of_home(settings.home)).ended


def test_what_a_job_waits_for_is_in_its_home(settings: Settings) -> None:
    """The ledger cannot tell it while the database is down."""
    wait = Waiting("PostgreSQL")
    wait.failed("connection refused [08006]")
    try:
        with sign.sign_of_life(settings):
            wait_until(lambda: sign.read_document(settings.home))
            job = the_job(running.of_home(settings.home))
    finally:
        wait.over()
    told = [(held["what"], held["tries"], held["reason"]) for held in job.waits]
    assert ("PostgreSQL", 1, "connection refused [08006]") in told


def test_a_home_that_cannot_be_written_costs_the_sign_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The job goes on, and the log says what `status` will not see."""
    (tmp_path / "home").write_text("a file")
    with sign.sign_of_life(load(environment=False, home=str(tmp_path / "home"))):
        pass
    assert "cannot find this job" in caplog.text


def test_a_job_is_seen_by_its_sessions_in_the_database(database: str) -> None:
    """While they are used it runs; without them, on this machine, its process decides."""
    assert in_database_or_none(database) is None
    transactions = Transactions(database, threading.Event(), process=sign.own_name())
    transactions.run(writer.create)
    assert in_database(database) is None
    epoch = writer.take_over(database)
    transactions.run(lambda cur: writer.check_epoch(cur, epoch))
    job = the_job(in_database(database))
    assert (job.alive, job.process_id, job.epoch) == (True, os.getpid(), 1)
    assert job.why == "it uses its sessions in the database"
    transactions.close()
    here = the_job(in_database(database))
    assert (here.alive, here.why) == (True, "its process is on this machine")


def test_a_process_number_that_was_given_away_is_no_job(database: str) -> None:
    """The process of that number began after the job: it is another program's."""
    transactions = Transactions(database, threading.Event())
    transactions.run(writer.create)
    writer.take_over(database)
    transactions.run(lambda cur: cur.execute("UPDATE stocketl.writer SET started_at = '2001-01-01'"))
    transactions.close()
    job = the_job(in_database(database))
    assert (job.alive, job.why) == (False, "its process is not on this machine")


def test_a_job_of_another_machine_without_sessions_does_not_run(database: str) -> None:
    """Its last sign is its last batch or its start."""
    transactions = Transactions(database, threading.Event())
    transactions.run(writer.create)
    writer.take_over(database)
    transactions.run(lambda cur: cur.execute("UPDATE stocketl.writer SET host = 'elsewhere.example.com'"))
    transactions.close()
    job = the_job(in_database(database))
    assert (job.alive, job.host, job.why) == (False, "elsewhere.example.com", "it has no session in the database")
    assert job.seen_at == job.started_at


def test_a_name_of_the_uri_stays_before_the_jobs_own(database: str) -> None:
    """A job whose URI sets an application_name is seen all the same."""
    named = f"{database}&application_name={'x' * 80}"
    transactions = Transactions(named, threading.Event(), process=sign.own_name())
    transactions.run(writer.create)
    writer.take_over(database)
    transactions.run(lambda cur: cur.execute("UPDATE stocketl.writer SET started_at = '2001-01-01'"))
    assert the_job(in_database(database)).alive is True
    transactions.close()


def test_a_heartbeat_tells_of_a_job_that_no_home_knows(tmp_path: Path) -> None:
    """A fresh heartbeat means that it runs, an old one that it does not, an unreadable one that nobody can tell."""
    settings = load(environment=False, home=str(tmp_path / "home"), heartbeat=str(tmp_path / "control"))
    assert running.of_heartbeat(settings) is None
    (tmp_path / "control").mkdir()
    beat = tmp_path / "control" / "heartbeat.json"
    for age, alive in ((0, True), (600, False)):
        beat.write_text(json.dumps({"epoch": 3, "time": (datetime.now(UTC) - timedelta(seconds=age)).isoformat()}))
        job = the_job(running.of_heartbeat(settings))
        assert (job.alive, job.epoch) == (alive, 3)
    beat.write_text("{")
    assert the_job(running.of_heartbeat(settings)).alive is None


def test_a_heartbeat_of_the_future_is_no_sign_of_life(tmp_path: Path) -> None:
    """A clock was wrong: by its time alone the job would live for ever; seconds ahead are nothing."""
    settings = load(environment=False, home=str(tmp_path / "home"), heartbeat=str(tmp_path / "control"))
    beat = tmp_path / "control" / "heartbeat.json"
    beat.parent.mkdir()
    for ahead, alive in ((timedelta(seconds=20), True), (timedelta(hours=2), None)):
        beat.write_text(json.dumps({"time": (datetime.now(UTC) + ahead).isoformat()}))
        assert the_job(running.of_heartbeat(settings)).alive is alive


def test_one_source_that_sees_the_job_is_enough() -> None:
    """A job that runs beats one that cannot be told, and that beats the one seen last."""
    runs, unknown = running.Job(alive=True, why="a"), running.Job(None, "b")
    old, older = running.Job(alive=False, why="c", seen_seconds=60), running.Job(alive=False, why="d", seen_seconds=90)
    assert running.most_alive(older, None, unknown, runs, old) == runs
    silent = running.Job(alive=True, why="e", process_id=7, seen_seconds=90)
    seen = running.most_alive(silent, running.Job(alive=True, why="f", epoch=2, seen_seconds=1))
    assert seen == running.Job(alive=True, why="e", process_id=7, epoch=2, seen_seconds=1)
    assert running.most_alive(older, unknown, old) == unknown
    assert running.most_alive(older, old) == old
    assert running.most_alive(None, None) is None


def in_database_or_none(uri: str) -> running.Job | None:
    try:
        return in_database(uri)
    except psycopg2.errors.UndefinedTable:
        return None
