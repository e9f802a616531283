"""The drops: a list that can be filtered, and the receipt of one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2.extras import RealDictCursor

from streaming.commands.advice import advice
from streaming.commands.status import moved_to
from streaming.ledger.fates import FATE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from psycopg2.extensions import cursor

    from streaming.screen import Facts
    from streaming.settings import Settings

PAGE = 50
_FATES = {"success": "loaded", "failed": "failed", "loading": "loading"}
_COLUMNS = f"""
    d.seq, d.key, {FATE}, d.reason, d.size, d.rows_read, d.rows_loaded, d.rows_duplicate, d.rows_rejected,
    d.first_date, d.last_date, d.loaded_at AS ended_at,
    GREATEST(extract(epoch FROM d.loaded_at - d.last_modified), 0)::float8 AS seconds
"""
_DID = ("cells_new", "cells_changed", "cells_same", "returns_rewritten", "tickers_new")
_NEWEST = "(SELECT checkpoint_id FROM stocketl.drops ORDER BY seq DESC LIMIT 1)"
_FROM_BODY = ("ignored", "reasons", "rejects", "unreadable_volumes", "first_conflicts")


def drops(cur: cursor, *, text: str = "", fate: str = "", before: int | None = None) -> list[Facts]:
    """The newest drops whose key holds the text and that have this fate, newest first; before: only lower seqs."""
    values = {"text": text, "status": _FATES.get(fate), "before": before, "most": PAGE}
    return _rows(
        cur,
        f"""
        SELECT {_COLUMNS} FROM stocketl.drops d
         WHERE (%(text)s = '' OR strpos(lower(d.key), lower(%(text)s)) > 0)
           AND (%(status)s::text IS NULL OR d.status = %(status)s)
           AND (%(before)s::bigint IS NULL OR d.seq < %(before)s)
         ORDER BY d.seq DESC LIMIT %(most)s
        """,  # noqa: S608 (constants)
        values,
    )


def drops_of_batches(cur: cursor, batch_ids: Sequence[int]) -> list[Facts]:
    """The newest drops of these batches of the newest checkpoint, newest first."""
    return _rows(
        cur,
        f"""
        SELECT {_COLUMNS} FROM stocketl.drops d
         WHERE d.checkpoint_id = {_NEWEST} AND d.batch_id = ANY(%(ids)s) ORDER BY d.seq DESC LIMIT %(most)s
        """,  # noqa: S608 (constants)
        {"ids": list(batch_ids), "most": PAGE},
    )


def dates_of_batches(cur: cursor, batch_ids: Sequence[int]) -> Facts:
    """The first and the last date of their drops: what these batches may have written.

    `new`: whether they may have brought a price where there was none; if not, they have only changed some.
    """
    return _rows(
        cur,
        f"""
        SELECT min(first_date) AS first, max(last_date) AS last,
               coalesce(bool_or(to_jsonb(d) ->> 'cells_new' IS DISTINCT FROM '0'), false) AS new
          FROM stocketl.drops d
         WHERE d.checkpoint_id = {_NEWEST} AND d.batch_id = ANY(%(ids)s) AND first_date IS NOT NULL
        """,  # noqa: S608 (constants)
        {"ids": list(batch_ids)},
    )[0]


def receipt(cur: cursor, seq: int, settings: Settings) -> Facts | None:
    """All that is known of a drop: counts, reasons, the first rejected rows. None if there is no such drop.

    settings: name the folders into which files are moved.
    """
    found = _rows(
        cur,
        f"""
        SELECT {_COLUMNS}, {", ".join(_DID)}, d.last_modified, d.batch_id, r.body, r.written_at, r.moved_to, r.moved_at
          FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq) WHERE d.seq = %(seq)s
        """,  # noqa: S608 (constants)
        {"seq": seq},
    )
    if not found:
        return None
    drop = found[0]
    body = drop.pop("body") or {}
    drop["moved_to"] = moved_to(drop, settings)
    drop |= {name: body.get(name) or ({} if name == "reasons" else []) for name in _FROM_BODY}
    drop |= {name: body.get(name, 0) for name in ("conflicts", "volume_unreadable")}
    return drop | {"advice": advice(drop["reason"]) if drop["reason"] else None}


def _rows(cur: cursor, query: str, values: Mapping[str, object]) -> list[Facts]:
    with cur.connection.cursor(cursor_factory=RealDictCursor) as named:
        named.execute(query, values)
        return [dict(row) for row in named.fetchall()]
