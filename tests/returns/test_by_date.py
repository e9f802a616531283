"""What each drop did on each date, against an oracle that takes drop after drop; wherever the batches are cut."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
from drops_oracle import history, oracle_of
from history_oracle import Bucket

if TYPE_CHECKING:
    from history_oracle import Packet

Counts = dict[tuple[int, int], tuple[int, int]]  # seq, date -> new, restated


def counted(packets: list[Packet], borders: list[int]) -> Counts:
    """What the history says in batches that are cut there, added up."""
    bucket, found = Bucket(), Counts()
    for begin, end in itertools.pairwise([0, *borders, len(packets)]):
        following = packets[end][0] if end < len(packets) else None
        is_open = packets[end - 1][0] == following
        dated = bucket.apply(packets[begin:end], following if is_open else None).dated
        columns = (dated.seq, dated.date, dated.new, dated.restated)
        for seq, date, new, restated in zip(*(column.tolist() for column in columns), strict=True):
            before = found.get((seq, date), (0, 0))
            found[seq, date] = (before[0] + new, before[1] + restated)
    return found


def expected(packets: list[Packet]) -> Counts:
    """By the tables before and after each drop, for each date of which it gave a row."""
    tables, found = oracle_of(packets).tables, Counts()
    for seq, rows in packets:
        before, after = tables[seq - 1], tables[seq]
        for day in {date for date, *_ in rows}:
            given = {(date, ticker) for of, part in packets if of == seq for date, ticker, *_ in part if date == day}
            there = given & before.keys()
            changed = sum(before[key][::2] != after[key][::2] for key in there)
            found[seq, day] = (len(given - there), changed)
    return found


@pytest.mark.parametrize("seed", range(3))
def test_each_date_counts_what_the_drop_counts_wherever_it_is_cut(seed: int) -> None:
    """In one batch, in a batch for each part, and in batches of three parts."""
    packets = history(seed)
    for borders in ([], range(1, len(packets)), range(3, len(packets), 3)):
        assert counted(packets, list(borders)) == expected(packets)


def test_a_part_that_takes_back_what_an_earlier_one_has_changed_is_counted_back() -> None:
    """So a drop whose last word is what was there before has restated nothing."""
    first: Packet = (1, [(1, "A", 1.0, 5)])
    assert counted([first, (2, [(1, "A", 3.0, 5)]), (2, [(1, "A", 1.0, 5)])], [1, 2]) == {
        (1, 1): (1, 0),
        (2, 1): (0, 0),
    }
    assert counted([first, (2, [(1, "A", 1.0, 5)]), (2, [(1, "A", 3.0, 5)])], [1, 2]) == {
        (1, 1): (1, 0),
        (2, 1): (0, 1),
    }
