"""What the history of a bucket must do, by pandas over all rows ever given, and a bucket that can be watched."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from streaming.corrections import Corrections
from streaming.fingerprint import Fingerprint, of_ticks
from streaming.packets import (
    PRICE_CHANGED,
    RETURN_CHANGED,
    UNKNOWN_VOLUME,
    VOLUME_CHANGED,
    Changes,
    Superseded,
    Ticks,
    ipc_buffer,
)
from streaming.publish.batch import joined_changes
from streaming.returns.history import Applied, History

if TYPE_CHECKING:
    from collections.abc import Iterable

Row = tuple[int, str, float, int | None]  # date, id, price, volume
Cell = tuple[float, float | None, int | None]  # price, return, volume
Packet = tuple[int, list[Row]]  # seq, rows
Tables = dict[tuple[int, str], Cell]
Marked = dict[tuple[int, str], tuple[float, float | None, int | None, int]]


def ticks(rows: list[Row]) -> Ticks:
    """The rows as they come out of the stream."""
    ids = list(dict.fromkeys(ticker for _, ticker, _, _ in rows))
    packet = Ticks(
        ids=ids,
        code=np.array([ids.index(ticker) for _, ticker, _, _ in rows], np.int32),
        date=np.array([date for date, _, _, _ in rows], np.int32),
        price=np.array([price for _, _, price, _ in rows], np.float64),
        volume=np.array([UNKNOWN_VOLUME if volume is None else volume for _, _, _, volume in rows], np.int64),
    )
    return Ticks.from_buffer(ipc_buffer(packet.to_batch()))


def tables(rows: list[Row]) -> Tables:
    """The cells after these rows: last price, last known volume, pct_change over the ticker's own dates."""
    if not rows:
        return {}
    date, ticker, price, volume = zip(*rows, strict=True)
    frame = pd.DataFrame({"date": date, "id": ticker, "price": price, "volume": pd.array(volume, dtype="Int64")})
    cells = frame.groupby(["id", "date"]).last()  # last() passes over missing values
    cells["return"] = cells.groupby("id")["price"].pct_change(fill_method=None)
    return {
        (date, ticker): (price, None if np.isnan(change) else change, None if pd.isna(volume) else int(volume))
        for (ticker, date), price, change, volume in zip(
            cells.index, cells["price"].tolist(), cells["return"].tolist(), cells["volume"], strict=True
        )
    }


def fingerprint(cells: Tables) -> Fingerprint:
    """Of all cells of the tables at once."""
    return of_ticks(ticks([(date, ticker, price, volume) for (date, ticker), (price, _, volume) in cells.items()]))


def differences(before: Tables, after: Tables) -> Marked:
    """The changes that lead from one to the other."""
    found: Marked = {}
    for key, cell in after.items():
        bits = [PRICE_CHANGED, RETURN_CHANGED, VOLUME_CHANGED]
        marked = sum(bit for bit, old, new in zip(bits, before.get(key, (None,) * 3), cell, strict=True) if old != new)
        if marked:
            found[key] = (*cell, marked)
    return found


def plain(changes: Changes) -> Marked:
    """Changes as a dict; fails if a cell is there twice."""
    found: Marked = {
        (date, changes.ids[code]): (price, None if np.isnan(ret) else ret, None if volume < 0 else volume, changed)
        for code, date, price, ret, volume, changed in zip(
            changes.code.tolist(),
            changes.date.tolist(),
            changes.price.tolist(),
            changes.returns.tolist(),
            changes.volume.tolist(),
            changes.changed.tolist(),
            strict=True,
        )
    }
    assert len(found) == len(changes)
    return found


def loaded(applied: Applied) -> dict[tuple[int, int, str], tuple[float, int | None]]:
    """The ticks that stand for (seq, date, id); fails if one is there twice."""
    seq, rows = applied.loaded
    found = {
        (drop, date, rows.ids[code]): (price, None if volume < 0 else volume)
        for drop, code, date, price, volume in zip(
            seq.tolist(), rows.code.tolist(), rows.date.tolist(), rows.price.tolist(), rows.volume.tolist(), strict=True
        )
    }
    assert len(found) == len(rows)
    return found


