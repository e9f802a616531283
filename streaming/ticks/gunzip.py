"""Gzip, piece by piece and bounded: a bomb costs no more than the limit, a damaged file is never half loaded.

Members one after another are one file (RFC 1952, section 2.2); zero bytes after the last one are padding.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterator

GZIP = b"\x1f\x8b"

# zlib hands back what it did not use as a copy; with small pieces thousands of tiny members stay linear.
_FED = 1 << 14


def unpack(data: bytes, *, limit: int, chunk: int) -> Iterator[bytes]:
    """The unpacked bytes in pieces of `chunk` bytes, the last one shorter.

    Raises UnreadableError if `data` is truncated, corrupt, followed by something else, or unpacks to more than `limit`
    bytes: possibly after pieces were given, so nothing may be believed before the end.
    """
    return joined(_pieces(data), "gzip", limit, chunk)


def joined(pieces: Iterator[bytes], name: str, limit: int, chunk: int) -> Iterator[bytes]:
    """Pieces of any size as chunks, the last one shorter; name: of the format. Raises UnreadableError above `limit`."""
    waiting, total = bytearray(), 0
    for piece in pieces:
        total += len(piece)
        if total > limit:
            msg = f"the {name} unpacks to more than {limit:,} bytes, the limit for a packed drop; drop it uncompressed"
            raise UnreadableError(msg)
        waiting += piece
        while len(waiting) >= chunk:
            yield bytes(waiting[:chunk])
            del waiting[:chunk]
    if waiting:
        yield bytes(waiting)


def _pieces(data: bytes) -> Iterator[bytes]:
    at = 0
    while data.startswith(GZIP, at):
        member, last = zlib.decompressobj(wbits=31), at
        while not member.eof:
            fed = member.unconsumed_tail or data[at : at + _FED]
            if not member.unconsumed_tail:
                at += len(fed)
            piece = _decompress(member, fed, last)
            if not (fed or piece or member.eof):
                msg = f"the gzip is truncated: it ends after {len(data):,} bytes in the middle of its data"
                raise UnreadableError(msg)
            yield piece
        at -= len(member.unused_data)
    if data[at:].strip(b"\x00"):
        msg = f"the gzip is followed by something that is no gzip, from byte {at:,} of {len(data):,}"
        raise UnreadableError(msg)


def _decompress(member: zlib._Decompress, fed: bytes, start: int) -> bytes:
    try:
        return member.decompress(fed, 1 << 20)
    except zlib.error as error:
        msg = f"the gzip is corrupt, in the member that begins at byte {start:,}: {error}"
        raise UnreadableError(msg) from None
