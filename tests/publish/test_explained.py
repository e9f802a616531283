"""What explains the wide tables is a function of the drops: whatever the batches, and by oracles over all rows."""

from __future__ import annotations

import datetime as dt
import random
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from explained_run import ExplainedRun, batches
from history_oracle import Bucket, Packet, Row, tables

from streaming import memory
from streaming.database.transactions import Transactions
from streaming.ledger import writer
from streaming.publish import wide
from streaming.suspects import watch
from streaming.suspects.moves import KINDS, Series, examine
from streaming.suspects.pairs import swapped

if TYPE_CHECKING:
    from collections.abc import Iterator

EPOCH = dt.date(1970, 1, 1).toordinal()
FIRST = dt.date(2024, 1, 1).toordinal() - EPOCH
SUSPECTS = "SELECT date, id, kind, price, level_date, level, swapped_with FROM stocketl.suspect_cells ORDER BY date, id"
DATES = "SELECT date, tickers, unchanged, drops, late_cells, restated_cells FROM stocketl.date_facts ORDER BY date"


@pytest.fixture
def transactions(database: str) -> Iterator[Transactions]:
    with closing(Transactions(database, threading.Event())) as made:
        made.run(writer.create)
        yield made


def day(number: int) -> dt.date:
    return dt.date.fromordinal(number + EPOCH)


def history(seed: int) -> list[Packet]:
    """Days in order with slips, swaps, splits and stale prices, late and corrected cells; files in two packets."""
    chance = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    names = [f"T{number:02d}" for number in range(12)]
    level = {name: chance.uniform(5, 200) for name in names}
    packets: list[Packet] = []
    seq = 0
    given: list[Row] = []
    for number in range(70):
        seq += 1
        rows: list[Row] = []
        for name in names:
            if chance.random() < 0.1 or (name == "T11" and number < 30):
                continue
            if not (name == "T03" and 20 < number < 48):
                level[name] *= chance.uniform(0.98, 1.02)
            if chance.random() < 0.01:
                level[name] /= chance.choice([2, 3, 10, 0.1])
            slip = chance.choice([10, 0.1, 100, 0.01, 6, 1.5]) if chance.random() < 0.04 else 1
            rows.append((FIRST + number, name, round(level[name] * slip, 4), chance.choice([None, 100, 200])))
        if chance.random() < 0.1 and len(rows) > 2:
            (d, a, p, v), (_, b, q, w) = rows[0], rows[1]
            rows[:2] = [(d, a, q, v), (d, b, p, w)]
        given += rows
        middle = len(rows) // 2
        packets += [(seq, rows[:middle]), (seq, rows[middle:])]
        if number % 5 == 4:
            seq += 1
            fixed = chance.sample(given, min(4, len(given)))
            packets.append((seq, [(d, name, round(p * chance.choice([1, 10, 0.1]), 4), v) for d, name, p, v in fixed]))
    return packets


def oracle_of_suspects(packets: list[Packet]) -> list[tuple[Any, ...]]:
    """Over whole series, without a database."""
    cells = tables([row for _, rows in packets for row in rows])
    keys = sorted((name, date) for date, name in cells)
    names = sorted({name for name, _ in keys})
    code = np.array([names.index(name) for name, _ in keys], np.int32)
    price = np.array([cells[date, name][0] for name, date in keys])
    volume = np.array([-1 if cells[date, name][2] is None else cells[date, name][2] for name, date in keys])
    dates = np.array([date for _, date in keys], np.int32)
    found = examine(Series(code, dates, price, volume, np.diff(code, prepend=-1) != 0))
    rows = sorted(
        (int(dates[at]), names[code[at]], KINDS[kind], price[at], int(dates[other]), price[other])
        for at, kind, other in zip(found.at, found.kind, found.against, strict=True)
    )
    paired = [row for row in rows if row[2] in {"jump", "spike", "unit-slip"}]
    partners = swapped(
        np.array([row[0] for row in paired], np.int32), *(np.array([row[at] for row in paired]) for at in (3, 5))
    )
    partner = {row[:2]: paired[at][1] for row, at in zip(paired, partners, strict=True) if at >= 0}
    return [(day(row[0]), *row[1:4], day(row[4]), row[5], partner.get(row[:2])) for row in rows]


