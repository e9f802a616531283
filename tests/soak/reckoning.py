"""Every file has exactly one fate, and tables, ledger, receipts and lake say the same: counted after all faults."""

from __future__ import annotations

import datetime as dt
import gzip
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lake_reader
from csv_oracle import Fate, fate_of
from job_process import command
from outcome import folders, receipts, rows
from producer import POISON, Sent
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

_DROPS = """
    SELECT d.*, r.moved_to, r.written_at IS NOT NULL AS written, r.moved_at IS NOT NULL AS moved
    FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq) ORDER BY seq
"""


@dataclass
class _Drop:
    """One row of the ledger, and the bytes of the file that it says it is."""

    row: dict[str, Any]
    content: bytes

    @property
    def loaded(self) -> bool:
        return bool(self.row["status"] == "loaded")

    @property
    def text(self) -> bytes:
        """Its bytes unpacked."""
        return gzip.decompress(self.content) if self.content.startswith(b"\x1f\x8b") else self.content

    @property
    def fate(self) -> Fate:
        """As plain Python reads the bytes."""
        return fate_of(self.content)


def converged(home: Path, database: str) -> bool:
    """Nothing lies in the input, every drop is moved, and nothing waits for the lake."""
    if any(not name.endswith((".part", ".filler")) for name in folders(home, "input")):
        return False
    ledger = rows(database, _DROPS)
    outbox = home / "checkpoint" / "lake-outbox"
    return all(drop["moved"] for drop in ledger) and not any(outbox.iterdir())


def assert_all_right(home: Path, database: str, sent: dict[bytes, Sent]) -> int:
    """The number of drops. Raises AssertionError with what differs."""
    drops = _with_their_files(home, database)
    _assert_each_content_has_its_fates(drops, sent)
    for drop in drops:
        _assert_fate(drop)
    _assert_receipts(home, drops)
    assert_same(stored(database), expected(drop.text for drop in drops if drop.loaded))
    _assert_lake(home, drops)
    (counted,) = rows(database, "SELECT count(DISTINCT batch_id) AS batches FROM stocketl.batches WHERE cells IS NULL")
    assert counted == {"batches": 0}, "a batch has begun and not ended"
    checked = command("verify", "--home", str(home), "--database", database)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    return len(drops)


def _with_their_files(home: Path, database: str) -> list[_Drop]:
    """Each file in success and failed belongs to one row of the ledger, and each row has one."""
    ledger = rows(database, _DROPS)
    assert [row["seq"] for row in ledger] == list(range(1, len(ledger) + 1))
    there = {name: content for name, content in folders(home, "success", "failed").items() if "/.filler" not in name}
    named = [f"{'success' if row['status'] == 'loaded' else 'failed'}/{row['moved_to']}" for row in ledger]
    told = {"ledger only": sorted(set(named) - set(there)), "files only": sorted(set(there) - set(named))}
    assert sorted(named) == sorted(there), told
    return [_Drop(row, there[name]) for row, name in zip(ledger, named, strict=True)]


def _assert_each_content_has_its_fates(drops: list[_Drop], sent: dict[bytes, Sent]) -> None:
    """What was dropped and left alone is there as often as it was dropped; what was touched, once more or less."""
    counted = Counter(drop.content for drop in drops)
    wrong = {
        content[:120]: f"{counted[content]} times, expected {bounds.least} to {bounds.most}"
        for content, bounds in sent.items()
        if not bounds.least <= counted[content] <= bounds.most
    }
    strangers = [drop.row["key"] for drop in drops if drop.content not in sent]
    assert not wrong, wrong
    assert not strangers, f"nobody dropped the bytes of {strangers}"


def _assert_fate(drop: _Drop) -> None:
    row, fate = drop.row, drop.fate
    if row["key"] == POISON:
        assert row["reason"].startswith("poison"), row
        return
    assert drop.loaded != fate.failed, row
    if not drop.loaded:
        assert row["reason"], row
        return
    told = {name: row[f"rows_{name}"] for name in ("read", "loaded", "rejected")}
    assert told == {"read": fate.read, "loaded": len(fate.cells), "rejected": len(fate.rejects)}, row
    assert row["rows_duplicate"] == row["rows_read"] - row["rows_loaded"] - row["rows_rejected"]


def _assert_receipts(home: Path, drops: list[_Drop]) -> None:
    found = receipts(home)
    assert sorted(found) == [f"{drop.row['seq']:09d}.json" for drop in drops]
    for drop in drops:
        receipt = found[f"{drop.row['seq']:09d}.json"]
        names = ("seq", "key", "size", "rows_read", "rows_loaded", "rows_duplicate", "rows_rejected")
        assert {name: receipt[name] for name in names} == {name: drop.row[name] for name in names}
        assert receipt["fate"] == ("success" if drop.loaded else "failed")


def _assert_lake(home: Path, drops: list[_Drop]) -> None:
    """Each (date, id) of a drop once, as its last row gives it; and as many rejects as the ledger counts."""
    ticks = lake_reader.folder_rows(home / "lake" / "ticks")
    want = Counter(
        (drop.row["seq"], dt.date.fromisoformat(day), ticker, price, volume)
        for drop in drops
        if drop.loaded
        for (day, ticker), (price, volume) in drop.fate.cells.items()
    )
    got = Counter({row[:5]: 0 for row in ticks})
    for row, count in ticks.items():
        got[row[:5]] += count
    assert got == want, {"missing": list((want - got).items())[:10], "too many": list((got - want).items())[:10]}
    rejects = Counter(row[0] for row in lake_reader.folder_rows(home / "lake" / "rejects").elements())
    counts = {drop.row["seq"]: drop.row["rows_rejected"] for drop in drops}
    assert rejects == +Counter(counts)
