"""One micro-batch on the driver: the rows of the state operator, collected once and put in order."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from streaming.checkpoint.offset import Span, batch_digest
from streaming.corrections import Corrections, Did
from streaming.descriptors import Descriptors
from streaming.fingerprint import Fingerprint
from streaming.lake.rows import RowsFile
from streaming.ledger import correction_runs
from streaming.ledger.corrections import Changed
from streaming.ledger.drops import REJECTS_IN_RECEIPT, Reject
from streaming.packets import (
    CHANGES,
    CHANGES_FILE,
    CORRECTION_RUNS,
    CORRECTION_RUNS_FILE,
    CORRECTIONS,
    CORRECTIONS_FILE,
    DATED,
    DATED_FILE,
    DID,
    DUPLICATES,
    FACTS,
    FINGERPRINT,
    HELD,
    IN_FILES,
    LOADED,
    LOADED_FILE,
    REJECTS,
    REPLACED,
    Changes,
    Dated,
    Fact,
    Loaded,
    Rejects,
    Replaced,
    Row,
    Superseded,
    Ticks,
    concat_ids,
    ipc_table,
)
from streaming.storage.place import Version

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pyspark.sql import DataFrame

    from streaming.checkpoint.handover import Handover

_CHANGE_COLUMNS = ("date", "price", "returns", "volume", "changed")


@dataclass(frozen=True)
class Batch:
    """What one micro-batch brings to the driver.

    replaced: rows that a later one of their drop replaced; files: rows that wait in the lake's outbox already;
    handed_over: files from which ticks, changes, corrections and dates were read.
    fingerprints: by the key of a bucket in the state, all its cells before and after the batch.
    held: what each Java that worked on the state has open. did: by seq, what the batch did of each drop; corrections:
    cells that its drops changed, none if nobody asked for them; correction_runs: others of them, as rows of the ledger;
    dated: what the drops did by date, of each bucket.
    """

    changes: Changes
    facts: list[Fact]
    rejects: dict[tuple[int, int], Rejects]
    loaded: list[pa.Table]
    duplicates: dict[int, Superseded]
    replaced: list[pa.Table] = field(default_factory=list)
    files: list[RowsFile] = field(default_factory=list)
    handed_over: list[str] = field(default_factory=list)
    fingerprints: dict[int, tuple[Fingerprint, Fingerprint]] = field(default_factory=dict)
    held: list[Descriptors] = field(default_factory=list)
    did: dict[int, Did] = field(default_factory=dict)
    corrections: list[pa.Table] = field(default_factory=list)
    correction_runs: list[pa.Table] = field(default_factory=list)
    dated: list[Dated] = field(default_factory=list)

    @property
    def digest(self) -> str:
        """The digest of its list of drops, equal to `batch_digest` of its offset's list."""
        return batch_digest(_drops(self.facts))


def collect(frame: DataFrame, handover: Handover) -> Batch:
    """Runs the plan of the batch once and collects all its rows, in order of (seq, part)."""
    rows = sorted((Row(**row) for row in frame.toArrow().to_pylist()), key=lambda row: (row.seq, row.part))

    def of_kind(kind: str) -> list[Row]:
        return [row for row in rows if row.kind == kind]

    kinds = (CHANGES_FILE, CORRECTIONS_FILE, CORRECTION_RUNS_FILE, DATED_FILE, *IN_FILES.values())
    files = {kind: [row.payload.decode() for row in of_kind(kind)] for kind in kinds}

    def payloads(kind: str, in_files: str) -> list[bytes | pa.Buffer]:
        return [row.payload for row in of_kind(kind)] + list(map(handover.read, files[in_files]))

    return Batch(
        changes=joined_changes([Changes.from_buffer(payload) for payload in payloads(CHANGES, CHANGES_FILE)]),
        facts=[Fact.from_json(row.payload) for row in of_kind(FACTS)],
        rejects={(row.seq, row.part): Rejects.from_buffer(row.payload) for row in of_kind(REJECTS)},
        loaded=[ipc_table(row.payload) for row in of_kind(LOADED)],
        duplicates=_duplicates(of_kind(DUPLICATES)),
        replaced=[ipc_table(row.payload) for row in of_kind(REPLACED)],
        files=[RowsFile(**json.loads(row.payload)) for row in of_kind(LOADED_FILE)],
        handed_over=[key for keys in files.values() for key in keys],
        fingerprints={row.bucket: _fingerprints(row.payload) for row in of_kind(FINGERPRINT)},
        held=[Descriptors.from_json(row.payload) for row in of_kind(HELD)],
        did=_did(of_kind(DID)),
        corrections=[ipc_table(payload) for payload in payloads(CORRECTIONS, CORRECTIONS_FILE)],
        correction_runs=[ipc_table(payload) for payload in payloads(CORRECTION_RUNS, CORRECTION_RUNS_FILE)],
        dated=[Dated.from_buffer(payload) for payload in payloads(DATED, DATED_FILE)],
    )


