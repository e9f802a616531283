"""The end of a job that is asked to stop: told at once, in order, and within a minute.

A thread that a pipe wakes takes the signals. A Python handler would wait for the main thread, which may be in the
middle of a PostgreSQL statement or a call of Java, or may hold a lock that the handler needs.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import socket
import threading
import time
from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.supervision.ending import keep_details

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import FrameType

log = logging.getLogger(__name__)

END_SECONDS = 60.0
"""An orderly end may take this long. After that the job kills its own processes and itself."""
_TIMES = 3
_RELATED_SECONDS = 1.0
_OVER = 0


class AskedToStopError(StockETLError):
    """The job was asked to stop, so the next part of its start is not begun."""


class Stop(threading.Event):
    """Set once the job is to end. signal: the one that asked for it, None if something else or nothing did."""

    def __init__(self) -> None:
        super().__init__()
        self.signal: signal.Signals | None = None
        self._doing = "the start"
        self._expendable = False

    @property
    def code(self) -> int:
        """The exit code of a job that ended in order: 0, or what shells expect after a signal (143 for SIGTERM)."""
        return 0 if self.signal is None else 128 + self.signal

    @property
    def doing(self) -> str:
        """What is under way, and what an end would have to wait for."""
        return self._doing

    @property
    def expendable(self) -> bool:
        """Whether the processes that this one has started may be ended at any moment."""
        return self._expendable

    def now(self, doing: str) -> None:
        """Says what is under way from here on. doing: a noun, such as `the start of Spark`."""
        self._doing, self._expendable = doing, False

    def begin(self, doing: str, *, expendable: bool = False) -> None:
        """The same, before it begins. Raises AskedToStopError if the job is to end."""
        if self.is_set():
            msg = f"asked to stop before {doing}"
            raise AskedToStopError(msg)
        self._doing, self._expendable = doing, expendable


def until_stopped(run: Callable[[Stop], None], logs: Path) -> int:
    """Runs a job to its end and returns its exit code. Raises what the job raises, unless the stop caused it.

    logs: the folder for details that a person need not see.
    """
    stop = Stop()
    with stop_on_signals(stop):
        try:
            run(stop)
        except KeyboardInterrupt:  # while Spark starts, it has a handler of its own for a moment
            stop.signal = stop.signal or signal.SIGINT
        except Exception as error:
            # if all processes get the signal at once, Java or PostgreSQL may end before this one hears of it
            stop.wait(0 if isinstance(error, AskedToStopError) else _RELATED_SECONDS)
            if stop.signal is None and not isinstance(error, AskedToStopError):
                raise
            keep_details(error, logs)
        for thread in threading.enumerate():  # Python itself would wait for them without a limit
            if not thread.daemon and thread is not threading.main_thread():
                stop.now(f"the end of the thread {thread.name!r}")
                thread.join()
    return stop.code


@contextlib.contextmanager
def stop_on_signals(stop: Stop, *, seconds: float = END_SECONDS) -> Iterator[None]:
    """SIGTERM, Ctrl-C and a closed terminal set the event. After a second signal, a line tells what the end waits for.

    seconds: after this time, or at a third signal, this process and its children are killed.
    """
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # else it was started by nohup
        numbers.append(signal.SIGHUP)
    woken, wake = socket.socketpair()
    wake.settimeout(0)
    watch = threading.Thread(target=_watch, args=(woken, stop, seconds), name="signals", daemon=True)
    before = {number: signal.signal(number, _leave_to_the_thread) for number in numbers}
    before_fd = signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    watch.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before_fd)
        for number, handler in before.items():
            signal.signal(number, handler)
        with contextlib.suppress(BlockingIOError):
            wake.send(bytes([_OVER]))
        watch.join()
        woken.close()
        wake.close()


def _leave_to_the_thread(_number: int, _frame: FrameType | None) -> None:
    pass


def _watch(woken: socket.socket, stop: Stop, seconds: float) -> None:
    asked, since, number = 0, 0.0, 0
    while True:
        woken.settimeout(max(since + seconds - time.monotonic(), 0.01) if asked else None)
        try:
            number = woken.recv(1)[0]
        except TimeoutError:
            _go(stop, f"has not ended within {seconds:.0f} s")
        if number == _OVER:
            return
        if number not in {signal.SIGTERM, signal.SIGINT, signal.SIGHUP}:
            continue
        asked += 1
        if asked == 1:
            since = time.monotonic()
            _begin(stop, signal.Signals(number))
        elif asked < _TIMES:
            passed = time.monotonic() - since
            log.warning(
                "already stopping for %.0f s: waits for %s. Another signal ends the job at once, else it ends in %.0f "
                "s at the latest. Nothing is lost, even by kill -9", passed, stop.doing, max(seconds - passed, 0),
            )  # fmt: skip
        else:
            _go(stop, f"was asked {asked} times")


def _begin(stop: Stop, number: signal.Signals) -> None:
    expendable, doing = stop.expendable, stop.doing
    does = f"cuts {doing} short" if expendable else f"waits for {doing}"
    log.info("stopping (%s): %s; what is not committed yet is loaded after the next start", number.name, does)
    stop.signal = number
    stop.set()
    if expendable and stop.expendable:
        _kill_children()


def _go(stop: Stop, why: str) -> None:
    """Ends this process, and the processes that it has started, as they are."""
    log.warning("the job ends at once, since it %s: it was waiting for %s. Nothing is lost", why, stop.doing)
    _kill_children()
    os._exit(stop.code)


def _kill_children() -> None:
    import psutil  # noqa: PLC0415 (most jobs never need it)

    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            child.kill()
