"""`history.apply` against pandas, and how much of the history a batch reads."""

from __future__ import annotations

import copy
import itertools
import random

import pytest
from extent import extent
from history_oracle import Bucket, Oracle, Packet, Row, fingerprint, loaded, plain, ticks
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.packets import Superseded
from streaming.returns.history import History
from streaming.returns.timeline import Timeline

LARGEST_VOLUME = 2**63 - 1

# Few dates, tickers and prices, so that rows meet; dates far apart and at the ends of the calendar.
rows = st.tuples(
    st.sampled_from([-62_091, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9_000, 84_005]),
    st.sampled_from(["001", "BRK.B", 'x"%s']),
    st.sampled_from([0.1, 0.3, 1e-9, 1e12, 99.99, 100.01]),
    st.sampled_from([None, None, 0, 7, LARGEST_VOLUME]),
)
drops = st.lists(st.lists(st.lists(rows, max_size=6), min_size=1, max_size=3), max_size=6)


def check(bucket: Bucket, oracle: Oracle, packets: list[Packet], open_seq: int | None = None) -> None:
    """One batch in both, to the bit; the fingerprints are those of all cells before and after it."""
    before = fingerprint(oracle.tables)
    applied = bucket.apply(packets, open_seq)
    assert (plain(applied.changes), loaded(applied), applied.duplicates) == oracle.expect(packets)
    assert (applied.before, applied.after) == (before, fingerprint(oracle.tables))


@pytest.mark.thorough
@given(parts=drops, cuts=st.sets(st.integers(0, 17)), chunk_cells=st.sampled_from([1, 2, 3, 5, 8, 1000]))
@settings(max_examples=extent(60, 200), deadline=None)
def test_any_list_of_drops_in_any_batches_equals_pandas(
    parts: list[list[list[Row]]], cuts: set[int], chunk_cells: int
) -> None:
    """Each batch gives exactly the changes, loaded ticks and duplicates of the oracle, wherever the drops are cut."""
    packets = [(seq, part) for seq, drop in enumerate(parts, start=1) for part in drop]
    borders = [0, *sorted(cut for cut in cuts if 0 < cut < len(packets)), len(packets)]
    bucket, oracle = Bucket(chunk_cells), Oracle()
    for begin, end in itertools.pairwise(borders):
        following = packets[end][0] if end < len(packets) else None
        is_open = begin < end and packets[end - 1][0] == following
        check(bucket, oracle, packets[begin:end], following if is_open else None)


@pytest.mark.thorough
@pytest.mark.parametrize("chunk_cells", extent([6, 40], [1, 6, 40, 16_384]))
def test_a_long_life_of_daily_late_and_corrected_drops_equals_pandas(chunk_cells: int) -> None:
    """Chunks that grow, merge by level, split and fill gaps never change what comes out."""
    chance, bucket, oracle = random.Random(7), Bucket(chunk_cells), Oracle()  # noqa: S311 (a seed, not a secret)
    for day in range(1, 91):
        dates = [3 * day]
        if day % 4 == 0:
            dates += chance.choices(range(3 * day), k=2)
        drop: list[Row] = [
            (date, f"{ticker:03d}", chance.choice([1.5, 2.25, 0.7]), chance.choice([None, 5, 6]))
            for date in dates
            for ticker in range(17)  # three bytes of presence bits
            if chance.random() < 0.6 and (ticker < 8 or day > 5 * ticker - 20)
        ]
        check(bucket, oracle, [(day, drop)])


def test_the_table_does_not_depend_on_the_order_of_the_dates() -> None:
    """Forwards, backwards and shuffled, the cells are the same at the end."""
    drop = [[(date, ticker, 1 + date % 7 / 3, date) for ticker in ("A", "B")] for date in range(60)]
    shuffled = random.Random(3).sample(drop, len(drop))  # noqa: S311 (a seed, not a secret)
    ends = []
    for order in (drop, drop[::-1], shuffled):
        bucket, cells = Bucket(chunk_cells=10), {}
        for seq, day in enumerate(order, start=1):
            cells |= {key: cell[:3] for key, cell in plain(bucket.apply([(seq, day)]).changes).items()}
        ends.append(cells)
    oracle = Oracle()
    oracle.expect([(1, [row for day in drop for row in day])])
    assert ends == [oracle.tables] * 3


