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
    found = re.fullmatch(r"stocketl: something that should not happen: KeyError: 'price'. .* with (\S+)\n", told)
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

    assert (*ended(command, capsys), done) == (code, "", ["ended"])


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
