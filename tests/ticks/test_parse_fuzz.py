"""Any bytes have a stated fate, the one that the oracle gives, and the same however they are cut."""

import gzip
import itertools

import pytest
from csv_oracle import Fate, fate_of
from csv_strategies import damaged, files
from extent import extent
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from streaming.packets import Ticks
from streaming.ticks import by_column as blocks
from streaming.ticks import by_line as rows
from streaming.ticks import fields, lines
from streaming.ticks import parse as ticks
from streaming.ticks.how import How

pytestmark = [pytest.mark.usefixtures("both_ways"), pytest.mark.thorough]


HOW = How(text_ids=False, unpacked_limit=1 << 20)


def seen(parsed: ticks.Parsed) -> Fate:
    """What was parsed, in the oracle's terms."""
    fate = Fate(parsed.failure is not None, conflicts=parsed.conflicts)
    take(parsed, fate)
    assert len(fate.cells) == len(parsed.ticks) == parsed.rows_loaded
    assert sum(note["kind"] == "conflict" for note in parsed.notes) == min(parsed.conflicts, 10)
    assert len(fate.unreadable) == parsed.volume_unreadable
    return fate


def take(parsed: ticks.Parsed, fate: Fate) -> None:
    """Adds what was parsed of a split to the splits before it."""
    for code, day, price, volume in zip(
        parsed.ticks.code, parsed.ticks.date, parsed.ticks.price, parsed.ticks.volume, strict=True
    ):
        cell, given = (fields.iso_of(int(day)), parsed.ticks.ids[code]), None if volume < 0 else int(volume)
        before, known = fate.cells.pop(cell, (float(price), None))
        fate.conflicts += before != price or (given is not None and known is not None and given != known)
        fate.cells[cell] = (float(price), known if given is None else given)
    assert parsed.rows_read == parsed.rows_loaded + parsed.rows_duplicate + parsed.rows_rejected
    assert set(parsed.reasons) <= {*fields.REASONS, "bad-volume"}
    assert sum(parsed.reasons.values()) == parsed.rows_rejected == len(parsed.rejects)
    rejects = zip(parsed.rejects.line, parsed.rejects.reason, strict=True)
    fate.rejects += [(number + fate.lines, reason) for number, reason in rejects]
    fate.unreadable += [note["line"] + fate.lines for note in parsed.notes if note["kind"] == "volume-unreadable"]
    fate.read += parsed.rows_read
    fate.lines += parsed.lines


def parse(data: bytes, *, text_ids: bool = False) -> ticks.Parsed:
    return ticks.parse(data, "a.csv", How(text_ids=text_ids, unpacked_limit=1 << 20))


def agree(data: bytes, *, text_ids: bool = False) -> None:
    got, wanted = seen(parse(data, text_ids=text_ids)), fate_of(data, text_ids=text_ids, limit=1 << 20)
    assert got == wanted
    assert list(got.cells) == list(wanted.cells)


@given(files(), st.booleans())
@settings(max_examples=extent(50, 200), deadline=None)
def test_strange_rows_have_the_oracles_fate(data: bytes, text_ids: bool) -> None:  # noqa: FBT001 - drawn by Hypothesis
    """Files of good and strange rows give the oracle's ticks, rejects and counts, to the bit and in its order."""
    agree(data, text_ids=text_ids)


@given(damaged())
@settings(max_examples=extent(50, 200), deadline=None)
def test_damaged_files_have_the_oracles_fate(data: bytes) -> None:
    """A good file with bytes changed, added or lost anywhere has the fate that the oracle states."""
    agree(data)


@given(st.one_of(files(), damaged()), st.booleans())
@settings(max_examples=extent(40, 150), deadline=None)
def test_files_that_were_read_before_there_were_profiles_are_read_as_then(
    data: bytes,
    text_ids: bool,  # noqa: FBT001 - drawn by Hypothesis
) -> None:
    """A replay after an upgrade, `verify` and a rebuild find the rows that the older version has loaded."""
    how = How(text_ids=text_ids, unpacked_limit=1 << 20, before=True)
    got, wanted = seen(ticks.parse(data, "a.csv", how)), fate_of(data, text_ids=text_ids, limit=1 << 20, before=True)
    assert got == wanted