def _duplicates(rows: list[Row]) -> dict[int, Superseded]:
    again: dict[int, Counter[str]] = {}
    for row in rows:
        for seq, found in json.loads(row.payload).items():
            again.setdefault(int(seq), Counter()).update(found)
    return {seq: Superseded(found["rows"], found["conflicts"], found["earlier"]) for seq, found in again.items()}


def _did(rows: list[Row]) -> dict[int, Did]:
    did: dict[int, Did] = {}
    for row in rows:
        for seq, of_bucket in json.loads(row.payload).items():
            did[int(seq)] = did.get(int(seq), Did()) + Did(**of_bucket)
    return did


def _fingerprints(payload: bytes) -> tuple[Fingerprint, Fingerprint]:
    before, after = json.loads(payload)
    return Fingerprint(**before), Fingerprint(**after)


def number_lines(batch: Batch, before: dict[int, int]) -> None:
    """Numbers the lines of rejects from the start of the drop, not of the split."""
    lines = dict(before)
    for fact in batch.facts:
        shift = lines.get(fact.seq, 0)
        lines[fact.seq] = shift + fact.lines
        rejects = batch.rejects.get((fact.seq, fact.start), Rejects.empty())
        rejects.line[:] = [line + shift for line in rejects.line]
        for note in fact.notes:
            if "line" in note:
                note["line"] += shift
            if "lines" in note:
                note["lines"] = [line + shift for line in note["lines"]]


def joined_changes(parts: list[Changes]) -> Changes:
    """Those of different tickers."""
    if not parts:
        return Changes.empty()
    ids, maps = concat_ids([part.ids for part in parts])
    code = np.concatenate([to_joint[part.code] for part, to_joint in zip(parts, maps, strict=True)])
    columns = (np.concatenate([getattr(part, name) for part in parts]) for name in _CHANGE_COLUMNS)
    return Changes(ids, code, *columns)


def _drops(facts: list[Fact]) -> Iterable[Span]:
    """The drops of the offset, the splits of each joined again."""
    drops: dict[int, Span] = {}
    for fact in facts:
        drops[fact.seq] = replace(drops.get(fact.seq) or _span(fact), end=fact.end)
    return drops.values()


def _span(fact: Fact) -> Span:
    version = Version(fact.key, fact.etag, fact.version, fact.size, datetime.fromisoformat(fact.modified))
    return Span(fact.seq, version, fact.start, fact.end, fact.whole, fact.reading)


def first_rejects(batch: Batch) -> dict[int, list[Reject]]:
    """The first rejects of each drop, by seq, for its receipt."""
    found: dict[int, list[Reject]] = {}
    for (seq, _), rejects in sorted(batch.rejects.items()):
        of_drop = found.setdefault(seq, [])
        room = REJECTS_IN_RECEIPT - len(of_drop)
        parts = zip(rejects.line[:room], rejects.text[:room], rejects.reason[:room], strict=True)
        of_drop += [{"line": line, "text": text, "reason": reason} for line, text, reason in parts]
    return found


def loaded_table(batch: Batch) -> pa.Table:
    """Columns seq, date, id, price, volume, as the lake keeps them; no rows if every drop of the batch failed."""
    return pa.concat_tables(batch.loaded or [Loaded(np.empty(0, np.int64), Ticks.empty()).to_table()])


def replaced_table(batch: Batch) -> pa.Table:
    """Columns seq, line, date, id, price, volume, as the lake keeps them: lines as `number_lines` has them."""
    return pa.concat_tables([Replaced.empty().to_table(), *batch.replaced])


def changed(batch: Batch) -> Changed:
    """The cells that the drops of the batch changed."""
    rows = pa.concat_tables([Corrections.empty().to_table(), *batch.corrections]).unify_dictionaries()
    return Changed(rows, pa.concat_tables([correction_runs.SCHEMA.empty_table(), *batch.correction_runs]))


def rejects_table(batch: Batch) -> pa.Table:
    """Columns seq, key, line, text, reason, as the lake keeps them."""
    keys = {(fact.seq, fact.start): fact.key for fact in batch.facts}
    columns: dict[str, list[object]] = {name: [] for name in ("seq", "key", "line", "text", "reason")}
    for (seq, part), rejects in batch.rejects.items():
        columns["seq"] += [seq] * len(rejects)
        columns["key"] += [keys[seq, part]] * len(rejects)
        columns["line"] += rejects.line
        columns["text"] += rejects.text
        columns["reason"] += rejects.reason
    types = (pa.int64(), pa.string(), pa.int64(), pa.string(), pa.string())
    return pa.table({name: pa.array(column, kind) for (name, column), kind in zip(columns.items(), types, strict=True)})


def loaded_before_and_again(batch: Batch) -> set[int]:
    """Drops that an earlier batch began, if this batch brought a (date, id) of theirs again."""
    begun_here = {fact.seq for fact in batch.facts if fact.start == 0}
    return set(batch.duplicates) - begun_here
