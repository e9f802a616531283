"""What drops do to the cells, one after the other, over dicts: slow, and independent of the job's own maths."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from typing import TYPE_CHECKING

from streaming.corrections import Corrections, Did

if TYPE_CHECKING:
    from collections.abc import Iterable

    from history_oracle import Packet, Row

_EPOCH = dt.date(1970, 1, 1)

Key = tuple[int, str]  # date, id
Cell = tuple[float, float | None, int | None]  # price, return, volume
Tables = dict[Key, Cell]
Rows = dict[tuple[int, int, str], tuple[Cell, Cell]]  # seq, date, id -> before, after


class DropsOracle:
    """The tables after each drop, what each drop did, and the corrections, by all drops so far."""

    def __init__(self) -> None:
        self.tables: dict[int, Tables] = {0: {}}
        self.did: dict[int, Did] = {}
        self.corrections: Rows = {}
        self.first: dict[int, Tables] = {}
        self._last = 0

    def drop(self, seq: int, rows: Iterable[Row]) -> None:
        """Takes in one whole drop; drops come in the order of seq."""
        before = self.tables[self._last]
        given: dict[Key, tuple[float, int | None]] = {
            key: (price, volume) for key, (price, _, volume) in before.items()
        }
        touched = set()
        for date, ticker, price, volume in rows:
            known = given.get((date, ticker), (0.0, None))[1]
            given[date, ticker] = (price, known if volume is None else volume)
            touched.add((date, ticker))
        after = _with_returns(given)
        there = touched & before.keys()
        changed = {key for key in there if before[key][::2] != after[key][::2]}
        rewritten = {key for key in before if before[key][1] != after[key][1]}
        self.did[seq] = Did(
            cells_new=len(touched) - len(there),
            cells_changed=len(changed),
            cells_same=len(there) - len(changed),
            returns_rewritten=len(rewritten),
            tickers_new=len({ticker for _, ticker in touched} - {ticker for _, ticker in before}),
        )
        self.corrections |= {(seq, *key): (before[key], after[key]) for key in changed | rewritten}
        self.first[seq] = {key: after[key] for key in touched - there}
        self.tables[seq], self._last = after, seq


def _with_returns(given: dict[Key, tuple[float, int | None]]) -> Tables:
    tables: Tables = {}
    previous: dict[str, float] = {}
    for (date, ticker), (price, volume) in sorted(given.items()):
        tables[date, ticker] = (price, price / previous[ticker] - 1 if ticker in previous else None, volume)
        previous[ticker] = price
    return tables


def add(rows: Rows, corrections: Corrections) -> None:
    """Does to the rows what a batch does to `stocketl.corrections`; fails if a batch names a cell twice."""
    seen = set()
    for row in corrections.to_table().to_pylist():
        key = (row["seq"], (row["date"] - _EPOCH).days, row["id"])
        before, after = ((row[f"price_{at}"], row[f"return_{at}"], row[f"volume_{at}"]) for at in ("before", "after"))
        assert key not in seen
        seen.add(key)
        rows.pop(key, None)
        if before != after:
            rows[key] = (before, after)


def replayed(tables: Tables, rows: Rows, first: dict[int, Tables], since: int, until: int) -> Tables:
    """The tables as of `since`, with the corrections and the first values of cells up to `until`, drop by drop."""
    found = dict(tables)
    for seq in range(since + 1, until + 1):
        for (of_seq, *key), (before, after) in rows.items():
            if of_seq == seq:
                assert found[tuple(key)] == before
                found[tuple(key)] = after
        found |= first.get(seq, {})
    return found


def oracle_of(packets: list[Packet]) -> DropsOracle:
    """Of whole drops, one after the other."""
    oracle = DropsOracle()
    for seq, parts in itertools.groupby(packets, key=lambda packet: packet[0]):
        oracle.drop(seq, [row for _, part in parts for row in part])
    return oracle


def history(seed: int) -> list[Packet]:
    """Days of eleven tickers in parts; late dates, corrections, files dropped twice, volumes that come later."""
    chance = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    packets: list[Packet] = []
    for seq in range(1, 31):
        kind = chance.choice(["day", "day", "late", "correction", "again"])
        if kind == "again" and packets:
            again = chance.choice(packets)[0]
            packets += [(seq, rows) for of_seq, rows in list(packets) if of_seq == again]
            continue
        dates = [seq] if kind == "day" else chance.sample(range(40), chance.randint(1, 6))
        rows: list[Row] = [
            (date, f"{ticker:03d}", chance.choice([1.5, 2.25, 0.7]), chance.choice([None, 5, 6]))
            for date in dates
            for ticker in range(11)
            if chance.random() < 0.5
        ]
        size = max(1, len(rows) // chance.randint(1, 4))
        packets += [(seq, rows[at : at + size]) for at in range(0, max(len(rows), 1), size)]
    return packets
