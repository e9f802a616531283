"""Invocations of the trigger that stop before each of their calls.

One that is killed before its call N has made N - 1 calls with all their effects: a crash at any place.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from trigger_emr import TriggerReport


class KilledError(BaseException):
    """The end of an invocation that was killed: nothing of ours catches it."""


class Invocation(threading.Thread):
    """Runs only within `begin`, `go_on` and `kill`, so that all is decided by who calls these."""

    def __init__(self, work: Callable[[], TriggerReport], begun: float) -> None:
        super().__init__(daemon=True)
        self._work, self.begun = work, begun
        self._go, self._parked = threading.Semaphore(0), threading.Semaphore(0)
        self._killed = False
        self.calls: list[str] = []
        self.next: str | None = None
        self.report: TriggerReport | None = None
        self.error: Exception | None = None

    @property
    def over(self) -> bool:
        return self.next is None

    def run(self) -> None:
        try:
            self.report = self._work()
        except KilledError:
            pass
        except Exception as error:  # noqa: BLE001 - what Lambda would log, and try again
            self.error = error
        finally:
            self.next = None
            self._parked.release()

    def begin(self) -> Invocation:
        """Up to before its first call."""
        self.start()
        self._parked.acquire()
        return self

    def go_on(self, calls: int = 1) -> Invocation:
        """Makes some more of its calls."""
        for _ in range(calls):
            if not self.over:
                self._go.release()
                self._parked.acquire()
        return self

    def finish(self) -> Invocation:
        while not self.over:
            self.go_on()
        return self

    def kill(self) -> None:
        self._killed = True
        self.finish()
        self.join()

    def gate(self, call: str) -> None:
        self.next = call
        self._parked.release()
        self._go.acquire()
        if self._killed:
            raise KilledError
        self.calls.append(call)


def gate(call: str) -> None:
    """Before each call: an invocation that is played stops here, anything else passes."""
    thread = threading.current_thread()
    if isinstance(thread, Invocation):
        thread.gate(call)
