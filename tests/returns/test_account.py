"""What each drop did, against an oracle that takes drop after drop over dicts; wherever the batches are cut."""

from __future__ import annotations

import itertools
import random

import pytest
from drops_oracle import Rows, add, history, oracle_of, replayed
from extent import extent
from history_oracle import Bucket, Packet, Row
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.corrections import Did

# Few dates, tickers and prices, so that rows meet and come back to what they were.
rows = st.tuples(
    st.integers(1, 7),
    st.sampled_from(["001", "BRK.B", 'x"%s']),
    st.sampled_from([0.1, 0.3, 100.01]),
    st.sampled_from([None, None, 0, 7]),
)
drops = st.lists(st.lists(st.lists(rows, max_size=6), min_size=1, max_size=3), max_size=8)


def told(packets: list[Packet], borders: list[int], chunk_cells: int) -> tuple[dict[int, Did], Rows]:
    """What the history says in batches that are cut there, added up as the ledger does it."""
    bucket, did, found = Bucket(chunk_cells), dict[int, Did](), Rows()
    for begin, end in itertools.pairwise([0, *borders, len(packets)]):
        following = packets[end][0] if end < len(packets) else None
        is_open = begin < end and packets[end - 1][0] == following
        applied = bucket.apply(packets[begin:end], following if is_open else None)
        for seq, part in applied.did.items():
            did[seq] = did.get(seq, Did()) + part
        add(found, applied.corrections)
    return did, found


def check(packets: list[Packet], borders: list[int], chunk_cells: int) -> None:
    oracle = oracle_of(packets)
    did, found = told(packets, borders, chunk_cells)
    assert {seq: did.get(seq, Did()) for seq in oracle.did} == oracle.did
    assert found == oracle.corrections


@pytest.mark.thorough
@given(parts=drops, cuts=st.sets(st.integers(0, 23)), chunk_cells=st.sampled_from([1, 2, 3, 5, 8, 1000]))
@settings(max_examples=extent(150, 3000), deadline=None)
def test_any_drops_in_any_batches_do_what_they_do_one_after_the_other(
    parts: list[list[list[Row]]], cuts: set[int], chunk_cells: int
) -> None:
    """Counts and corrections are those of the oracle, wherever batches and drops are cut."""
    packets = [(seq, part) for seq, drop in enumerate(parts, start=1) for part in drop]
    check(packets, sorted(cut for cut in cuts if 0 < cut < len(packets)), chunk_cells)


@pytest.mark.parametrize("seed", range(extent(4, 20)))
def test_counts_and_corrections_do_not_depend_on_the_batches(seed: int) -> None:
    """The same drops, cut at random in five ways into batches: always those of the oracle."""
    packets, chance = history(seed), random.Random(seed)  # noqa: S311 (a seed, not a secret)
    for _ in range(5):
        borders = sorted(chance.sample(range(1, len(packets)), chance.choice([0, 3, 10, len(packets) - 1])))
        check(packets, borders, chance.choice([3, 30, 4096]))


@pytest.mark.parametrize("seed", range(3))
def test_corrections_lead_from_the_tables_of_any_drop_to_those_of_any_later_one(seed: int) -> None:
    """Each row finds what it says was there before, and with the first values of new cells the rest is exact."""
    packets = history(seed)
    oracle, (_, found) = oracle_of(packets), told(packets, [len(packets) // 2], 30)
    moments = [0, 3, 8, 15, 22, 29, 30]
    for since, until in itertools.combinations(moments, 2):
        assert replayed(oracle.tables[since], found, oracle.first, since, until) == oracle.tables[until]


def test_a_drop_counts_cells_returns_and_tickers() -> None:
    """One of each kind: new, changed, the same; the return of the changed cell and of the one after it; a ticker."""
    bucket = Bucket()
    bucket.apply([(1, [(1, "A", 1.0, 5), (2, "A", 2.0, 5), (3, "A", 4.0, 5)])])
    drop: list[Row] = [(2, "A", 4.0, None), (3, "A", 4.0, 5), (4, "A", 5.0, 5), (4, "B", 5.0, 5)]
    applied = bucket.apply([(2, drop)])
    assert applied.did == {2: Did(cells_new=2, cells_changed=1, cells_same=1, returns_rewritten=2, tickers_new=1)}
    found = Rows()
    add(found, applied.corrections)
    assert found == {
        (2, 2, "A"): ((2.0, 1.0, 5), (4.0, 3.0, 5)),
        (2, 3, "A"): ((4.0, 1.0, 5), (4.0, 0.0, 5)),
    }


def test_two_drops_of_one_batch_each_have_their_row() -> None:
    """Also where the second takes back what the first did, and where it comes between two dates of the first."""
    bucket, found = Bucket(), Rows()
    bucket.apply([(1, [(1, "A", 1.0, None), (5, "A", 4.0, None)])])
    applied = bucket.apply([(2, [(1, "A", 2.0, None)]), (3, [(3, "A", 8.0, 7)]), (4, [(1, "A", 1.0, None)])])
    add(found, applied.corrections)
    assert found == {
        (2, 1, "A"): ((1.0, None, None), (2.0, None, None)),
        (2, 5, "A"): ((4.0, 3.0, None), (4.0, 1.0, None)),
        (3, 5, "A"): ((4.0, 1.0, None), (4.0, -0.5, None)),
        (4, 1, "A"): ((2.0, None, None), (1.0, None, None)),
        (4, 3, "A"): ((8.0, 3.0, 7), (8.0, 7.0, 7)),
    }


def test_a_later_part_of_a_drop_takes_back_what_an_earlier_one_has_changed() -> None:
    """A drop whose last word is what was there before has changed nothing, and its cells are the same."""
    bucket, found = Bucket(), Rows()
    bucket.apply([(1, [(1, "A", 1.0, 5), (2, "A", 2.0, 5)])])
    first = bucket.apply([(2, [(1, "A", 3.0, 5), (3, "A", 1.0, 5)])], open_seq=2)
    second = bucket.apply([(2, [(1, "A", 1.0, 5), (3, "A", 2.0, 5)])])
    assert first.did == {2: Did(cells_new=1, cells_changed=1, returns_rewritten=1)}
    assert second.did == {2: Did(cells_changed=-1, cells_same=1, returns_rewritten=-1)}
    add(found, first.corrections)
    add(found, second.corrections)
    assert not found


def test_what_cells_held_is_forgotten_when_the_drop_has_ended() -> None:
    """The chunks are then as short as if the drop had come in one piece."""
    whole, parts = Bucket(), Bucket()
    for bucket in (whole, parts):
        bucket.apply([(1, [(1, "A", 1.0, 5), (2, "A", 2.0, 5)])])
    whole.apply([(2, [(1, "A", 3.0, 5), (2, "A", 3.0, 5)])])
    parts.apply([(2, [(1, "A", 3.0, 5)])], open_seq=2)
    assert parts.chunks != whole.chunks
    parts.apply([(2, [(2, "A", 3.0, 5)])])
    assert parts.chunks == whole.chunks
