"""`stocketl.corrections` and the counts of `stocketl.drops` on a real PostgreSQL, against the oracle of drops."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import pytest
from drops_oracle import DropsOracle, history, oracle_of
from extent import extent
from ledger_drops import load
from ledger_rows import Run, fact, query, record

from streaming.corrections import NAMES, Did
from streaming.ledger import correction_runs

if TYPE_CHECKING:
    from history_oracle import Packet, Row

_ROWS = """
    SELECT seq, date - DATE '1970-01-01', id, price_before, return_before, volume_before, price_after, return_after,
           volume_after FROM stocketl.corrections ORDER BY seq, date, id
"""
_DID = """
    SELECT seq, cells_new, cells_changed, cells_same, returns_rewritten, tickers_new FROM stocketl.drops ORDER BY seq
"""
_COUNTED = """
    SELECT d.seq, d.corrections, count(c.seq) FROM stocketl.drops d LEFT JOIN stocketl.corrections c USING (seq)
    GROUP BY 1, 2 ORDER BY 1
"""
_KEPT = """
    SELECT EXISTS (SELECT FROM stocketl.correction_cells), EXISTS (SELECT FROM stocketl.correction_runs)
"""


def expected(oracle: DropsOracle, seqs: set[int] | None = None) -> list[tuple[Any, ...]]:
    rows = (
        (*key, *before, *after) for key, (before, after) in oracle.corrections.items() if seqs is None or key[0] in seqs
    )
    return sorted(rows, key=lambda row: row[:3])


def counts(oracle: DropsOracle) -> list[tuple[int, ...]]:
    return [
        (seq, did.cells_new, did.cells_changed, did.cells_same, did.returns_rewritten, did.tickers_new)
        for seq, did in oracle.did.items()
    ]


@pytest.fixture
def short_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two cells of a ticker are a run."""
    monkeypatch.setattr(correction_runs, "SHORTEST", 2)
    monkeypatch.setattr(correction_runs, "LONGEST", 3)


@pytest.mark.usefixtures("short_runs")
@pytest.mark.parametrize("seed", range(extent(3, 12)))
def test_rows_and_counts_are_those_of_the_drops_one_after_the_other(run: Run, seed: int) -> None:
    """However they were cut into batches, and kept; and each drop knows how many rows it has."""
    packets, chance = history(seed), random.Random(seed)  # noqa: S311 (a seed, not a secret)
    oracle = oracle_of(packets)
    load(run, packets, sorted(chance.sample(range(1, len(packets)), chance.choice([0, 5, len(packets) - 1]))))
    assert query(run, _ROWS) == expected(oracle)
    assert query(run, _DID) == counts(oracle)
    assert all(known == counted for _, known, counted in query(run, _COUNTED))
    assert query(run, _KEPT) == [(True, True)]


