"""The files of drops that were loaded, read again as they were read then."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from psycopg2.extras import RealDictCursor

from streaming.errors import DropError, StorageError
from streaming.fingerprint import hexadecimal
from streaming.home.rebuild_journal import text_ids_of
from streaming.ledger.fates import FATE
from streaming.ledger.profiles import recorded_profiles
from streaming.storage.locations import open_place
from streaming.storage.place import Version
from streaming.ticks.how import how_of
from streaming.ticks.located import Located, located
from streaming.ticks.parse import parse
from streaming.ticks.rules import BEFORE, Rules
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from psycopg2.extensions import connection

    from streaming.screen import Facts
    from streaming.settings import Settings
    from streaming.ticks.how import How

_DROPS = f"""
    SELECT d.*, {FATE}, r.moved_to, r.moved_at, b.committed_at
    FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq)
    LEFT JOIN stocketl.batches b USING (checkpoint_id, batch_id)
"""  # noqa: S608 (constants)
_COVERING = _DROPS + "WHERE d.rows_loaded > 0 AND d.first_date <= %s AND d.last_date >= %s ORDER BY d.seq"
_NAMED = _DROPS + "WHERE d.seq = ANY(%s) ORDER BY d.seq"


class FileGoneError(StorageError):
    """The file of a drop is not there any more, or is not what was loaded; the message says where it was looked for."""


@dataclass(frozen=True)
class DropInLedger:
    """A drop as the ledger has it. place: where its file lies, with its folder or bucket, as far as it is known."""

    seq: int
    key: str
    fate: str
    committed_at: object
    rows_loaded: int
    place: str
    row: Facts = field(repr=False)


@dataclass(frozen=True)
class DropFiles:
    """Reads the files of drops. profiles: as JSON, by digest."""

    settings: Settings
    text_ids: bool
    profiles: Mapping[str, str]

    @classmethod
    def of(cls, settings: Settings, connected: connection) -> DropFiles:
        """With the profiles that the ledger has recorded."""
        with connected.cursor() as cur:
            return cls(settings, text_ids_of(settings), recorded_profiles(cur))

    def rows(self, drop: DropInLedger, ticker: str | None) -> Located:
        """The rows of a drop, perhaps only those of one ticker. Raises FileGoneError and StorageError."""
        found = self._found(drop)
        if found is None:
            msg = f"its file is gone; looked for {drop.place}"
            raise FileGoneError(msg)
        version, data = found
        if len(data) != drop.row["size"]:
            msg = f"its file was changed since: expected {drop.row['size']:,} bytes in {drop.place}, got {len(data):,}"
            raise FileGoneError(msg)
        try:
            if not _is_as_it_was(version, drop):
                self._refuse_other_rows(drop, data)
            return located(data, drop.key, self._how(drop), ticker=ticker)
        except UnreadableError as error:
            msg = f"its file no longer reads as it did ({drop.place}): {error}"
            raise FileGoneError(msg) from None

    def rules(self, drop: DropInLedger) -> Rules:
        """How its fields were read."""
        try:
            return self._how(drop).rules(drop.key)
        except UnreadableError:  # the profile takes something from the key that it does not have
            return Rules(self.text_ids)

    def _refuse_other_rows(self, drop: DropInLedger, data: bytes) -> None:
        """Raises FileGoneError if a file that was written since has other rows; to read them all may take a second."""
        loaded = drop.row["content"]
        if drop.fate != "success" or loaded is None:
            return
        if hexadecimal(parse(data, drop.key, self._how(drop)).content) != loaded:
            msg = f"its file was changed since: it says something else now ({drop.place})"
            raise FileGoneError(msg)

    def _how(self, drop: DropInLedger) -> How:
        """Whatever profiles.toml says now."""
        given, limit = drop.row.get("reading", BEFORE), self.settings.unpacked_limit
        return how_of(given, self.profiles, text_ids=self.text_ids, unpacked_limit=limit)

    def _found(self, drop: DropInLedger) -> tuple[Version, bytes] | None:
        """A drop that was not moved, or not by the job, may lie in either place."""
        row = drop.row
        if row["moved_at"] is None:  # first: under its key in success another drop of this key may lie
            version = Version(row["key"], row["etag"], row["version_id"], row["size"], row["last_modified"])
            with contextlib.suppress(DropError):
                return version, open_place(self.settings.input).read(version, drop.seq)
        return open_place(_target(self.settings, drop.fate)).get_version(row["moved_to"] or row["key"])


def _is_as_it_was(version: Version, drop: DropInLedger) -> bool:
    """A file that was moved keeps its time, and an object on S3 mostly its ETag."""
    return drop.row["etag"] == version.etag or bool(drop.row["last_modified"] == version.modified)


def drops_covering(connected: connection, settings: Settings, first: object, last: object) -> list[DropInLedger]:
    """The drops with rows that may lie between two dates, both included, in order of seq."""
    return _drops(connected, settings, _COVERING, (last, first))


def drops_named(connected: connection, settings: Settings, seqs: Iterable[int]) -> list[DropInLedger]:
    """The drops with these numbers, in order of seq."""
    return _drops(connected, settings, _NAMED, (sorted(seqs),))


def _drops(connected: connection, settings: Settings, query: str, values: tuple[object, ...]) -> list[DropInLedger]:
    with connected.cursor(cursor_factory=RealDictCursor) as cur:
        cur.execute(query, values)
        return [_drop(dict(row), settings) for row in cur.fetchall()]


def _drop(row: Facts, settings: Settings) -> DropInLedger:
    waits = row["moved_at"] is None and row["moved_to"] is None and settings.moves
    place = settings.input if waits else _target(settings, row["fate"])
    name = row["moved_to"] or row["key"]
    return DropInLedger(
        row["seq"], row["key"], row["fate"], row["committed_at"], row["rows_loaded"], f"{place}/{name}", row
    )


def _target(settings: Settings, fate: str) -> str:
    return settings.failed if fate == "failed" else settings.success
