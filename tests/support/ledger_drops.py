"""Drops through the history into the ledger, batch by batch, without Spark and without files."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pyarrow as pa
from history_oracle import Bucket, Packet
from ledger_rows import Run, fact, record

from streaming.corrections import Corrections
from streaming.ledger.corrections import Changed
from streaming.packets import Loaded

if TYPE_CHECKING:
    from streaming.packets import Fact


def facts(packets: list[Packet], begin: int, end: int) -> list[Fact]:
    """Of the packets of a batch, each a part of its drop without two rows of one cell."""
    parts = {at: sum(seq == packets[at][0] for seq, _ in packets[:at]) for at in range(begin, end)}
    last = {seq: at for at, (seq, _) in enumerate(packets)}
    made = []
    for at in range(begin, end):
        seq, rows = packets[at]
        where = {"start": 10 * parts[at], "end": 10 * parts[at] + 10, "last": last[seq] == at, "whole": False}
        made.append(fact(seq, loaded=len(rows), **where))
    return made


def load(run: Run, packets: list[Packet], borders: list[int], off: range = range(0)) -> list[pa.Table]:
    """The packets in batches that are cut there; in the batches of `off`, corrections are not kept.

    Gives what each batch brings to the lake.
    """
    bucket, loaded = Bucket(30), []
    for number, (begin, end) in enumerate(itertools.pairwise([0, *borders, len(packets)])):
        following = packets[end][0] if end < len(packets) else None
        applied = bucket.apply(packets[begin:end], following if packets[end - 1][0] == following else None)
        parts = facts(packets, begin, end)
        apart = {part.seq for part in parts if part.start} | ({following} if following is not None else set())
        rows, runs = Changed.of(applied.corrections, apart)
        # as `publish.batch` joins those of the buckets
        every = Changed(pa.concat_tables([Corrections.empty().to_table(), rows]), runs)
        corrected = None if number in off else every
        record(run, number, parts, applied.duplicates, did=applied.did, corrected=corrected)
        rows = Loaded(*applied.loaded).to_table()
        loaded.append(rows.append_column("batch_id", pa.array([number] * rows.num_rows, pa.int64())))
    return loaded