@pytest.mark.parametrize("cells", [7, 8, 64, 71, 72, 130])
def test_many_dates_of_a_ticker_are_kept_in_few_rows(run: Run, cells: int) -> None:
    """What is left over is kept as rows; volumes and returns may be missing."""
    packets: list[Packet] = [
        (1, [(day, ticker, 1.5, None if day % 3 else day) for day in range(cells) for ticker in ("A", 'Ä\t,"')]),
        (2, [(day, ticker, 2.5 + day, None if day % 2 else 1) for day in range(cells) for ticker in ('Ä\t,"', "A")]),
        (3, [(0, "A", 9.0, None)]),
    ]
    load(run, packets, [1, 2])
    assert query(run, _ROWS) == expected(oracle_of(packets))
    in_runs = query(run, "SELECT id, cardinality(dates) FROM stocketl.correction_runs ORDER BY id, first_date")
    lengths = [length for length in (*[64] * (cells // 64), cells % 64) if length >= 8]
    assert in_runs == [(ticker, length) for ticker in ("A", 'Ä\t,"') for length in lengths]
    assert query(run, "SELECT count(DISTINCT at) FROM stocketl.corrections WHERE seq = 2") == [(1,)]


FIRST: list[Row] = [(1, "A", 1.0, 5), (2, "A", 2.0, 5)]


def test_prices_that_stay_as_they_are_are_kept_once(run: Run) -> None:
    """A drop between the dates of another rewrites returns only; where one price changes too, all are kept."""
    packets: list[Packet] = [
        (1, [(day, ticker, 1.5 + day % 3, day % 5 or None) for day in range(0, 40, 2) for ticker in ("A", "B", "C")]),
        (2, [(day, ticker, 2.5, None) for day in range(1, 40, 2) for ticker in ("A", "B", "C")]),
        (3, [(8, "B", 9.0, None), (6, "C", 1.5, 77)]),
        (4, [(day, ticker, 3.5, None) for day in range(1, 40, 2) for ticker in ("B", "C")]),
    ]
    load(run, packets, [1, 2, 3])
    assert query(run, _ROWS) == expected(oracle_of(packets))
    kept = "SELECT seq, prices_after IS NULL, volumes_after IS NULL FROM stocketl.correction_runs ORDER BY seq, id"
    assert query(run, kept) == [*[(2, True, True)] * 3, *[(4, False, True)] * 2]


def test_a_drop_that_is_given_twice_changes_nothing(run: Run) -> None:
    """All of its cells are the same, and it has no row."""
    load(run, [(1, FIRST), (2, FIRST)], [1])
    assert query(run, _DID) == [(1, 2, 0, 0, 0, 1), (2, 0, 0, 2, 0, 0)]
    assert query(run, _COUNTED) == [(1, 0, 0), (2, 0, 0)]


@pytest.mark.usefixtures("short_runs")
def test_a_part_that_changes_a_cell_back_removes_its_row(run: Run) -> None:
    """The rows are those of the whole drop."""
    parts: list[Packet] = [(2, [(1, "A", 9.0, 5), (2, "A", 3.0, 5)]), (2, [(1, "A", 1.0, 5)])]
    load(run, [(1, FIRST), *parts], [1, 2])
    assert query(run, _ROWS) == [(2, 2, "A", 2.0, 1.0, 5, 3.0, 2.0, 5)]
    assert query(run, _COUNTED) == [(1, 0, 0), (2, 1, 1)]


def test_drops_that_come_while_the_table_is_off_are_known_to_have_no_rows(run: Run) -> None:
    """Their counts are there all the same; a drop of which a part came so has none either."""
    restated: list[Row] = [(1, "A", 3.0, 5)]
    packets: list[Packet] = [(1, FIRST), (2, restated), (3, FIRST), (4, restated), (4, [(2, "A", 5.0, 5)]), (5, FIRST)]
    load(run, packets, [1, 2, 3, 4, 5], off=range(1, 2))
    assert query(run, _COUNTED) == [(1, 0, 0), (2, None, 0), (3, 2, 2), (4, 2, 2), (5, 2, 2)]
    assert query(run, _DID) == counts(oracle_of(packets))
    assert query(run, _ROWS) == expected(oracle_of(packets), {1, 3, 4, 5})


@pytest.mark.parametrize("off", [range(1, 2), range(2, 3)], ids=["first part", "last part"])
def test_a_drop_of_which_a_part_was_not_kept_has_no_rows(run: Run, off: range) -> None:
    """Half of what it did would be worse than nothing."""
    packets: list[Packet] = [(1, FIRST), (2, [(1, "A", 3.0, 5)]), (2, [(2, "A", 5.0, 5)]), (3, FIRST)]
    load(run, packets, [1, 2, 3], off=off)
    assert query(run, _COUNTED) == [(1, 0, 0), (2, None, 0), (3, 2, 2)]


def test_a_drop_that_an_older_version_has_begun_stays_without_counts(run: Run) -> None:
    """What its first part did is not known."""
    record(run, 0, [fact(1, loaded=2, whole=False, last=False)])
    run(lambda cur: cur.execute("UPDATE stocketl.receipts SET body = body - 'corrections' - %s", (list(NAMES),)))
    [body] = record(run, 1, [fact(1, loaded=1, whole=False, start=10)], did={1: Did(cells_new=1)})
    assert query(run, _DID) == [(1, None, None, None, None, None)]
    assert "cells_new" not in body
    assert query(run, _COUNTED) == [(1, None, 0)]