def test_a_late_price_rewrites_the_return_of_the_next_date_only() -> None:
    """An inserted date brings its own cell and the next return, whose cell carries its price and volume."""
    bucket = Bucket()
    bucket.apply([(1, [(1, "A", 2.0, 10), (3, "A", 8.0, 30), (5, "A", 8.0, 50)])])
    assert plain(bucket.apply([(2, [(2, "A", 4.0, None)])]).changes) == {
        (2, "A"): (4.0, 1.0, None, 3),
        (3, "A"): (8.0, 1.0, 30, 2),
    }


def test_a_price_that_comes_back_to_its_old_value_within_a_batch_changes_nothing() -> None:
    """Only the end of a batch counts, and nothing is stored for it."""
    bucket = Bucket()
    bucket.apply([(1, [(1, "A", 2.0, 10), (2, "A", 3.0, 20)])])
    applied = bucket.apply([(2, [(1, "A", 9.0, None)]), (3, [(1, "A", 2.0, None)])])
    assert (plain(applied.changes), bucket.chunks.stores) == ({}, [])


def test_a_drop_split_over_batches_counts_the_rows_it_replaces_itself() -> None:
    """Duplicates of the open drop are found in earlier batches; those of other drops are not duplicates."""
    bucket = Bucket()
    bucket.apply([(1, [(1, "A", 1.0, 5), (2, "A", 2.0, 5)]), (2, [(1, "A", 1.1, None), (3, "A", 3.0, 7)])], open_seq=2)
    middle = bucket.apply([(2, [(2, "A", 2.2, None)])], open_seq=2)
    end = bucket.apply([(2, [(1, "A", 1.2, None), (2, "A", 2.3, 8), (3, "A", 3.1, None)]), (3, [(2, "A", 4.0, None)])])
    after = bucket.apply([(4, [(3, "A", 3.2, None)])])
    assert [middle.duplicates, end.duplicates, after.duplicates] == [{}, {2: Superseded(3, 3, 3)}, {}]
    assert loaded(end) == {
        (2, 1, "A"): (1.2, None),  # the volume 5 is drop 1's
        (2, 2, "A"): (2.3, 8),
        (2, 3, "A"): (3.1, 7),
        (3, 2, "A"): (4.0, None),
    }


def test_an_open_drop_that_repeats_what_is_known_is_still_remembered() -> None:
    """Rows that change nothing count as given: the next row of the same drop replaces them."""
    bucket = Bucket()
    bucket.apply([(1, [(1, "A", 1.0, 5)])])
    bucket.apply([(2, [(1, "A", 1.0, 5)])], open_seq=2)
    assert bucket.apply([(2, [(1, "A", 1.5, None)])]).duplicates == {2: Superseded(1, 1, 1)}


def test_the_rows_of_a_drop_that_has_ended_are_not_those_of_the_next_open_one() -> None:
    """When one open drop follows another, what the first gave is forgotten."""
    bucket = Bucket()
    bucket.apply([(1, [(1, "A", 1.0, 5), (4, "A", 4.0, 5)])], open_seq=1)
    bucket.apply([(1, [(2, "A", 2.0, 5)]), (2, [(3, "A", 3.0, 5), (2, "A", 2.5, 5)])], open_seq=2)
    end = bucket.apply([(2, [(1, "A", 1.5, 6), (2, "A", 2.6, 6), (3, "A", 3.5, 6)])])
    assert end.duplicates == {2: Superseded(2, 2, 2)}


def test_marks_cost_nothing_when_no_drop_is_open() -> None:
    """After an open drop has ended, a rewritten chunk is as short as if there had never been one."""
    first, second = [(1, [(1, "A", 1.0, 5)])], [(2, [(1, "A", 1.5, 5)])]
    closed, opened = Bucket(), Bucket()
    closed.apply(first)
    opened.apply(first, open_seq=1)
    assert len(opened.chunks[0]) > len(closed.chunks[0])
    closed.apply(second)
    opened.apply(second)
    assert opened.chunks == closed.chunks


def history_of(days: int, chunk_cells: int, absent: range = range(0)) -> Bucket:
    """Tickers A to E, one drop a day; E is not in the drops of the days in `absent`."""
    bucket = Bucket(chunk_cells)
    for day in range(days):
        tickers = "ABCD" if day in absent else "ABCDE"
        bucket.apply([(day + 1, [(day, ticker, 1.0 + day % 3, day) for ticker in tickers])])
    return bucket


def loads_of(bucket: Bucket, row: Row) -> int:
    """How many chunks a correction reads; the bucket stays as it is."""
    trial = copy.deepcopy(bucket)
    trial.apply([(10_000, [row])])
    return len(trial.chunks.loads)