def oracle_of_dates(packets: list[Packet]) -> list[tuple[Any, ...]]:
    """Row by row: a dictionary of cells, changed drop by drop."""
    cells: dict[tuple[int, str], list[Any]] = {}
    drops: dict[int, dict[tuple[int, str], list[Any]]] = {}
    for seq, rows in packets:
        for date, name, price, volume in rows:
            cell = drops.setdefault(seq, {}).setdefault((date, name), [price, None])
            cell[0], cell[1] = price, cell[1] if volume is None else volume
    late: dict[int, int] = {}
    restated: dict[int, int] = {}
    count: dict[int, int] = {}
    for ticks in drops.values():
        newest = max((date for date, _ in cells), default=-(10**6))
        before = {key: list(cell) for key, cell in cells.items()}
        for (date, name), (price, volume) in ticks.items():
            old = before.get((date, name))
            now = [price, volume if volume is not None else old[1] if old else None]
            if old is None:
                late[date] = late.get(date, 0) + (date < newest)
            elif now != old:
                restated[date] = restated.get(date, 0) + 1
            cells[date, name] = now
        for date in {date for date, _ in ticks}:
            count[date] = count.get(date, 0) + 1
    final = tables([row for _, rows in packets for row in rows])
    return [
        (
            day(date),
            sum(d == date for d, _ in final),
            sum(d == date and cell[1] == 0 for (d, _), cell in final.items()),
            count[date],
            late.get(date, 0),
            restated.get(date, 0),
        )
        for date in sorted(count)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_batches_the_rows_are_those_of_the_oracles(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    """Batches of any number of parts of drops, restarts and transactions that failed leave no trace."""
    monkeypatch.setattr(watch, "_CELLS_OF_A_PIECE", (1, 1 << 16)[seed % 2])
    monkeypatch.setattr(watch, "_DAYS_OF_A_PIECE", (1 << 22, 1)[seed % 2])
    monkeypatch.setattr(memory, "LARGE", (1 << 16, 0)[seed // 2])  # whether they are examined in a thread
    packets, chance = history(seed), random.Random(seed)  # noqa: S311 (a seed, not a secret)
    cuts = {cut for cut in range(len(packets)) if chance.random() < (0.05, 0.3, 0.7, 0.3)[seed]}
    run = ExplainedRun(transactions)
    for number, (some, open_seq) in enumerate(batches(packets, cuts)):
        if number % 40 == 39:
            run.restart()
        run.batch(some, open_seq, fail_first=number % 29 == 7)
    assert run.ask(SUSPECTS) == oracle_of_suspects(packets)
    assert run.ask(DATES) == oracle_of_dates(packets)


def test_what_breaks_off_while_a_large_batch_is_examined_is_told_and_may_be_tried_again(
    transactions: Transactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing waits for tables that were never written."""
    monkeypatch.setattr(memory, "LARGE", 0)
    slip: list[Row] = [(FIRST + number, "A", 1e4 if number == 5 else 100 + number % 7, 5) for number in range(30)]
    run = ExplainedRun(transactions)
    run.batch([(1, [(FIRST - 1, "A", 100.0, 5)])])
    run.restart()  # so that the shelves must be filled from the tables
    with monkeypatch.context() as patched:
        patched.setattr(wide, "write", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run.batch([(2, slip)])
    assert run.ask(SUSPECTS) == []
    run.bucket, run.batches = Bucket(chunk_cells=500), run.batches + 1
    run.batch([(1, [(FIRST - 1, "A", 100.0, 5)]), (2, slip)])
    assert [row[:4] for row in run.ask(SUSPECTS)] == [(day(FIRST + 5), "A", "unit-slip", 1e4)]


def test_what_was_switched_off_is_made_from_the_tables_when_it_is_switched_on(transactions: Transactions) -> None:
    """Off, a table is empty; on again it is what it would have been, but for what nobody counted."""
    packets = history(9)
    run = ExplainedRun(transactions)
    for some, open_seq in batches(packets[:60], set(range(0, 60, 3))):
        run.batch(some, open_seq)
    run.restart(explain="none")
    assert run.ask(SUSPECTS) == run.ask(DATES) == []
    for some, open_seq in batches(packets[60:], set(range(0, 200, 5))):
        run.batch(some, open_seq)
    run.restart()
    assert run.ask(SUSPECTS) == oracle_of_suspects(packets)
    assert [row[:3] for row in run.ask(DATES)] == [row[:3] for row in oracle_of_dates(packets)]
    assert run.ask("SELECT DISTINCT drops, late_cells, first_load FROM stocketl.dates") == [(None, None, None)]


def test_a_corrected_price_closes_its_suspect_and_a_wrong_one_opens_it_again(transactions: Transactions) -> None:
    """A slip a year ago, its correction, and the slip once more."""
    run = ExplainedRun(transactions)
    rows: list[Row] = [(FIRST + number, "A", 100 + number % 7, 5) for number in range(300)]
    run.batch([(1, [(d, i, p * 100 if d == FIRST + 50 else p, v) for d, i, p, v in rows])])
    slip = [(day(FIRST + 50), "A", "unit-slip", 10100.0)]
    assert [row[:4] for row in run.ask(SUSPECTS)] == slip
    run.batch([(2, [(FIRST + 50, "A", 101.0, 5)])])
    assert run.ask(SUSPECTS) == []
    run.restart()
    run.batch([(3, [(FIRST + 50, "A", 10100.0, 5)])])
    assert [row[:4] for row in run.ask(SUSPECTS)] == slip
