"""The bytes of a drop, read in ranges, as a file for what reads here and there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.ticks.lines import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable


class DropFile:
    """The bytes of a drop as a file, for what reads here and there."""

    closed = False

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read, self._size, self._at = read, size, 0

    def read(self, count: int = -1) -> bytes:
        """At most 8 MiB at a time are asked for."""
        end = self._size if count < 0 else min(self._at + count, self._size)
        pieces = [self._read(at, min(at + CHUNK, end)) for at in range(self._at, end, CHUNK)]
        self._at = max(self._at, end)
        return b"".join(pieces)

    def seek(self, offset: int, whence: int = 0) -> int:
        """As every file does."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """As every file does."""
        return self._at

    def close(self) -> None:
        """Nothing to be done."""
