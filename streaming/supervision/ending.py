"""How a command ends: the terminal shows plain lines and no stack trace, whatever the end is.

Exit code 0: well, 1: an error, 2: misuse. After a signal it is 128 and the signal's number (Ctrl-C 130, SIGTERM 143).
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import signal
import sys
import tempfile
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO

from streaming.errors import StockETLError
from streaming.masking import first_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    _Handler = Callable[[int, FrameType | None], object] | int | signal.Handlers | None

DETAILS = "errors.log"
_FULL = {errno.ENOSPC, errno.EDQUOT}


def end_plainly(command: Callable[[], object]) -> NoReturn:
    """Runs a command, which ends with SystemExit as typer's commands do, and ends the process."""
    _open_streams()
    with _ended_by_signals(), _no_traces_of_threads():
        code = _code_of(command)
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError) as error:
            _point_at_nothing(stream)
            if isinstance(error, OSError) and error.errno in _FULL:
                code = _failed(_no_room(error))
    sys.exit(code)


def keep_details(error: BaseException, folder: Path | None = None) -> str:
    """Adds the stack trace to `errors.log` in the folder, or in a new one. Returns the path, for a message."""
    text = "".join(traceback.format_exception(error))
    try:
        folder = folder or Path(tempfile.mkdtemp(prefix="stocketl-"))
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / DETAILS).open("a", encoding="utf-8") as file:
            file.write(f"{datetime.now(UTC).isoformat(timespec='seconds')}\n{text}\n")
    except OSError as refused:
        return f"its stack trace (which could not be written to a file: {refused.strerror})"
    return str(folder / DETAILS)


def _code_of(command: Callable[[], object]) -> int | str | None:
    try:
        command()
    except SystemExit as ended:
        return ended.code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    except StockETLError as error:
        return _failed(str(error))
    except BrokenPipeError:  # `stocketl receipts | head`: `head` has read enough and closed the pipe
        _point_at_nothing(sys.stdout)
        return 128 + signal.SIGPIPE
    except Exception as error:  # noqa: BLE001 (a fault of this program: a line for the person, the trace for its authors)
        return _failed(_fault(error))
    return 0


def _fault(error: BaseException) -> str:
    if isinstance(error, OSError) and error.errno in _FULL:
        _point_at_nothing(sys.stdout)  # its disk may be the full one
        return _no_room(error)
    first = first_line(_words_of(error))
    shown = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return f"this should not happen: {shown}. Please report it with {keep_details(error)}"


def _words_of(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 (pyspark asks Java for the text of its errors, and Java may be gone)
        return ""


def _no_room(error: OSError) -> str:
    where = "the answer, or a file," if error.filename is None else str(error.filename)
    return f"{where} could not be written: {error.strerror}. Make room; `df -h` shows which disk is full"


def _failed(told: str) -> int:
    with contextlib.suppress(OSError):  # the terminal may be gone
        sys.stderr.write(f"stocketl: {told}\n")
    return 1


def _open_streams() -> None:
    """If the caller has closed a stream (`>&-`), it leads nowhere. Else the next file opened would get its number.

    If the terminal has no code for a character, the character is written as its number.
    """
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is not None:
            continue
        with contextlib.suppress(OSError):
            os.fstat(number)
            continue
        os.dup2(os.open(os.devnull, os.O_RDWR), number)
        setattr(sys, name, os.fdopen(number, mode, encoding="utf-8"))
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM and a closed terminal end a command as Ctrl-C does, with all that it has started."""
    before: dict[signal.Signals, _Handler] = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if threading.current_thread() is threading.main_thread() and signal.getsignal(number) is signal.SIG_DFL:
            before[number] = signal.signal(number, _end)
    try:
        yield
    finally:
        for asked, handler in before.items():
            signal.signal(asked, handler)


def _end(number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(128 + number)


@contextlib.contextmanager
def _no_traces_of_threads() -> Iterator[None]:
    """Python itself prints errors that end a thread or the removal of an object: they go to a file instead."""
    before = threading.excepthook, sys.unraisablehook
    kept: list[Path] = []

    def keep(told: threading.ExceptHookArgs | sys.UnraisableHookArgs) -> None:
        if told.exc_value is not None:
            path = keep_details(told.exc_value, kept[0] if kept else None)
            kept[:] = [Path(path).parent]

    threading.excepthook = sys.unraisablehook = keep
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = before


def _point_at_nothing(stream: TextIO) -> None:
    """What is still to be written there goes nowhere. Else Python's own flush at the end would fail again."""
    with contextlib.suppress(OSError, ValueError), Path(os.devnull).open("w", encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), stream.fileno())
