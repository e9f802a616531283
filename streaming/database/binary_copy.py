"""PostgreSQL's binary COPY format: its frame, and the numpy types of its fields.

The format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format". All numbers are big-endian; a field
is its length in bytes, then its bytes; length -1 is NULL. An array field holds five numbers (dimensions, has-nulls,
element type, length, first index), then its elements as fields.
"""

from __future__ import annotations

import io
import itertools
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer
    from psycopg2.extensions import cursor

HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
TRAILER = b"\xff\xff"
DAYS_TO_2000 = 10957
"""1970-01-01 to 2000-01-01, where PostgreSQL counts from."""

SECONDS_TO_2000 = DAYS_TO_2000 * 86_400

FIELD = np.dtype([("length", ">i4"), ("value", ">i8")])
"""Of a double precision (its bits) or a bigint."""

DATE_FIELD = np.dtype([("length", ">i4"), ("date", ">i4")])
ARRAY = np.dtype([("length", ">i4"), ("head", ">i4", 5)])
"""What stands before the elements of an array."""

FLOAT8, INT8, DATE = 701, 20, 1082
"""Types as PostgreSQL numbers them."""


def copy_in(
    cur: cursor, statement: str, pieces: Iterator[bytes] | Iterator[memoryview], at_once: int = 1 << 18
) -> None:
    """Copies pieces of rows by a statement `COPY … FROM STDIN (FORMAT binary)`. at_once: bytes for a message.

    What a piece raises is raised. psycopg2 alone would say that the statement was cancelled: that is tried again.
    """
    stream = _Stream(pieces)
    try:
        cur.copy_expert(statement, stream, at_once)
    except Exception as error:
        if stream.failed is None:
            raise
        raise stream.failed from error


class _Stream(io.RawIOBase):
    """What `copy_expert` reads from: pieces of bytes, framed by the header and the trailer."""

    def __init__(self, pieces: Iterator[bytes] | Iterator[memoryview]) -> None:
        super().__init__()
        self._pieces: Iterator[bytes | memoryview] = itertools.chain([HEADER], pieces, [TRAILER])
        self._rest = memoryview(b"")
        self.failed: BaseException | None = None

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fills the buffer from the piece at hand; 0 at the end."""
        try:
            while not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    return 0
                self._rest = memoryview(piece)
        except BaseException as error:
            self.failed = error
            raise
        into = memoryview(buffer)
        size = min(len(into), len(self._rest))
        into[:size], self._rest = self._rest[:size], self._rest[size:]
        return size


def made_ahead(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The same pieces, each made while the server takes the one before."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, pieces, None)
        while (piece := coming.result()) is not None:
            coming = pool.submit(next, pieces, None)
            yield piece
