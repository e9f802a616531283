"""Packed drops load whole or fail, and a bomb costs no more than its limit."""

import gzip
import os
import tracemalloc

import pytest

from streaming.ticks.how import How
from streaming.ticks.parse import Parsed, parse

CSV = b"date,id,price,volume\n" + b"".join(b"2020-01-01,T%d,1.%d,%d\n" % (n, n, n) for n in range(2000))
PACKED = gzip.compress(CSV, mtime=0)


def read(data: bytes, limit: int = 1 << 20) -> Parsed:
    return parse(data, "a.csv.gz", How(text_ids=False, unpacked_limit=limit))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (PACKED[:1], "control character"),
        (PACKED[:2], "truncated"),
        (PACKED[:-1], "truncated"),
        (PACKED[:-8], "truncated"),
        (PACKED[: len(PACKED) // 2], "truncated"),
        (PACKED + PACKED[:-1], "truncated"),
        (PACKED[:500] + b"\xff" * 40 + PACKED[540:], "corrupt"),
        (PACKED[:-8] + b"\x00" * 4 + PACKED[-4:], "corrupt"),
        (PACKED[:-4] + b"\x00" * 4, "corrupt"),
        (b"\x1f\x8b" + bytes(100), "corrupt"),
        (PACKED + b"date,id", "followed by something that is no gzip"),
        (PACKED + bytes(20) + b"x", "followed by something that is no gzip"),
        (gzip.compress(PACKED, mtime=0), "gzip inside the file"),
        (gzip.compress(b"", mtime=0), "zero bytes"),
        (gzip.compress(b"date,id\n", mtime=0), "lacks 'price'"),
    ],
)
def test_a_damaged_gzip_fails_whole(data: bytes, said: str) -> None:
    """Truncated, corrupt or followed by something else: nothing of it loads, and the failure says which."""
    parsed = read(data)
    assert said in (parsed.failure or "")
    assert (len(parsed.ticks), parsed.rows_read, len(parsed.rejects)) == (0, 0, 0)


def test_the_limit_is_inclusive() -> None:
    """A gzip may unpack to exactly the limit and not to a byte more."""
    assert read(PACKED, len(CSV)).rows_loaded == 2000
    assert f"more than {len(CSV) - 1:,} bytes" in (read(PACKED, len(CSV) - 1).failure or "")


def test_many_members_are_one_file() -> None:
    """Members may begin in the middle of a line, and thousands of tiny ones cost no more than a large one."""
    members = [gzip.compress(CSV[at : at + 7], mtime=0) for at in range(0, len(CSV), 7)]
    assert read(b"".join(members)).rows_loaded == 2000


def test_a_gzip_of_many_blocks_loads() -> None:
    """Rows that lie across the blocks in which a file is unpacked and parsed are whole."""
    rows = b"".join(b"2020-01-01,T%d,1.5,%d,%s\n" % (n, n, os.urandom(60).hex().encode()) for n in range(140_000))
    data = b"date,id,price,volume,note\n" + rows
    assert len(data) > 2 * (8 << 20)
    for form in (data, gzip.compress(data, 1)):
        parsed = read(form, 1 << 30)
        assert (parsed.rows_loaded, parsed.lines, parsed.failure) == (140_000, 140_001, None)
        assert parsed.ticks.volume.tolist() == list(range(140_000))


def test_a_bomb_costs_no_more_than_its_limit() -> None:
    """Ten megabytes that unpack to ten gigabytes end at the limit, with memory that stays bounded."""
    member = gzip.compress(b"x" * 10_000_000, mtime=0)
    bomb = gzip.compress(b"date,id,price,volume\n") + member * 1000
    assert 9_000_000 < len(bomb) < 11_000_000
    tracemalloc.start()
    parsed = read(bomb, 100 << 20)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "more than 104,857,600 bytes" in (parsed.failure or "")
    assert peak < 60 << 20