@given(st.binary(max_size=200))
@example(b"\x1f\x8b")
@example(b"\xef\xbb\xbf")
@settings(max_examples=extent(50, 150), deadline=None)
def test_any_bytes_have_the_oracles_fate(data: bytes) -> None:
    """Bytes of no format at all never raise."""
    agree(data)
    agree(b"date,id,price,volume\n" + data)


@given(files(), st.integers(0, 300), st.binary(max_size=4))
@example(b"date,id,price,volume\n", 3, b"\x20")  # a reserved flag: RFC 1952 asks for an error
@settings(max_examples=extent(50, 150), deadline=None)
def test_damaged_gzip_has_the_oracles_fate(data: bytes, at: int, junk: bytes) -> None:
    """A gzip with bytes overwritten loads whole or not at all."""
    packed = bytearray(gzip.compress(data, mtime=0) + gzip.compress(b"", mtime=0))
    packed[at : at + len(junk)] = junk
    # The first bytes decide whether it is a gzip; what is none is the business of the other tests.
    assume(packed.startswith(b"\x1f\x8b"))
    agree(bytes(packed))


@given(
    st.text(alphabet="0123456789.eE+-x_ ", min_size=1, max_size=12), st.text(alphabet="0123456789.+- xe", max_size=22)
)
@settings(max_examples=extent(50, 200), deadline=None)
def test_any_number_is_read_as_the_oracle_reads_it(price: str, volume: str) -> None:
    """Prices and volumes of the letters that numbers are made of, in a column alone and beside plain numbers."""
    agree(f"date,id,price,volume\n2020-01-01,A,{price},{volume}\n".encode())
    agree(f"date,id,price,volume\n2020-01-01,A,{price},1\n2020-01-01,B,1.5,{volume}\n2020-01-01,C,2,3\n".encode())


@given(st.data())
@settings(max_examples=extent(50, 150), deadline=None)
def test_any_cut_into_ranges_gives_the_same_rows(data: st.DataObject) -> None:
    """Cut at any bytes and read in pieces of any size, the splits add up to the whole: ticks, rejects, counts."""
    whole = data.draw(st.one_of(files(), damaged()))
    assume(not whole.startswith(b"\x1f\x8b"))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(whole) - 1)), max_size=5)))
    with pytest.MonkeyPatch.context() as patch:
        for module in (lines, rows, blocks):
            patch.setattr(module, "MAX_LINE", 90)
        one = parse(whole)
        patch.setattr(lines, "CHUNK", data.draw(st.integers(1, 60)))
        patch.setattr(lines, "_STEP", data.draw(st.integers(1, 20)))
        bounds = [0, *cuts, len(whole)]
        ranges = [(a, b) for a, b in itertools.pairwise(bounds) if a < b] or [(0, 0)]
        parts = [ticks.parse_split(lambda a, b: whole[a:b], a, b, len(whole), "a.csv", HOW) for a, b in ranges]
    wanted = fate_of(whole, max_line=90)
    if any(part.failure for part in parts):
        assert {part.failure for part in parts} == {one.failure}
        return
    joint = Fate(wanted.failed)
    for part in parts:
        take(part, joint)
    assert joint == wanted == seen(one)
    assert list(joint.cells) == list(wanted.cells)


@given(files(), st.integers(1, 40))
@settings(max_examples=extent(20, 60), deadline=None)
def test_buckets_share_out_every_row_once(data: bytes, buckets: int) -> None:
    """Each row lands in one bucket with its own values and order, and a bucket knows no other ids than its rows'."""
    parsed = parse(data)
    shared = ticks.by_bucket(parsed.ticks, buckets)
    for part in shared.values():
        assert sorted(set(part.code.tolist())) == list(range(len(part.ids)))
    assert sorted(row for part in shared.values() for row in listed(part)) == sorted(listed(parsed.ticks))
    for bucket, part in shared.items():
        own = [row for row in listed(parsed.ticks) if row[0] in part.ids]
        assert (listed(part), 0 <= bucket < buckets) == (own, True)


def listed(part: Ticks) -> list[tuple[str, int, float, int]]:
    columns = (part.code.tolist(), part.date.tolist(), part.price.tolist(), part.volume.tolist())
    return [(part.ids[code], day, price, volume) for code, day, price, volume in zip(*columns, strict=True)]
