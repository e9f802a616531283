"""Packed files of every kind, told by their first bytes: read whole or not at all, and never beyond the limit."""

from __future__ import annotations

import bz2
import io
import lzma
import tracemalloc
import zipfile
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest

from streaming.ticks.how import How, splittable
from streaming.ticks.parse import Parsed, parse

if TYPE_CHECKING:
    from collections.abc import Callable

CSV = b"date,symbol,close,volume\n2024-03-04,A,1.5,2\n2024-03-05,A,1.6,3\n"
LIMIT = 1 << 20


def zstd(data: bytes) -> bytes:
    return bytes(pa.Codec("zstd").compress(data, asbytes=True))


def zipped(*members: tuple[str, bytes]) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return sink.getvalue()


def encrypted(data: bytes) -> bytes:
    """The archive with the mark of encryption in both of its headers."""
    marked = bytearray(data)
    marked[6] |= 1
    marked[data.find(b"PK\x01\x02") + 8] |= 1
    return bytes(marked)


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "bzip2": bz2.compress,
    "xz": lzma.compress,
    "zstd": zstd,
    "zip": lambda data: zipped(("a.csv", data)),
}


def read(data: bytes, key: str = "a.csv", limit: int = LIMIT) -> Parsed:
    return parse(data, key, How(text_ids=False, unpacked_limit=limit))


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("key", ["a.csv", "a.csv.gz", "a.csv.zst", "a.zip"])
def test_a_packed_file_is_read_whatever_its_name_says(kind: str, key: str) -> None:
    """The first bytes decide; it is never cut into parts."""
    data = PACKED[kind](CSV)
    assert (read(data, key).ticks.price.tolist(), splittable(data[:8], None)) == ([1.5, 1.6], False)


def test_text_that_is_called_gz_is_read_as_text() -> None:
    """So is a gzip that is called csv, which other tests show."""
    assert read(CSV, "a.csv.gz").rows_loaded == 2


@pytest.mark.parametrize("kind", ["bzip2", "xz"])
def test_several_streams_are_one_file(kind: str) -> None:
    """As `cat a.bz2 b.bz2` and parallel packers make them."""
    pack = PACKED[kind]
    assert read(pack(CSV[:30]) + pack(CSV[30:])).rows_loaded == 2


@pytest.mark.parametrize("kind", PACKED)
def test_a_file_that_was_cut_off_loads_nothing(kind: str) -> None:
    """At whatever byte, and the reason says so."""
    data = PACKED[kind](CSV * 50)
    for cut in range(12, len(data), max(1, len(data) // 20)):
        failure = read(data[:cut]).failure or ""
        assert failure.startswith(f"the {kind} is ")
        assert "truncated" in failure or "corrupt" in failure


@pytest.mark.parametrize("kind", ["bzip2", "xz", "zstd"])
def test_a_file_with_something_behind_it_loads_nothing(kind: str) -> None:
    """Nobody knows what it is."""
    assert (read(PACKED[kind](CSV) + b"more").failure or "").startswith(f"the {kind} is ")


@pytest.mark.parametrize("kind", PACKED)
def test_a_bomb_costs_no_more_than_its_limit(kind: str) -> None:
    """A hundred megabytes of zeros end at one, with memory that stays bounded."""
    bomb = PACKED[kind](b"date,id,price\n" + bytes(100_000_000))
    tracemalloc.start()
    failure = read(bomb).failure or ""
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert failure.startswith(f"the {kind} unpacks to more than 1,048,576 bytes")
    assert peak < 16 << 20


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (zipped(("a.csv", CSV), ("b.csv", CSV)), "the zip holds 2 files, expected one: 'a.csv', 'b.csv'"),
        (zipped(), "the zip holds 0 files, expected one"),
        (encrypted(zipped(("a.csv", CSV))), "the zip is encrypted: 'a.csv' needs a password"),
        (zipped(("[Content_Types].xml", b"<x/>"), ("xl/a.xml", b"")), "not a CSV file: expected text, plain or packed"),
        (zipped(("a.csv.gz", zipped(("a.csv", CSV)))), "not a CSV file"),
    ],
)
def test_an_archive_holds_one_readable_file(data: bytes, said: str) -> None:
    """Anything else is a clear failure."""
    assert (read(data).failure or "").startswith(said)


def test_folders_and_the_notes_of_a_mac_are_no_files_of_an_archive() -> None:
    """What Finder packs holds one file all the same."""
    data = zipped(("prices/", b""), ("prices/a.csv", CSV), ("__MACOSX/prices/._a.csv", b"\x00\x05"))
    assert read(data).rows_loaded == 2
