"""Byte ranges of a large drop: which lines belong to which, how long a line may be, and what memory it costs."""

import itertools
import tracemalloc
from collections.abc import Callable

import pytest

from streaming.errors import VanishedError
from streaming.packets import Rejects
from streaming.ticks.how import How, splittable
from streaming.ticks.lines import CHUNK
from streaming.ticks.parse import Parsed, parse, parse_split

HEADER = b"date,id,price,volume\n"


def split(data: bytes, start: int, end: int) -> Parsed:
    return parse_split(lambda a, b: data[a:b], start, end, len(data), "a.csv", How(text_ids=False, unpacked_limit=0))


def recorded(data: bytes, asked: list[int]) -> Callable[[int, int], bytes]:
    def read(start: int, end: int) -> bytes:
        asked.append(end - start)
        return data[start:end]

    return read


def test_a_line_belongs_where_its_first_byte_lies() -> None:
    """At each cut of a file the rows before and after it are those whose first byte lies before and after it."""
    data = HEADER + b"2020-01-01,A,1,1\n2020-01-01,B,1,1\r\n2020-01-01,C,1,1"
    begins = {"A": 21, "B": 38, "C": 56}
    for cut in range(1, len(data)):
        left, right = split(data, 0, cut), split(data, cut, len(data))
        assert left.ticks.ids == [ticker for ticker, at in begins.items() if at < cut]
        assert right.ticks.ids == [ticker for ticker, at in begins.items() if at >= cut]
        assert left.lines == 1 + len(left.ticks)
        assert right.lines == len(right.ticks)


def test_the_lines_of_splits_add_up() -> None:
    """A reject's line in the whole drop is its line in the split plus the lines of the splits before."""
    data = b"\n" + HEADER + b"2020-01-01,A,1,1\nbad\n\n2020-01-01,B,1,1\nworse\n"
    whole, cuts = parse(data, "a.csv", How(text_ids=False, unpacked_limit=0)), [0, 1, 10, 30, 41, 44, 60, len(data)]
    joint, lines = Rejects.empty(), 0
    for start, end in itertools.pairwise(cuts):
        part = split(data, start, end)
        joint.line.extend(lines + line for line in part.rejects.line)
        joint.text.extend(part.rejects.text)
        joint.reason.extend(part.rejects.reason)
        lines += part.lines
    assert (joint, lines) == (whole.rejects, whole.lines)
    assert (joint.line, joint.text) == ([4, 7], ["bad", "worse"])


def test_a_line_may_have_a_mebibyte() -> None:
    """A line of exactly 1 MiB is read, one byte more is `line-too-long`; so in the whole as in ranges."""
    row = b"2020-01-01,A,1,1,"
    fits, over = row + b"x" * (2**20 - len(row)), row + b"x" * (2**20 - len(row) + 1)
    data = b"date,id,price,volume,note\n" + over + b"\n" + fits + b"\n" + over + b"\n2020-01-01,B,1,1,\n" + over
    for parsed in (parse(data, "a.csv", How(text_ids=False, unpacked_limit=0)), split(data, 0, len(data))):
        assert (sorted(parsed.ticks.ids), parsed.rejects.line, parsed.lines) == (["A", "B"], [2, 4, 6], 6)
        assert (parsed.rejects.reason, parsed.rejects.text) == (["line-too-long"] * 3, [over[:1000].decode()] * 3)


def test_a_line_of_fifty_megabytes_is_one_reject() -> None:
    """Such a line costs neither the rows around it nor memory, and only the split in which it begins reports it."""
    long = b"y" * 50_000_000
    data = HEADER + b"2020-01-01,A,1,1\n" + long + b"\n2020-01-01,B,1,1\n"
    tracemalloc.start()
    whole = parse(data, "a.csv", How(text_ids=False, unpacked_limit=0))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (whole.ticks.ids, whole.rejects.line, whole.reasons) == (["A", "B"], [3], {"line-too-long": 1})
    assert peak < 6 * CHUNK
    step = 10_000_000
    parts = [split(data, at, min(at + step, len(data))) for at in range(0, len(data), step)]
    assert [part.ticks.ids for part in parts] == [["A"], [], [], [], [], ["B"]]
    assert [part.reasons for part in parts] == [{"line-too-long": 1}, {}, {}, {}, {}, {}]


def test_reads_are_bounded() -> None:
    """No read asks for more than 8 MiB, and a split reads its own bytes, the head and little more."""
    data, asked = HEADER + b"2020-01-01,A,1,1\n" * 1_200_000, []
    part = parse_split(
        recorded(data, asked), 1_000_000, 12_000_000, len(data), "a.csv", How(text_ids=False, unpacked_limit=0)
    )
    assert (part.rows_read, max(asked)) == (647_059, 8 << 20)
    assert sum(asked) < 11_000_000 + (1 << 20) + (1 << 18)


def test_a_drop_that_shrank_is_not_parsed() -> None:
    """A read that gives other than it was asked for ends the parse: half a drop is never taken for the whole."""
    data = HEADER + b"2020-01-01,A,1,1\n" * 10
    with pytest.raises(VanishedError, match="expected 50 bytes at offset 20, got 49"):
        parse_split(
            lambda a, b: data[a : b - 1] if a else data[a:b],
            0,
            71,
            len(data),
            "a.csv",
            How(text_ids=False, unpacked_limit=0),
        )


def test_the_rejects_that_are_kept_are_bounded() -> None:
    """Hundreds of thousands of bad rows are all counted, and the first of them kept."""
    data = HEADER + b"2020-01-01,A,1,1\n" + b"x\n" * 200_000
    parsed = parse(data, "a.csv", How(text_ids=False, unpacked_limit=0))
    assert (parsed.rows_rejected, parsed.reasons) == (200_000, {"wrong-number-of-fields": 200_000})
    kept = -(-(32 << 20) // 201)
    assert (len(parsed.rejects), parsed.rejects.line[-1]) == (kept, kept + 2)


def test_only_plain_drops_are_splittable() -> None:
    """A gzip must be read whole, whatever its name; a range of one fails and says so."""
    assert [splittable(head, None) for head in (b"\x1f\x8b\x08", HEADER, b"")] == [False, True, True]
    assert "gzip" in (split(b"\x1f\x8b\x08" + bytes(50), 0, 53).failure or "")
