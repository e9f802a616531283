"""How a job takes signals, without Spark: a process that works, or hangs, and is told to stop."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import psutil
import pytest

from streaming.errors import CheckpointError
from streaming.supervision.stopping import AskedToStopError, Stop, until_stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import ctypes, logging, subprocess, sys, threading, time
from pathlib import Path
from streaming.supervision import stopping
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout)
def job(stop):
    stop.now("its work")
    {job}
with stopping.stop_on_signals(stop := stopping.Stop(), seconds={seconds}):
    job(stop)
sys.exit(stop.code)
"""
READY = "print('ready', flush=True); "
IN_ORDER = READY + "stop.wait()"
# goes on waiting in C when a signal comes, as libpq does: no handler of Python's runs before it ends
IN_C = f"""libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(64)
    libc.pthread_mutex_lock(lock)
    threading.Thread(target=lambda: (stop.wait(), libc.pthread_mutex_unlock(lock))).start()
    {READY}libc.pthread_mutex_lock(lock)"""
NEVER = f"subprocess.Popen(['sleep', '600']); {READY}threading.Event().wait()"
STARTS = f"stop.begin('its start', expendable=True); java = subprocess.Popen(['sleep', '600']); {READY}java.wait()"


class Program:
    """A process that has said that it is ready."""

    def __init__(self, job: str, seconds: float = 600) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM.format(job=job, seconds=seconds)], stdout=subprocess.PIPE, text=True
        )
        assert self.says() == "ready"

    def says(self) -> str:
        """Its next line."""
        assert self.process.stdout is not None
        return self.process.stdout.readline().rstrip("\n")

    def ask(self, number: signal.Signals) -> str:
        """Sends it a signal; its next line."""
        self.process.send_signal(number)
        return self.says()


@pytest.fixture
def programs() -> Iterator[list[Program]]:
    begun: list[Program] = []
    yield begun
    for program in begun:
        program.process.kill()
        program.process.communicate()


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=str,
)
def test_a_signal_ends_the_job_in_order(number: signal.Signals, code: int, programs: list[Program]) -> None:
    """The line names the signal and what is ended; the exit code is the one that shells expect."""
    programs.append(program := Program(IN_ORDER))
    assert program.ask(number).startswith(f"stopping ({number.name}): waits for its work")
    assert program.process.wait() == code


def test_a_signal_is_told_at_once_though_the_main_thread_is_in_c(programs: list[Program]) -> None:
    """A statement of PostgreSQL may take minutes, and until then no handler of Python's runs."""
    programs.append(program := Program(IN_C))
    assert program.ask(signal.SIGTERM).startswith("stopping (SIGTERM)")
    assert program.process.wait() == 143


def test_a_second_signal_tells_what_is_waited_for_and_a_third_ends_it_with_its_children(
    programs: list[Program],
) -> None:
    """So there is a way out of an end that hangs."""
    programs.append(program := Program(NEVER))
    (child,) = psutil.Process(program.process.pid).children()
    assert program.ask(signal.SIGINT).startswith("stopping (SIGINT)")
    said = program.ask(signal.SIGINT)
    assert said.startswith("already stopping")
    assert "waits for its work" in said
    assert "asked 3 times" in program.ask(signal.SIGINT)
    assert program.process.wait() == 130
    psutil.wait_procs([child], timeout=60)
    assert not child.is_running()


def test_a_start_that_leaves_nothing_undone_is_cut_short_at_once(programs: list[Program]) -> None:
    """Spark takes a minute on a busy machine."""
    programs.append(program := Program(STARTS))
    assert program.ask(signal.SIGTERM).startswith("stopping (SIGTERM): cuts its start short")
    assert program.process.wait() == 143


def test_an_end_that_hangs_is_cut_short(programs: list[Program]) -> None:
    """Nobody has to send a second signal."""
    programs.append(program := Program(NEVER, seconds=0.5))
    assert program.ask(signal.SIGTERM).startswith("stopping (SIGTERM)")
    assert program.says().startswith("the job ends at once, since it has not ended within")
    assert program.process.wait() == 143


def test_a_job_started_by_nohup_outlives_its_terminal(programs: list[Program]) -> None:
    """SIGHUP was ignored before the job began, and stays so."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        programs.append(program := Program(IN_ORDER))
    finally:
        signal.signal(signal.SIGHUP, before)
    program.process.send_signal(signal.SIGHUP)
    assert program.ask(signal.SIGTERM).startswith("stopping (SIGTERM)")
    assert program.process.wait() == 143


def test_what_breaks_because_the_job_is_told_to_stop_is_no_error(tmp_path: Path) -> None:
    """Java and PostgreSQL may have got the signal too, and earlier; the details are in a file."""

    def breaks(stop: Stop) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        stop.wait()
        raise EOFError

    assert until_stopped(breaks, tmp_path) == 143
    assert "EOFError" in (tmp_path / "errors.log").read_text()


def test_the_signal_may_arrive_after_the_error_that_came_of_it(tmp_path: Path) -> None:
    """A process group hears of a signal one by one."""

    def breaks(_stop: Stop) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGTERM)).start()
        raise ConnectionResetError

    assert until_stopped(breaks, tmp_path) == 143


def test_an_error_without_a_signal_stays_an_error(tmp_path: Path) -> None:
    """Exit code 1 and its own words."""

    def breaks(_stop: Stop) -> None:
        msg = "they disagree"
        raise CheckpointError(msg)

    with pytest.raises(CheckpointError, match="they disagree"):
        until_stopped(breaks, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_start_goes_no_further_once_the_job_is_told_to_stop(tmp_path: Path) -> None:
    """Nothing is begun that would have to be ended; a job that ends by the marker `stop` has exit code 0."""

    def starts(stop: Stop) -> None:
        stop.set()
        stop.begin("the start of Spark")
        pytest.fail("it was begun")

    assert until_stopped(starts, tmp_path) == 0
    with pytest.raises(AskedToStopError, match="the start of Spark"):
        starts(Stop())
