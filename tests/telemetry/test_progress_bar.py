"""The bar at the foot of a terminal: what a person sees in a narrow window, and that it goes without a trace."""

from __future__ import annotations

import io
import logging
import os
import pty
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from streaming.telemetry import log as console
from streaming.telemetry.progress_bar import ProgressBar

if TYPE_CHECKING:
    from collections.abc import Iterator


class Terminal(io.StringIO):
    """Text that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def screen(width: int = 60) -> Console:
    """A terminal in memory."""
    return Console(file=Terminal(), force_terminal=True, width=width, highlight=False, color_system=None)


def written(to: Console) -> str:
    """All that was written to it."""
    assert isinstance(to.file, Terminal)
    return to.file.getvalue()


def test_a_narrow_window_shows_one_line_with_what_is_left() -> None:
    """A long name is cut, what is left is not; a control character moves nothing."""
    to = screen(width=60)
    bar = ProgressBar(to)
    what = "batch 3: \x1b[2Ja-very-long-name-of-a-file.csv"
    bar.show(what, done=384, of=1000, far="384 of 1,000 MB, 3 min left")
    bar.hide()
    line = next(line for line in written(to).split("\n") if "batch 3" in line)
    assert "batch 3: \\" in line
    assert "\x1b[2Ja" not in line
    assert "384 of 1,000 MB, 3 min left" in line
    assert "━" in line
    assert written(to).count("batch 3") <= 2  # at its start and at its end


def test_it_is_taken_away_and_the_cursor_is_given_back() -> None:
    """Hidden twice is hidden once, and it can be shown again."""
    to = screen()
    bar = ProgressBar(to)
    bar.hide()
    assert written(to) == ""
    for _ in range(2):
        bar.show("batch 1", done=0, of=None)
        assert written(to).count("\x1b[?25l") == written(to).count("\x1b[?25h") + 1
        bar.hide()
        bar.hide()
        assert written(to).count("\x1b[?25l") == written(to).count("\x1b[?25h")


@pytest.fixture
def _root_as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:], root.level = handlers, level
    logging.captureWarnings(capture=False)


@pytest.mark.usefixtures("_root_as_before")
def test_lines_of_the_log_stand_above_the_bar_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text in brackets is no markup, and a long line is not cut; a pipe and JSON get no bar."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "xterm")
    console.log_to_terminal("json")
    assert console.terminal() is None
    console.log_to_terminal("text")
    to = console.terminal()
    assert to is not None
    bar = ProgressBar(to)
    bar.show("batch 1", done=1, of=2)
    told = "drop [bold]a.csv[/] " + "x" * 300
    logging.getLogger("streaming").warning(told)
    bar.hide()
    assert told in sys.stderr.getvalue()  # type: ignore[attr-defined]
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    console.log_to_terminal("text")
    assert console.terminal() is None


@pytest.mark.usefixtures("_root_as_before")
def test_a_terminal_that_cannot_move_its_cursor_gets_no_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    """`TERM=dumb` (Emacs, some CI): nothing would be seen of a bar, so the lines must come."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    monkeypatch.setenv("TERM", "dumb")
    console.log_to_terminal("text")
    assert console.terminal() is None


_JOB_OF_A_SHELL = """
import os, sys
from rich.console import Console
from streaming.telemetry.progress_bar import ProgressBar
bar = ProgressBar(Console(stderr=True))
before = bar.in_front
if os.fork() == 0:
    os.setpgid(0, 0)  # as a shell does for `&`
    os._exit(3 + bar.in_front)
_, status = os.wait()
sys.exit(10 * before + os.waitstatus_to_exitcode(status))
"""


def test_a_bar_knows_whether_the_terminal_is_its_own() -> None:
    """In the foreground it is, in the background it is not; without a terminal nobody types."""
    child, _terminal = pty.fork()
    if child == 0:
        os.execv(sys.executable, [sys.executable, "-c", _JOB_OF_A_SHELL])  # noqa: S606 (no shell wanted)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 13
    assert ProgressBar(screen()).in_front
