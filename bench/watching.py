"""A thread that looks at something again and again."""

from __future__ import annotations

import abc
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType


class Watching(threading.Thread, abc.ABC):
    """Looks every `seconds` while its context lasts, and once more at the end."""

    def __init__(self, seconds: float) -> None:
        super().__init__(name=type(self).__name__.lower(), daemon=True)
        self._seconds = seconds
        self._ended = threading.Event()

    @abc.abstractmethod
    def look(self) -> None:
        """One look."""

    def run(self) -> None:
        """Until the context ends."""
        while not self._ended.wait(self._seconds):
            self.look()
        self.look()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self.join()
