"""The bytes of the price history: what is not exactly what was written is refused."""

from __future__ import annotations

import re

import pytest
from history_oracle import Bucket, Packet

from streaming.errors import CheckpointError
from streaming.packets import Superseded
from streaming.returns.chunks import _CHUNK_FORMATS, freeze, thaw
from streaming.returns.history import History
from streaming.returns.timeline import _DTYPES, FORMAT, Timeline

CORRECTION: list[Packet] = [(2, [(1, "A", 9.0, 1)])]


def bucket() -> Bucket:
    """Two tickers, two dates, one chunk."""
    some = Bucket()
    some.apply([(1, [(1, "A", 1.0, 1), (1, "B", 2.0, None), (2, "A", 1.5, 3)])])
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
    some.chunks[0] = some.chunks[0][:5] + b"\x03" + some.chunks[0][6:]
    with pytest.raises(
        CheckpointError, match=re.escape("expected format 1 or 2, got format 3, which a newer stocketl has written")
    ):
        some.apply(CORRECTION)


def test_an_index_of_the_first_format_gets_its_fingerprint_from_the_chunks() -> None:
    """A checkpoint of an older version goes on: the chunks are read once, and the next index has it."""
    some, twin = bucket(), bucket()
    assert some.index is not None
    timeline = Timeline.from_bytes(some.index)
    columns = thaw(b"I", some.index, {FORMAT: [*_DTYPES, "<i8"]}, "index")
    some.index = freeze(b"I", 1, columns[:-1])
    assert Timeline.from_bytes(some.index).fingerprint is None
    applied, expected = some.apply(CORRECTION), twin.apply(CORRECTION)
    assert (applied.before, applied.after) == (timeline.fingerprint, expected.after)
    assert some.index == twin.index


def test_a_drop_that_an_older_version_has_begun_goes_on() -> None:
    """A chunk of the first format has its marks, so what the drop gives again counts as given again."""
    some = Bucket()
    some.apply([(1, [(1, "A", 1.0, 1), (2, "A", 2.0, 1)])], open_seq=1)
    columns = thaw(b"C", some.chunks[0], _CHUNK_FORMATS, "chunk")
    some.chunks[0] = freeze(b"C", 1, columns[:6])
    assert some.apply([(1, [(2, "A", 2.5, 1)])]).duplicates == {1: Superseded(1, 1, 1)}


def test_an_index_in_the_place_of_a_chunk_is_refused() -> None:
    """The two kinds of bytes cannot be taken for each other."""
    some = bucket()
    assert some.index is not None
    some.chunks[0] = some.index
    with pytest.raises(CheckpointError, match=re.escape("expected bytes that begin with b'STKLC', got b'STKLI'")):
        some.apply(CORRECTION)


def test_a_chunk_of_another_moment_is_refused() -> None:
    """Index and chunks belong together: a chunk that lost its last batch would give wrong returns."""
    some, older = bucket(), bucket().chunks[0]
    some.apply([(2, [(2, "B", 4.0, 1)])])
    some.chunks[0] = older
    with pytest.raises(
        CheckpointError, match=re.escape("expected (cells, first date, last date) (4, 1, 2), got (3, 1, 2)")
    ):
        some.apply(CORRECTION)