def test_a_daily_drop_reads_a_chunk_only_when_eight_are_merged() -> None:
    """Seven of eight drops read nothing, whatever lies behind them; each cell is rewritten once a level."""
    bucket, loads = Bucket(), []
    for day in range(1, 129):
        bucket.apply([(day, [(day, "A", 1.0 + day, day)])])
        loads.append((len(bucket.chunks.loads), len(bucket.chunks.stores)))
    assert loads == [(0 if day % 8 else 7 if day % 64 else 14, 1) for day in range(1, 129)]


def test_a_correction_of_the_newest_date_touches_its_chunk_only() -> None:
    """The price before it is known from the index."""
    bucket = history_of(days=100, chunk_cells=50)
    newest = max(bucket.chunks)
    bucket.apply([(1000, [(99, ticker, 7.0, 1) for ticker in "ABCDE"])])
    assert (bucket.chunks.loads, bucket.chunks.stores) == ([newest], [newest])


@pytest.mark.parametrize("days", [30, 200])
def test_a_correction_reads_at_most_three_chunks_however_long_the_history(days: int) -> None:
    """The chunk of the date, and one on each side where a neighbouring date lies there."""
    bucket = history_of(days, chunk_cells=30)
    assert max(loads_of(bucket, (day, "A", 7.0, 1)) for day in range(0, days, 9)) <= 3


def test_a_ticker_that_was_absent_for_years_is_found_again_without_a_walk() -> None:
    """A date in the middle of its absence needs three chunks: of that date and of its neighbours."""
    bucket = history_of(days=300, chunk_cells=30, absent=range(20, 280))
    assert loads_of(bucket, (150, "E", 7.0, 1)) == 3
    assert plain(bucket.apply([(1000, [(150, "E", 4.0, None)])]).changes) == {
        (150, "E"): (4.0, 4.0 / 2.0 - 1, None, 3),
        (280, "E"): (2.0, 2.0 / 4.0 - 1, 280, 2),
    }


def test_a_ticker_that_appears_late_and_before_all_others_has_no_return() -> None:
    """A new ticker has no previous price on whatever date it begins; its first date may move back."""
    bucket = history_of(days=40, chunk_cells=30)
    assert plain(bucket.apply([(1000, [(20, "NEW", 3.0, 1)])]).changes) == {(20, "NEW"): (3.0, None, 1, 5)}
    assert plain(bucket.apply([(1001, [(-5, "NEW", 6.0, 2)])]).changes) == {
        (-5, "NEW"): (6.0, None, 2, 5),
        (20, "NEW"): (3.0, -0.5, 1, 2),
    }


def sizes(bucket: Bucket) -> list[int]:
    """The cells in each chunk, in the order of their dates."""
    assert bucket.index is not None
    return Timeline.from_bytes(bucket.index).chunks["cells"].tolist()


def test_chunks_stay_few_and_within_their_size() -> None:
    """Daily cells end in chunks that are half full, and a tail by levels; a bulk drop is cut evenly between dates."""
    daily, bulk, wide = Bucket(chunk_cells=128), Bucket(chunk_cells=128), Bucket(chunk_cells=2)
    for day in range(401):
        daily.apply([(day + 1, [(day, "A", 1.0, 1)])])
    bulk.apply([(1, [(day, ticker, 1.0, 1) for day in range(300) for ticker in ("A", "B")])])
    wide.apply([(1, [(day, ticker, 1.0, 1) for day in range(3) for ticker in ("A", "B", "C")])])
    assert sizes(daily) == [64, 64, 64, 64, 64, 64, 8, 8, 1]
    assert sizes(bulk) == [120, 120, 120, 120, 120]
    assert sizes(wide) == [3, 3, 3]


def test_ids_without_a_row_do_not_become_tickers_of_the_bucket() -> None:
    """A packet may share its list of ids with other buckets; the index does not grow by them."""
    packet = ticks([(1, "A", 1.0, 1), (1, "B", 1.0, 1)])
    packet.ids[0] = "C"
    one_row = type(packet)(packet.ids, packet.code[1:], packet.date[1:], packet.price[1:], packet.volume[1:])
    shared, alone = History(None, Bucket().chunks), History(None, Bucket().chunks)
    shared.apply([(1, one_row)])
    alone.apply([(1, ticks([(1, "B", 1.0, 1)]))])
    assert shared.index() == alone.index()


def test_packets_out_of_order_are_refused() -> None:
    """The winner is decided by seq, so a list that is not in its order is an error of the caller."""
    with pytest.raises(ValueError, match=r"expected seq 2 or later, got 1\. Sort them by seq and part"):
        Bucket().apply([(2, [(1, "A", 1.0, 1)]), (1, [(1, "A", 2.0, 1)])])
