"""Bytes → blocks of whole lines, for a whole drop or a range. Memory is bounded for lines of any length."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.errors import VanishedError
from streaming.ticks.fields import MAX_LINE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Read = Callable[[int, int], bytes]

CHUNK = 8 << 20
"""Bytes read and parsed at a time."""
_STEP = 1 << 16


def whole_lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Blocks of whole lines, of at most a chunk and `MAX_LINE` bytes; only the drop's last line may lack its newline.

    A longer line that crosses chunks comes alone, cut after `MAX_LINE + 1` bytes: enough to be refused as too long.
    """
    begun, skipping = b"", False
    for chunk in chunks:
        rest = chunk
        if skipping:
            _, newline, rest = chunk.partition(b"\n")
            skipping = not newline
        block = begun + rest
        cut = block.rfind(b"\n") + 1
        if cut:
            yield block[:cut]
        begun = block[cut:]
        if len(begun) > MAX_LINE:
            yield begun[: MAX_LINE + 1]
            begun, skipping = b"", True
    if begun:
        yield begun


def count_lines(block: bytes) -> int:
    """Lines of a block, the last one counted without its newline too."""
    return block.count(b"\n") + (not block.endswith(b"\n") and bool(block))


def chunks_of(data: bytes) -> Iterator[bytes]:
    """Pieces of half to one `CHUNK`, the last one apart; they end with a line if they can, so that none is joined."""
    at = 0
    while len(data) - at > CHUNK:
        cut = data.rfind(b"\n", at + CHUNK // 2, at + CHUNK) + 1 or at + CHUNK
        yield data[at:cut]
        at = cut
    yield data[at:]


def chunks_of_range(read: Read, start: int, end: int, size: int) -> Iterator[bytes]:
    """Pieces of the lines whose first byte lies in [start, end) of a drop of `size` bytes.

    The last line is read beyond `end`, up to its newline or to where it is known to be too long.
    Raises VanishedError if `read(a, b)` does not give b - a bytes.
    """
    first = _first_line(read, start, end)
    ended = True
    for at in range(first, end, CHUNK):
        chunk = _exactly(read, at, min(at + CHUNK, end))
        ended = chunk.endswith(b"\n")
        yield chunk
    stop = min(size, end + MAX_LINE + 1)
    for at in () if ended else range(end, stop, _STEP):
        before, newline, _ = _exactly(read, at, min(at + _STEP, stop)).partition(b"\n")
        yield before + newline
        if newline:
            return


def _first_line(read: Read, start: int, end: int) -> int:
    """Offset of the first line that begins in [start, end), `end` if none does."""
    if start == 0:
        return 0
    for at in range(start - 1, end - 1, _STEP):
        found = _exactly(read, at, min(at + _STEP, end - 1)).find(b"\n")
        if found >= 0:
            return at + found + 1
    return end


def _exactly(read: Read, start: int, end: int) -> bytes:
    got = read(start, end)
    if len(got) != end - start:
        msg = f"expected {end - start} bytes at offset {start}, got {len(got)}: the drop changed while it was read"
        raise VanishedError(msg)
    return got
