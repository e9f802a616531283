"""The drops of the ledger: counts add up over the parts of a drop; the last part makes its receipt."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NotRequired, TypedDict, cast

from streaming.corrections import NAMES, Did
from streaming.errors import START_AGAIN, CheckpointError
from streaming.fingerprint import NOTHING, hexadecimal, joined
from streaming.ledger import corrections
from streaming.ticks.expected import expected
from streaming.ticks.parse import every_row_rejected
from streaming.ticks.rules import BEFORE
from streaming.ticks.told import CONFLICT, UNREADABLE_VOLUME, second_key_failure

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from psycopg2.extensions import cursor

    from streaming.packets import Fact, Note, Superseded

REJECTS_IN_RECEIPT = 20
Reject = dict[str, int | str]
"""A row that is not a tick, as a receipt shows it: line, text, reason."""
NO_CONTENT = hexadecimal(NOTHING.sum)


class Body(TypedDict):
    """What a receipt says. end, first_end: how far a drop that goes on has come, and how far its first batch came.

    corrections: rows of `stocketl.corrections`, None if they are not kept. If an older version has begun the drop, it
    lacks this and what the drop did.
    """

    seq: int
    key: str
    etag: str
    version_id: str | None
    size: int
    last_modified: str
    fate: str | None
    status: str
    reason: str | None
    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_rejected: int
    rows_passed_over: int
    cells_new: NotRequired[int]
    cells_changed: NotRequired[int]
    cells_same: NotRequired[int]
    returns_rewritten: NotRequired[int]
    tickers_new: NotRequired[int]
    corrections: NotRequired[int | None]
    conflicts: int
    repeats: NotRequired[int]
    volume_unreadable: int
    reasons: dict[str, int]
    reading: str
    second_key: NotRequired[str | None]
    unreadable_volumes: list[Note]
    first_conflicts: list[Note]
    ignored: list[str]
    rejects: list[Reject]
    first_date: str | None
    last_date: str | None
    content: str
    checkpoint_id: str
    batch_id: int | None
    loaded_at: str | None
    end: NotRequired[int]
    first_end: NotRequired[int]


def record_drops(
    cur: cursor,
    checkpoint_id: str,
    batch_id: int,
    facts: list[Fact],
    *,
    duplicates: Mapping[int, Superseded],
    rejects: Mapping[int, list[Reject]],
    did: Mapping[int, Did],
    corrected: corrections.Changed | None = None,
) -> list[Body]:
    """Adds the facts of this batch to their drops. Returns the receipts of the drops that end in it, in seq order.

    facts: of one span each, in order of (seq, start). duplicates: by seq, rows of a drop that an earlier span loaded
    and a later one gave again. rejects: by seq, the first ones in this batch. did: by seq, what this batch did of a
    drop. corrected: the cells that the drops changed, None if they are not to be kept. Raises CheckpointError if a drop
    is finished already, or goes on without having begun.
    """
    bodies = _begun(cur, checkpoint_id, facts)
    begun = set(bodies)
    lines: dict[int, int] = Counter()
    for fact in facts:
        body = bodies.setdefault(fact.seq, _new_body(fact, checkpoint_id))
        body["batch_id"] = batch_id
        _add(body, fact)
        lines[fact.seq] += fact.lines
    for seq, found in rejects.items():
        room = REJECTS_IN_RECEIPT - len(bodies[seq]["rejects"])
        bodies[seq]["rejects"] += [_shown(reject) for reject in found[:room]]
    for body in bodies.values():
        body.setdefault("first_end", body["end"])
    for seq, found_again in duplicates.items():
        bodies[seq]["rows_loaded"] -= found_again.rows
        bodies[seq]["rows_duplicate"] += found_again.rows
        bodies[seq]["conflicts"] += found_again.conflicts
    _add_did(bodies, did)
    _correct(cur, bodies, begun, corrected)
    finished = [bodies[seq] for seq in sorted({fact.seq for fact in facts if fact.last})]
    if finished:
        cur.execute("SELECT clock_timestamp()")
        (now,), *_ = cur.fetchall()
        for body in finished:
            _finish(body, now)
    _write(cur, batch_id, bodies, lines)
    return finished


def recorded_fates(cur: cursor, checkpoint_id: str, batch_id: int) -> dict[int, str]:
    """Why drops of this batch failed before a row was read: what the storage said, or poison."""
    cur.execute(
        "SELECT seq, reason FROM stocketl.drops"
        " WHERE checkpoint_id = %s AND batch_id = %s AND status = 'failed' AND rows_read = 0"
        " AND split_part(reason, ':', 1) IN ('vanished', 'changed', 'unreadable', 'poison')",
        (checkpoint_id, batch_id),
    )
    return dict(cur.fetchall())


def lines_before(cur: cursor, checkpoint_id: str, batch_id: int, seqs: Collection[int]) -> dict[int, int]:
    """For each of these drops that has begun before: how many lines earlier batches have read."""
    cur.execute(
        """
        SELECT r.seq, sum(l.value::bigint)::bigint
          FROM stocketl.receipts r JOIN stocketl.drops d USING (seq), jsonb_each_text(r.lines) l
         WHERE r.seq = ANY(%s) AND d.checkpoint_id = %s AND l.key::bigint < %s
         GROUP BY r.seq
        """,
        (sorted(seqs), checkpoint_id, batch_id),
    )
    return dict(cur.fetchall())


def next_seq(cur: cursor) -> int:
    """One above the highest seq in the ledger; 1 if it is empty."""
    cur.execute("SELECT coalesce(max(seq), 0) + 1 FROM stocketl.drops")
    (seq,), *_ = cur.fetchall()
    return int(seq)


def _begun(cur: cursor, checkpoint_id: str, facts: list[Fact]) -> dict[int, Body]:
    """The bodies of the drops that go on. Checks that each part fits what the ledger knows."""
    first = {fact.seq: fact for fact in reversed(facts)}
    cur.execute(
        "SELECT d.seq, d.status, d.checkpoint_id, r.body FROM stocketl.drops d JOIN stocketl.receipts r USING (seq)"
        " WHERE d.seq = ANY(%s)",
        (list(first),),
    )
    known = {seq: (status, owner, body) for seq, status, owner, body in cur.fetchall()}
    for seq, fact in first.items():
        if (fact.start == 0) != (seq not in known) or (seq in known and known[seq][:2] != ("loading", checkpoint_id)):
            found = "nothing" if seq not in known else "{} (checkpoint {})".format(*known[seq][:2])
            wanted = "nothing" if fact.start == 0 else f"loading (checkpoint {checkpoint_id})"
            msg = (
                f"drop {seq} ({fact.key!r}), part {fact.start}: expected {wanted} of it in stocketl.drops, found "
                f"{found}. The checkpoint and the database do not belong together: restore both from the same moment, "
                f"or start anew: {START_AGAIN}."
            )
            raise CheckpointError(msg)
    return {seq: body for seq, (_, _, body) in known.items()}


def _new_body(fact: Fact, checkpoint_id: str) -> Body:
    return {
        "seq": fact.seq,
        "key": storable(fact.key),
        "etag": storable(fact.etag),
        "version_id": fact.version,
        "size": fact.size,
        "last_modified": fact.modified,
        "fate": None,
        "status": "loading",
        "reason": None,
        "rows_read": 0,
        "rows_loaded": 0,
        "rows_duplicate": 0,
        "rows_rejected": 0,
        "rows_passed_over": 0,
        "cells_new": 0,
        "cells_changed": 0,
        "cells_same": 0,
        "returns_rewritten": 0,
        "tickers_new": 0,
        "corrections": 0,
        "conflicts": 0,
        "volume_unreadable": 0,
        "reasons": {},
        "reading": fact.reading,
        "second_key": None,
        "unreadable_volumes": [],
        "first_conflicts": [],
        "ignored": [],
        "rejects": [],
        "first_date": None,
        "last_date": None,
        "content": NO_CONTENT,
        "checkpoint_id": checkpoint_id,
        "batch_id": None,
        "loaded_at": None,
    }


def _add(body: Body, fact: Fact) -> None:
    body["end"] = fact.end  # `status` tells by it and by `first_end` how far a drop has come
    body["rows_read"] += fact.rows_read
    body["rows_loaded"] += fact.rows_loaded
    body["rows_duplicate"] += fact.rows_duplicate
    body["rows_rejected"] += fact.rows_rejected
    _begun_before_profiles(body, fact)
    body["rows_passed_over"] += fact.rows_passed_over
    body["conflicts"] += fact.conflicts
    body["volume_unreadable"] += fact.volume_unreadable
    _note(body["unreadable_volumes"], fact, UNREADABLE_VOLUME)
    _note(body["first_conflicts"], fact, CONFLICT)
    body["second_key"] = body.get("second_key") or fact.second_key
    body["content"] = joined(body.get("content", NO_CONTENT), fact.content)  # absent: begun by an older version
    body["reasons"] = dict(Counter(body["reasons"]) + Counter(fact.reasons))
    names = dict.fromkeys([*body["ignored"], *map(storable, fact.ignored)])
    body["ignored"] = list(names)
    # ISO dates are in order as text
    body["first_date"] = min(filter(None, (body["first_date"], fact.first_date)), default=None)
    body["last_date"] = max(filter(None, (body["last_date"], fact.last_date)), default=None)
    if body["reason"] is None and fact.failure is not None:
        body["reason"] = storable(fact.failure)


def _add_did(bodies: dict[int, Body], did: Mapping[int, Did]) -> None:
    for seq, body in bodies.items():
        if "cells_new" in body and seq in did:
            counts = Did(**{name: cast("dict[str, int]", body)[name] for name in NAMES}) + did[seq]
            cast("dict[str, object]", body).update(asdict(counts))


def _correct(cur: cursor, bodies: dict[int, Body], begun: set[int], corrected: corrections.Changed | None) -> None:
    """Writes what is to be kept of the drops. If a part of a drop is not kept, the rest is not kept either."""
    kept = [seq for seq, body in bodies.items() if body.get("corrections") is not None]
    if corrected is None:
        corrections.forget(cur, begun.intersection(kept))
        for seq in kept:
            bodies[seq]["corrections"] = None
        return
    for seq, more in corrections.record(cur, corrected, of=kept, begun=begun).items():
        bodies[seq]["corrections"] = (bodies[seq].get("corrections") or 0) + more


def _begun_before_profiles(body: Body, fact: Fact) -> None:
    """Gives a drop that an older version has begun what that one did not count."""
    older = cast("dict[str, object]", body)
    for name in ("rows_passed_over", "conflicts", "volume_unreadable"):
        older.setdefault(name, 0)
    for name in ("unreadable_volumes", "first_conflicts"):
        older.setdefault(name, [])
    older.setdefault("reading", fact.reading)


def _note(shown: list[Note], fact: Fact, kind: str) -> None:
    """Adds the first notes of a kind."""
    found = (note for note in fact.notes if note["kind"] == kind)
    for note in itertools.islice(found, max(REJECTS_IN_RECEIPT - len(shown), 0)):
        said = {name: storable(text) if isinstance(text, str) else text for name, text in note.items()}
        del said["kind"]
        shown.append(cast("Note", said))


def _finish(body: Body, now: datetime) -> None:
    body.pop("end", None)  # only needed while the drop goes on, as is the next; an older version has not kept them
    body.pop("first_end", None)
    if body["reason"] is None and body["rows_read"] > 0 and body["rows_rejected"] == body["rows_read"]:
        body["reason"] = every_row_rejected(body["reasons"], before=body.get("reading", BEFORE) == BEFORE)
    body["repeats"] = body["rows_duplicate"] - body.get("conflicts", 0)
    second_key = body.pop("second_key", None)
    if body["reason"] is None and second_key is not None and body.get("conflicts"):
        failure = second_key_failure(second_key, body["first_conflicts"], body["conflicts"])
        body["reason"] = f"{failure}. It was read in parts: the last of these rows are in the tables"
    body["status"], body["fate"] = ("loaded", "success") if body["reason"] is None else ("failed", "failed")
    body["loaded_at"] = now.astimezone(UTC).isoformat(timespec="microseconds")


def _write(cur: cursor, batch_id: int, bodies: dict[int, Body], lines: Mapping[int, int]) -> None:
    """Two statements for any number of drops: PostgreSQL makes the rows from one JSON document."""
    cur.execute(
        """
        INSERT INTO stocketl.drops SELECT * FROM jsonb_populate_recordset(NULL::stocketl.drops, %s::jsonb)
        ON CONFLICT (seq) DO UPDATE SET
            status = excluded.status, reason = excluded.reason, rows_read = excluded.rows_read,
            rows_loaded = excluded.rows_loaded, rows_duplicate = excluded.rows_duplicate,
            rows_rejected = excluded.rows_rejected, rows_passed_over = excluded.rows_passed_over,
            conflicts = excluded.conflicts, volume_unreadable = excluded.volume_unreadable,
            cells_new = excluded.cells_new, cells_changed = excluded.cells_changed, cells_same = excluded.cells_same,
            returns_rewritten = excluded.returns_rewritten, tickers_new = excluded.tickers_new,
            corrections = excluded.corrections,
            first_date = excluded.first_date, last_date = excluded.last_date, content = excluded.content,
            batch_id = excluded.batch_id, loaded_at = excluded.loaded_at
        """,
        (json.dumps(list(bodies.values())),),
    )
    rows = [{"seq": seq, "body": body, "lines": {str(batch_id): lines[seq]}} for seq, body in bodies.items()]
    cur.execute(
        """
        INSERT INTO stocketl.receipts SELECT * FROM jsonb_populate_recordset(NULL::stocketl.receipts, %s::jsonb)
        ON CONFLICT (seq) DO UPDATE SET body = excluded.body, lines = receipts.lines || excluded.lines
        """,
        (json.dumps(rows),),
    )


def _shown(reject: Reject) -> Reject:
    told = expected(str(reject["reason"]))
    return reject | {"text": storable(str(reject["text"]))} | ({"expected": told} if told else {})


def storable(text: str) -> str:
    """PostgreSQL takes neither NUL nor a lone surrogate (a file name that is not UTF-8): both become escapes."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8").replace("\0", "\\x00")
