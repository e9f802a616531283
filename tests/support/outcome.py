"""All that a job leaves behind, times of the clock aside, so that two runs can be compared as a whole."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import lake_reader
import psycopg2
import psycopg2.extras
import tables
from psycopg2 import sql

if TYPE_CHECKING:
    from collections import Counter
    from pathlib import Path

_CLOCK = {"loaded_at", "committed_at", "written_at", "moved_at"}
_START = {"epoch", "checkpoint_id"}
_INODE = {"etag", "digest"}  # in a folder both hold the number of the inode
_CORRECTIONS = "SELECT to_jsonb(c) - 'at' AS row FROM stocketl.corrections c ORDER BY seq, date, id"
_FOLDERS = ("input", "success", "failed")


@dataclass(frozen=True)
class Outcome:
    """Tables, ledger, lake, receipts (by name) and folders (file -> bytes)."""

    tables: tables.Tables
    drops: list[dict[str, Any]]
    batches: list[dict[str, Any]]
    tickers: list[dict[str, Any]]
    latest: list[dict[str, Any]]
    corrections: list[dict[str, Any]]
    ticks: Counter[lake_reader.Row]
    rejects: Counter[lake_reader.Row]
    receipts: dict[str, Any]
    folders: dict[str, bytes]

    def assert_equals(self, want: Outcome) -> None:
        """Part by part, so that a failure says which one differs."""
        assert self.drops == want.drops
        assert self.batches == want.batches
        assert self.tickers == want.tickers
        tables.assert_same(self.tables, want.tables)
        assert self.latest == want.latest
        assert self.corrections == want.corrections
        assert self.ticks == want.ticks
        assert self.rejects == want.rejects
        assert self.receipts == want.receipts
        assert self.folders == want.folders


def outcome(home: Path, database: str) -> Outcome:
    """Of a job whose locations are all under its home."""
    return Outcome(
        tables=tables.stored(database),
        drops=rows(database, "SELECT * FROM stocketl.drops ORDER BY seq"),
        batches=rows(database, "SELECT * FROM stocketl.batches ORDER BY batch_id"),
        tickers=rows(database, "SELECT * FROM stocketl.tickers ORDER BY id"),
        latest=rows(database, "SELECT * FROM stocketl.latest ORDER BY id"),
        corrections=rows(
            database, "SELECT to_jsonb(c) - 'at' AS row FROM stocketl.corrections c ORDER BY seq, date, id"
        ),
        ticks=lake_reader.folder_rows(home / "lake" / "ticks"),
        rejects=lake_reader.folder_rows(home / "lake" / "rejects"),
        receipts=receipts(home),
        folders=folders(home),
    )


def rows(database: str, query: str | sql.Composed, *values: object) -> list[dict[str, Any]]:
    """The rows of a query, without the columns that no two runs have in common."""
    connection = psycopg2.connect(database)
    try:
        with connection, connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cur:
            cur.execute(query, values)
            return [_comparable(row) for row in cur.fetchall()]
    finally:
        connection.close()


def receipts(home: Path) -> dict[str, Any]:
    """The receipts that stand in the home, by file name."""
    return {path.name: _comparable(json.loads(path.read_bytes())) for path in (home / "receipts").rglob("*.json")}


def folders(home: Path, *names: str) -> dict[str, bytes]:
    """Every file, hidden ones too, in input, success and failed (or the folders named).

    A running job may move one while this looks: that one is not among them, or at both places.
    """
    found: dict[str, bytes] = {}
    for path in (path for name in names or _FOLDERS for path in (home / name).rglob("*") if path.is_file()):
        with contextlib.suppress(FileNotFoundError):
            found[path.relative_to(home).as_posix()] = path.read_bytes()
    return found


def _comparable(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name not in _CLOCK | _START | _INODE}
