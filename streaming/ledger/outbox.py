"""The outbox of drops: receipts and moves that are not known to be done."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from streaming.ledger.drops import Body, storable
from streaming.storage.place import Version

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg2.extensions import cursor


@dataclass(frozen=True, slots=True)
class Receipt:
    """A finished drop in the outbox.

    fate: `success` or `failed`; body: what its receipt says; moved_to: the key at its target, once chosen.
    """

    seq: int
    key: str
    fate: str
    body: Body
    version: Version
    moved_to: str | None


def ended_versions(cur: cursor, keys: Collection[str]) -> set[tuple[str, str, str | None]]:
    """(key, etag, version id) of the drops with these keys that have their receipt."""
    cur.execute(
        "SELECT r.body FROM stocketl.drops d JOIN stocketl.receipts r USING (seq)"
        " WHERE d.key = ANY(%s) AND d.status <> 'loading' AND r.written_at IS NOT NULL",
        ([storable(key) for key in keys],),
    )
    return {(body["key"], body["etag"], body["version_id"]) for (body,) in cur.fetchall()}


def unwritten_receipts(cur: cursor, checkpoint_id: str, up_to_batch: int) -> list[Receipt]:
    """Finished drops of batches up to this one whose receipt is not known to be there, in seq order."""
    return _receipts(cur, "r.written_at IS NULL", checkpoint_id, up_to_batch)


def unmoved(cur: cursor, checkpoint_id: str, up_to_batch: int) -> list[Receipt]:
    """Finished drops of batches up to this one with a receipt that are not known to be moved, in seq order."""
    return _receipts(cur, "r.written_at IS NOT NULL AND r.moved_at IS NULL", checkpoint_id, up_to_batch)


def receipt_written(cur: cursor, seq: int) -> None:
    """The receipt is there."""
    cur.execute("UPDATE stocketl.receipts SET written_at = clock_timestamp() WHERE seq = %s", (seq,))


def move_intended(cur: cursor, seq: int, target: str | None) -> None:
    """Notes the key that the file will have at its target, before it is moved. None: there is nothing to move."""
    cur.execute("UPDATE stocketl.receipts SET moved_to = %s WHERE seq = %s", (target, seq))


def moved(cur: cursor, seq: int) -> None:
    """The file is at its target and no longer in the input."""
    cur.execute("UPDATE stocketl.receipts SET moved_at = clock_timestamp() WHERE seq = %s", (seq,))


def _receipts(cur: cursor, condition: str, checkpoint_id: str, up_to_batch: int) -> list[Receipt]:
    cur.execute(
        "SELECT r.body, r.moved_to FROM stocketl.receipts r JOIN stocketl.drops d USING (seq)"  # noqa: S608 - constant
        f" WHERE {condition} AND d.status <> 'loading' AND d.checkpoint_id = %s AND d.batch_id <= %s ORDER BY seq",
        (checkpoint_id, up_to_batch),
    )
    return [Receipt(body["seq"], body["key"], body["fate"], body, _version(body), to) for body, to in cur.fetchall()]


def _version(body: Body) -> Version:
    modified = datetime.fromisoformat(body["last_modified"])
    return Version(body["key"], body["etag"], body["version_id"], body["size"], modified)


def receipt_name(seq: int) -> str:
    """The key of a drop's receipt below the receipts location."""
    return f"{seq:09d}.json"