class Chunks(dict[int, bytes]):
    """A chunk store that remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[int] = []
        self.stores: list[int] = []

    def load(self, chunk: int) -> bytes:
        self.loads.append(chunk)
        return self[chunk]

    def store(self, chunk: int, data: bytes) -> None:
        self.stores.append(chunk)
        self[chunk] = data

    def remove(self, chunk: int) -> None:
        del self[chunk]


@dataclass
class Bucket:
    """A bucket whose history is written to bytes and read again around every batch."""

    chunk_cells: int = 16_384
    chunks: Chunks = field(default_factory=Chunks)
    index: bytes | None = None
    in_parts: bool = False

    def apply(self, packets: list[Packet], open_seq: int | None = None) -> Applied:
        self.chunks.loads.clear()
        self.chunks.stores.clear()
        # pieces as small as the chunks: where chunks hold few cells, a batch has many
        rooms = {"chunk_cells": self.chunk_cells, "piece_rows": self.chunk_cells}
        history = History(self.index, self.chunks, **rooms)
        given = ((seq, ticks(rows)) for seq, rows in packets)
        self.in_parts = not self.in_parts
        if self.in_parts:
            applied = _apply_in_parts(history, given, open_seq)
        else:
            applied = history.apply(given, open_seq=open_seq)
        self.index = history.index()
        return applied


def _apply_in_parts(history: History, given: Iterable[tuple[int, Ticks]], open_seq: int | None) -> Applied:
    """Changes and corrections as they come, put together afterwards."""
    changes, corrections = list[Changes](), list[Corrections]()
    applied = history.apply(given, open_seq=open_seq, changes=changes.append, corrections=corrections.append)
    assert not len(applied.changes)
    assert not len(applied.corrections)
    return replace(applied, changes=joined_changes(changes), corrections=Corrections.join(corrections))


def differs(row: Row, earlier: list[Row]) -> bool:
    """Whether a row says another price than the last one of its cell, or another volume than the last known one."""
    known = [volume for *_, volume in earlier if volume is not None]
    other_volume = bool(known) and row[3] is not None and row[3] != known[-1]
    return row[2] != earlier[-1][2] or other_volume


class Oracle:
    """Every packet so far, and what the next batch must give."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.tables: Tables = {}
        self._of_drop: dict[int, list[Row]] = {}

    def expect(
        self, packets: list[Packet]
    ) -> tuple[Marked, dict[tuple[int, int, str], tuple[float, int | None]], dict]:
        """Changes, loaded ticks and duplicates of a batch."""
        duplicates: dict[int, list[int]] = {}
        given, begun = set(), {seq: len(rows) for seq, rows in self._of_drop.items()}
        before_batch = {seq: {row[:2] for row in rows[: begun[seq]]} for seq, rows in self._of_drop.items()}
        for seq, rows in packets:
            for row in rows:
                earlier = [other for other in self._of_drop.setdefault(seq, []) if other[:2] == row[:2]]
                if earlier:
                    counts = duplicates.setdefault(seq, [0, 0, 0])
                    counts[0] += 1
                    counts[1] += differs(row, earlier)
                if row[:2] in before_batch.get(seq, set()):
                    before_batch[seq].discard(row[:2])
                    duplicates[seq][2] += 1
                self._of_drop[seq].append(row)
                given.add((seq, row[0], row[1]))
            self.rows += rows
        drops = {seq: tables(self._of_drop[seq]) for seq in {seq for seq, _, _ in given}}
        stands = {(seq, date, ticker): drops[seq][date, ticker][::2] for seq, date, ticker in given}
        before, self.tables = self.tables, tables(self.rows)
        again = {seq: Superseded(*counts) for seq, counts in duplicates.items()}
        return differences(before, self.tables), stands, again
