"""COPY of rows that are made on the way."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import psycopg2
import pytest

from streaming.database.binary_copy import copy_in, made_ahead

if TYPE_CHECKING:
    from collections.abc import Iterator

_COPY = "COPY numbers FROM STDIN (FORMAT binary)"


def row(number: int) -> bytes:
    """One field, a bigint."""
    return struct.pack(">hiq", 1, 8, number)


def test_pieces_of_any_size_become_rows(database: str) -> None:
    """None of them, empty ones, one of many rows, views of bytes."""
    pieces = [b"", row(1), memoryview(row(2) + row(3)), *(bytes([byte]) for byte in row(4))]
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        cur.execute("CREATE TEMPORARY TABLE numbers (n bigint)")
        copy_in(cur, _COPY, iter(()))
        copy_in(cur, _COPY, made_ahead(iter(pieces)), 3)
        cur.execute("SELECT array_agg(n ORDER BY n) FROM numbers")
        assert cur.fetchall() == [([1, 2, 3, 4],)]


def test_what_a_piece_raises_is_raised_itself(database: str) -> None:
    """Not that the statement was cancelled, as psycopg2 would say: that is tried again, for ever."""

    def broken() -> Iterator[bytes]:
        yield row(1)
        raise LookupError

    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        cur.execute("CREATE TEMPORARY TABLE numbers (n bigint)")
        with pytest.raises(LookupError):
            copy_in(cur, _COPY, made_ahead(broken()))


def test_what_the_server_refuses_is_its_own_error(database: str) -> None:
    """A row with a field too many."""
    with psycopg2.connect(database) as connection, connection.cursor() as cur:
        cur.execute("CREATE TEMPORARY TABLE numbers (n bigint)")
        with pytest.raises(psycopg2.Error, match="row field count is 2"):
            copy_in(cur, _COPY, iter([struct.pack(">hiqiq", 2, 8, 1, 8, 1)]))
