"""How a command ends, whatever ends it: plain lines, no stack trace, an exit code."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streaming.supervision.ending import end_plainly


def ended(command: object, capsys: pytest.CaptureFixture[str]) -> tuple[object, str]:
    """The exit code and what is on standard error."""
    with pytest.raises(SystemExit) as end:
        end_plainly(command)  # type: ignore[arg-type]  # a function without arguments
    return end.value.code, capsys.readouterr().err


def test_a_fault_of_ours_is_one_line_and_its_trace_is_in_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    """A person sees what it was, and what to send us."""
    code, told = ended(lambda: {}["price"], capsys)
    assert code == 1
    found = re.fullmatch(r"stocketl: this should not happen: KeyError: 'price'. .* with (\S+)\n", told)
    assert found is not None, told
    assert "Traceback" in Path(found[1]).read_text()


class WordlessError(Exception):
    """As those of pyspark are once Java is gone."""

    def __str__(self) -> str:
        msg = "Java is gone"
        raise OSError(msg)


def test_an_error_that_can_no_longer_say_what_it_is_is_one_line_too(capsys: pytest.CaptureFixture[str]) -> None:
    """Its class, and the file with its trace."""

    def broken() -> None:
        raise WordlessError

    with pytest.raises(SystemExit, match="1"):
        end_plainly(broken)
    (line,) = capsys.readouterr().err.splitlines()
    assert "WordlessError. Please report it with " in line


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_ends_what_a_command_has_begun(
    number: signal.Signals, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The embedded server that `status` started is stopped as after any other end."""
    done = []

    def command() -> None:
        try:
            os.kill(os.getpid(), number)
            threading.Event().wait(60)
        finally:
            done.append("ended")

    # as a terminal starts it, not nohup
    before = signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    try:
        assert (*ended(command, capsys), done) == (code, "", ["ended"])
    finally:
        signal.signal(number, before)


def test_a_thread_that_breaks_prints_no_trace(capsys: pytest.CaptureFixture[str]) -> None:
    """Python's own way is to print it in the middle of the command's answer."""

    def command() -> None:
        thread = threading.Thread(target=lambda: {}["price"])
        thread.start()
        thread.join()

    assert ended(command, capsys) == (0, "")


def test_an_answer_that_nobody_reads_is_no_error() -> None:
    """`stocketl receipts | head` closes the pipe while there is more to write."""
    rows = "end_plainly(lambda: [print('row ' * 100) for _ in range(9999)])"
    code = f"from streaming.supervision.ending import end_plainly\n{rows}"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        assert (process.wait(), process.communicate()[1]) == (141, b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_the_caller_has_closed_are_no_error(closed: str) -> None:
    """As cron and some service managers start it: the code is the command's, and no file gets the number 0, 1 or 2."""
    code = "import os, sys\nfrom streaming.supervision.ending import end_plainly\n"
    code += "end_plainly(lambda: [print('row'), sys.stdin.isatty(), sys.exit(os.open(os.devnull, os.O_RDONLY))])"
    shell = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code]
    done = subprocess.run(shell, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (3, "")


@pytest.mark.parametrize("flush", [True, False])
def test_an_answer_that_does_not_fit_on_its_disk_is_told(flush: bool) -> None:  # noqa: FBT001 (a parameter of pytest)
    """`stocketl status > file` on a full disk: one line and exit code 1, as the file is not whole."""
    code = f"from streaming.supervision.ending import end_plainly\nend_plainly(lambda: print('row', flush={flush}))"
    shell = ["sh", "-c", 'exec "$0" -c "$1" > /dev/full', sys.executable, code]
    done = subprocess.run(shell, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "stocketl: the answer, or a file, could not be written: No space left on device. Make room; "
        "`df -h` shows which disk is full\n"
    )


def test_a_character_that_the_terminal_has_no_code_for_is_written_as_its_number() -> None:
    """The name of a file is shown in any locale."""
    code = "from streaming.supervision.ending import end_plainly\nend_plainly(lambda: print('caf\\u00e9'))"
    environment = os.environ | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "caf\\xe9\n", "")
