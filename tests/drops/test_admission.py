"""Admission: which drops make a batch, in which order, and what the offset remembers. On real folders."""

from __future__ import annotations

import itertools
import json
import os
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streaming.checkpoint.offset import EMPTY_OFFSET, Offset
from streaming.drops.admission import admit, spans
from streaming.drops.options import Limits
from streaming.storage.folder import Folder

if TYPE_CHECKING:
    from pathlib import Path

ROOMY = Limits(batch_bytes=1 << 20, split_bytes=1 << 16)


def drop(folder: Path, name: str, text: bytes, age: int = 100) -> None:
    """Writes a file that was last modified `age` seconds before a fixed moment."""
    path = folder / name
    path.write_bytes(text)
    os.utime(path, (1_700_000_000 - age, 1_700_000_000 - age))


def batch(offset: Offset) -> list[tuple[int, str, int, int]]:
    """(seq, key, start, end) of each drop of the batch."""
    return [(s.seq, s.version.key, s.start, s.end) for s in offset.drops]


def test_drops_are_numbered_by_age_then_by_key(tmp_path: Path) -> None:
    """Seq follows (last modified, key), not the order of names or of the directory."""
    for name, age in (("a.csv", 10), ("z.csv", 30), ("m.csv", 20), ("b.csv", 10)):
        drop(tmp_path, name, b"x", age)
    offset = admit(EMPTY_OFFSET, Folder(str(tmp_path)), ROOMY)
    assert batch(offset) == [(1, "z.csv", 0, 1), (2, "m.csv", 0, 1), (3, "a.csv", 0, 1), (4, "b.csv", 0, 1)]


def test_nothing_new_gives_the_very_same_offset(tmp_path: Path) -> None:
    """Spark starts a batch whenever the offset differs, so an idle prefix must not change it."""
    drop(tmp_path, "a.csv", b"x")
    place = Folder(str(tmp_path))
    offset = admit(EMPTY_OFFSET, place, ROOMY)
    assert admit(offset, place, ROOMY) is offset
    restarted = Offset.from_json(json.loads(json.dumps(offset.to_json())))
    assert json.dumps(restarted.to_json()) == json.dumps(offset.to_json())
    assert admit(restarted, Folder(str(tmp_path)), ROOMY) is restarted


def test_new_content_under_an_admitted_key_is_a_new_drop(tmp_path: Path) -> None:
    """A correction under the same name gets the next seq, whether the file was replaced or rewritten in place."""
    place = Folder(str(tmp_path))
    drop(tmp_path, "a.csv", b"one")
    first = admit(EMPTY_OFFSET, place, ROOMY)
    drop(tmp_path, "a.csv", b"three", age=50)
    second = admit(first, place, ROOMY)
    assert batch(second) == [(2, "a.csv", 0, 5)]
    assert [place.read(o.drops[0].version, o.seq) for o in (first, second)] == [b"one", b"three"]


def test_the_same_file_put_back_after_its_move_is_a_new_drop(tmp_path: Path) -> None:
    """Moved away and back within one look at the prefix: its claim is gone, so it is admitted again."""
    place = Folder(str(tmp_path))
    drop(tmp_path, "a.csv", b"one")
    first = admit(EMPTY_OFFSET, place, ROOMY)
    place.release(1)
    assert batch(admit(first, place, ROOMY)) == [(2, "a.csv", 0, 3)]


def test_a_batch_takes_the_oldest_drops_up_to_its_limit_and_leaves_the_rest_waiting(tmp_path: Path) -> None:
    """At least one drop a batch, never more bytes than the limit with more than one."""
    place, limits = Folder(str(tmp_path)), Limits(batch_bytes=10, split_bytes=10)
    for number, size in enumerate((4, 6, 3, 8)):
        drop(tmp_path, f"{number}.csv", b"x" * size, age=100 - number)
    first = admit(EMPTY_OFFSET, place, limits)
    second = admit(first, place, limits)
    third = admit(second, place, limits)
    assert [batch(o) for o in (first, second, third)] == [
        [(1, "0.csv", 0, 4), (2, "1.csv", 0, 6)],
        [(3, "2.csv", 0, 3)],
        [(4, "3.csv", 0, 8)],
    ]


def test_a_drop_above_the_limit_is_read_over_several_batches(tmp_path: Path) -> None:
    """It is the last of a batch and the first of the next; its last batch has room for others."""
    place, limits = Folder(str(tmp_path)), Limits(batch_bytes=20, split_bytes=8)
    drop(tmp_path, "big.csv", b"x" * 40, age=9)
    drop(tmp_path, "small.csv", b"y" * 5, age=8)
    offsets = [EMPTY_OFFSET]
    for _ in range(3):
        offsets.append(admit(offsets[-1], place, limits))
    assert [batch(o) for o in offsets[1:]] == [
        [(1, "big.csv", 0, 16)],
        [(1, "big.csv", 16, 32)],
        [(1, "big.csv", 32, 40), (2, "small.csv", 0, 5)],
    ]
    assert [o.open for o in offsets] == [False, True, True, False]
    assert [(s.start, s.end) for s in spans(offsets[2], limits)] == [(16, 24), (24, 32)]


def test_gzip_is_never_cut_whatever_its_name(tmp_path: Path) -> None:
    """Its bytes make sense only as a whole, so it is one span of any size."""
    place, limits = Folder(str(tmp_path)), Limits(batch_bytes=20, split_bytes=8)
    drop(tmp_path, "plain-name.csv", b"\x1f\x8b\x08" + b"z" * 50)
    offset = admit(EMPTY_OFFSET, place, limits)
    assert [(s.start, s.end, s.whole) for s in spans(offset, limits)] == [(0, 53, True)]


def test_what_was_moved_away_is_forgotten(tmp_path: Path) -> None:
    """The offset must not grow with history: it holds digests of what still lies in the prefix."""
    place = Folder(str(tmp_path))
    offset = EMPTY_OFFSET
    for number in range(20):
        drop(tmp_path, f"{number}.csv", b"x", age=number)
        offset = admit(offset, place, ROOMY)
        (tmp_path / f"{number}.csv").unlink()
        place.release(offset.seq)
    assert (offset.seq, len(offset.lying)) == (20, 1)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=8),
    batch_bytes=st.integers(1, 64),
    split_bytes=st.integers(1, 64),
)
def test_every_byte_of_every_drop_is_read_exactly_once_and_in_order(
    tmp_path_factory: Any, sizes: list[int], batch_bytes: int, split_bytes: int
) -> None:
    """Whatever the limits, the spans of all batches, one after the other, are the drops."""
    folder = tmp_path_factory.mktemp("input")
    place, limits = Folder(str(folder)), Limits(batch_bytes, split_bytes)
    for number, size in enumerate(sizes):
        drop(folder, f"{number}.csv", b"x" * size, age=100 - number)
    offset, read = EMPTY_OFFSET, []
    while (following := admit(offset, place, limits)) is not offset:
        offset = following
        read += [(s.seq, s.start, s.end) for s in spans(offset, limits)]
    for seq, size in enumerate(sizes, start=1):
        mine = [(start, end) for number, start, end in read if number == seq]
        assert (mine[0][0], mine[-1][1]) == (0, size)
        assert all(before[1] == after[0] for before, after in itertools.pairwise(mine))
    assert [seq for seq, _, _ in read] == sorted(seq for seq, _, _ in read)
