"""The bytes of the price history: what is not exactly what was written is refused."""

from __future__ import annotations

import re

import numpy as np
import pytest
from history_oracle import Bucket, Packet

from streaming.errors import CheckpointError
from streaming.packets import Superseded
from streaming.returns.chunks import _CHUNK_FORMATS, Cells, Earlier, cell_key, encode_chunk, freeze, thaw
from streaming.returns.history import History
from streaming.returns.timeline import _PLAIN_FORMATS, Timeline

CORRECTION: list[Packet] = [(2, [(1, "A", 9.0, 1)])]
# what version 1036c88 has written of `bucket()`: the index, the chunk, and the chunk if drop 1 goes on
OLDER_INDEX = bytes.fromhex(
    "53544b4c49020d7ad5198c0a00000001000000020000000200000002000000020000000100000001000000010000000100000001000000010000"
    "000200000028b52ffd206c350200c4025b2241222c202242225d0100020000000100f83f00408000f0f87f00020000000300000399406bca230e"
    "b61d0a002d64c81cbdea0630c6cec494c66e3a01f000a40c2009"
)
OLDER_CHUNK = bytes.fromhex(
    "53544b4c4301060918a07003000000030000000300000003000000000000000000000028b52ffd20484d0100b000000102f03f0000f800400100"
    "03ffffffffffffffff080020633066252fb0941bb0926f97d900da"
)
OLDER_OPEN_CHUNK = bytes.fromhex(
    "53544b4c43020a5eecbd610300000003000000030000000300000003000000010000000000000000000000000000000000000028b52ffd205385"
    "0100d000000102f03f0000f80040010003ff07070501000000000000000900b82c40c660cc4a5e6029376025df2eb301b401"
)


def bucket() -> Bucket:
    """Two tickers, two dates, one chunk."""
    some = Bucket()
    some.apply([(1, [(1, "A", 1.0, 1), (1, "B", 2.0, None), (2, "A", 1.5, 3)])])
    return some


def older(index: bytes = OLDER_INDEX, chunk: bytes = OLDER_CHUNK) -> Bucket:
    """The same, kept by an older version."""
    some = bucket()
    some.index, some.chunks[0] = index, chunk
    return some


def test_a_damaged_index_is_refused_wherever_the_damage_is() -> None:
    """Any byte turned over and any length cut off ends with an error that says what to do."""
    index = bucket().index
    assert index is not None
    damaged = [index[:at] + bytes([index[at] ^ 255]) + index[at + 1 :] for at in range(len(index))]
    for data in [*damaged, *(index[:length] for length in range(len(index)))]:
        with pytest.raises(CheckpointError, match=r"^index of the price history: expected .* restore it from a copy"):
            History(data, bucket().chunks)


def test_a_damaged_chunk_is_refused_wherever_the_damage_is() -> None:
    """The error names the chunk."""
    whole = bucket().chunks[0]
    damaged = [whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :] for at in range(len(whole))]
    for data in [*damaged, *(whole[:length] for length in range(len(whole)))]:
        some = bucket()
        some.chunks[0] = data
        with pytest.raises(CheckpointError, match=r"^chunk 0 of the price history: expected "):
            some.apply(CORRECTION)


def test_another_format_is_named() -> None:
    """A checkpoint of a later version says so instead of being misread."""
    some = bucket()
    some.chunks[0] = some.chunks[0][:5] + b"\x05" + some.chunks[0][6:]
    with pytest.raises(
        CheckpointError,
        match=re.escape("expected format 1 or 2 or 3 or 4, got format 5, which a newer stocketl has written"),
    ):
        some.apply(CORRECTION)


def test_what_an_older_version_has_written_goes_on() -> None:
    """A checkpoint of an older version is read, and what is written again is as if it had always been of this one."""
    some, twin = older(), bucket()
    assert some.apply(CORRECTION).after == twin.apply(CORRECTION).after
    assert (some.index, some.chunks) == (twin.index, twin.chunks)


def test_an_index_of_the_first_format_gets_its_fingerprint_from_the_chunks() -> None:
    """A checkpoint of the oldest version goes on: the chunks are read once, and the next index has it."""
    _, columns = thaw(b"I", OLDER_INDEX, _PLAIN_FORMATS, "index")
    some, twin = older(freeze(b"I", 1, columns[:-1])), bucket()
    assert some.index is not None
    assert Timeline.from_bytes(some.index).fingerprint is None
    applied, expected = some.apply(CORRECTION), twin.apply(CORRECTION)
    assert (applied.before, applied.after) == (Timeline.from_bytes(OLDER_INDEX).fingerprint, expected.after)
    assert some.index == twin.index


@pytest.mark.parametrize("format_of_chunk", [1, 2])
def test_a_drop_that_an_older_version_has_begun_goes_on(format_of_chunk: int) -> None:
    """A chunk of an older format has its marks, so what the drop gives again counts as given again."""
    version, columns = thaw(b"C", OLDER_OPEN_CHUNK, _CHUNK_FORMATS, "chunk")
    assert version == 2
    chunk = OLDER_OPEN_CHUNK if format_of_chunk == version else freeze(b"C", format_of_chunk, columns[:6])
    assert older(chunk=chunk).apply([(1, [(2, "A", 2.5, 1)])]).duplicates == {1: Superseded(1, 1, 1)}


def test_a_day_of_many_tickers_takes_little_more_than_its_digits() -> None:
    """Prices of up to 500.00 and volumes of up to ten million hold 4.9 bytes a cell."""
    rng, count = np.random.default_rng(1), 5_000
    price, volume = rng.integers(2_000, 50_000, count) / 100, rng.integers(0, 10_000_000, count)
    key = cell_key(np.arange(count), np.full(count, 20_000))
    cells = Cells(key, price, volume, np.zeros(count, np.uint8))
    assert len(encode_chunk(cells, None, Earlier.empty())) / count < 5.2


def test_an_index_in_the_place_of_a_chunk_is_refused() -> None:
    """The two kinds of bytes cannot be taken for each other."""
    some = bucket()
    assert some.index is not None
    some.chunks[0] = some.index
    with pytest.raises(CheckpointError, match=re.escape("expected bytes that begin with b'STKLC', got b'STKLI'")):
        some.apply(CORRECTION)


def test_a_chunk_of_another_moment_is_refused() -> None:
    """Index and chunks belong together: a chunk that lost its last batch would give wrong returns."""
    some, before = bucket(), bucket().chunks[0]
    some.apply([(2, [(2, "B", 4.0, 1)])])
    some.chunks[0] = before
    with pytest.raises(
        CheckpointError, match=re.escape("expected (cells, first date, last date) (4, 1, 2), got (3, 1, 2)")
    ):
        some.apply(CORRECTION)
