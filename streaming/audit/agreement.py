"""Whether a batch and the state fit the ledger: compared in the batch's transaction, before Spark commits the state.

The ledger keeps two things for this: what the last batches read of each drop, and the fingerprint that each bucket of
the state had after the last batch that changed it. If a replay read something else, it would commit a wrong state, and
returns would be wrong from then on without a word. The same happens with a state that is not that of the tables.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from psycopg2.extras import execute_values

from streaming.corrections import NAMES, Did
from streaming.errors import START_AGAIN, CheckpointError
from streaming.fingerprint import NOTHING, Fingerprint, joined

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.packets import Fact
    from streaming.publish.batch import Batch

_KEPT_BATCHES = 100  # as many as Spark keeps of its own logs
_COUNTS = ("rows_read", "rows_rejected", "lines")
OLDER = -1  # stands for all buckets of a database that is older than the fingerprints

Reading = dict[str, int | str]


def readings(facts: list[Fact], did: Mapping[int, Did]) -> dict[str, Reading]:
    """What a batch has read of each drop and done with it, by seq as text: however the drop was cut into tasks."""
    found: dict[str, Reading] = {}
    for fact in facts:
        reading = found.setdefault(str(fact.seq), dict.fromkeys(_COUNTS, 0) | {"content": "0"})
        for name in _COUNTS:
            reading[name] += getattr(fact, name)
        reading["content"] = joined(str(reading["content"]), fact.content)
    return {seq: reading | asdict(did.get(int(seq), Did())) for seq, reading in found.items()}


def record(cur: cursor, checkpoint: Checkpoint, batch_id: int, batch: Batch) -> None:
    """Notes a new batch. Raises CheckpointError if the state that it began with is not that of the ledger."""
    known = fingerprints(cur, checkpoint.id)
    for key, (before, _) in batch.fingerprints.items():
        bucket = checkpoint.bucket(key)
        last, expected = known.get(bucket, (-1, before if OLDER in known else NOTHING))
        if before != expected:
            raise CheckpointError(drifted(checkpoint.url, bucket, last, expected, before))
    cur.execute(
        "INSERT INTO stocketl.readings (checkpoint_id, batch_id, drops) VALUES (%s, %s, %s)",
        (checkpoint.id, batch_id, json.dumps(readings(batch.facts, batch.did))),
    )
    cur.execute(
        "DELETE FROM stocketl.readings WHERE checkpoint_id = %s AND batch_id <= %s",
        (checkpoint.id, batch_id - _KEPT_BATCHES),
    )
    rows = [
        (checkpoint.id, checkpoint.bucket(key), batch_id, after.cells, after.sum)
        for key, (_, after) in batch.fingerprints.items()
    ]
    if rows:
        execute_values(
            cur,
            "INSERT INTO stocketl.fingerprints (checkpoint_id, bucket, batch_id, cells, sum) VALUES %s"
            " ON CONFLICT (checkpoint_id, bucket) DO UPDATE"
            " SET batch_id = excluded.batch_id, cells = excluded.cells, sum = excluded.sum",
            rows,
        )


def refuse_lost(cur: cursor, checkpoint: Checkpoint, batch_id: int) -> None:
    """Raises CheckpointError if a batch that was committed is no longer in the database."""
    cur.execute("SELECT FROM stocketl.batches WHERE checkpoint_id = %s AND batch_id = %s", (checkpoint.id, batch_id))
    if cur.rowcount == 0:
        msg = (
            f"the database has lost batch {batch_id}, which was committed: a standby that did not have it became the "
            "writer, or an older copy was restored. The tables lack its rows; nothing more was written. If the server "
            f"that has it can come back, point --database there. Else start anew: {START_AGAIN}. Synchronous "
            "replication (synchronous_standby_names) prevents this."
        )
        raise CheckpointError(msg)


def refuse_another_replay(cur: cursor, checkpoint: Checkpoint, batch_id: int, batch: Batch) -> None:
    """Raises CheckpointError if a replay of a batch in the database read or did something else this time."""
    _compare_readings(cur, checkpoint, batch_id, batch)
    now = {checkpoint.bucket(key): after for key, (_, after) in batch.fingerprints.items()}
    for bucket, (last, expected) in fingerprints(cur, checkpoint.id).items():
        if last == batch_id and bucket != OLDER and now.get(bucket, NOTHING) != expected:
            raise CheckpointError(drifted(checkpoint.url, bucket, last, expected, now.get(bucket, NOTHING)))


def fingerprints(cur: cursor, checkpoint_id: str) -> dict[int, tuple[int, Fingerprint]]:
    """By bucket: the last batch that changed it, and the fingerprint since then."""
    cur.execute(
        "SELECT bucket, batch_id, cells, sum FROM stocketl.fingerprints WHERE checkpoint_id = %s", (checkpoint_id,)
    )
    return {bucket: (batch_id, Fingerprint(cells, total)) for bucket, batch_id, cells, total in cur.fetchall()}


def drifted(url: str, bucket: int, batch_id: int, expected: Fingerprint, got: Fingerprint) -> str:
    """The message for a state that is not that of the tables."""
    since = f"after batch {batch_id}" if batch_id >= 0 else "before any batch"
    return (
        f"the tables were not written from the state in the checkpoint {url}: bucket {bucket}, "
        f"{since}: expected {expected.cells:,} cells with the sum {expected.sum}, got {got.cells:,} with {got.sum}. "
        "Nothing was written, since the returns would be wrong. Was a part of the checkpoint or of the database "
        f"restored from a copy? Restore both from the same moment, or start anew: {START_AGAIN}."
    )


def _compare_readings(cur: cursor, checkpoint: Checkpoint, batch_id: int, batch: Batch) -> None:
    cur.execute(
        "SELECT drops FROM stocketl.readings WHERE checkpoint_id = %s AND batch_id = %s", (checkpoint.id, batch_id)
    )
    expected: dict[str, Reading] = next((drops for (drops,) in cur.fetchall()), {})
    names = {str(fact.seq): fact.key for fact in batch.facts}
    failures = {str(fact.seq): fact.failure for fact in batch.facts if fact.failure}
    for seq, now in readings(batch.facts, batch.did).items():
        was = expected.get(seq)
        if was is None or was.items() <= now.items():  # an older version has noted less
            continue
        told = f"expected {_told(was)}, got {_told({name: now[name] for name in was})}"
        drop = f"batch {batch_id} is in the database, but drop {seq} ({names[seq]!r})"
        if all(was[name] == now[name] for name in was if name not in NAMES):
            msg = (
                f"{drop} now does something else to the cells: {told}. The state in the checkpoint {checkpoint.url} "
                "is not the one that the batch began with. Nothing was written. Was a part of the checkpoint or of "
                f"the database restored from a copy? Restore both from the same moment, or start anew: {START_AGAIN}."
            )
            raise CheckpointError(msg)
        msg = (
            f"{drop} no longer reads the same: {told} ({failures.get(seq, 'no failure')}). Its bytes are gone or "
            "others, or an option has changed how files are read; going on would write wrong returns. Nothing was "
            f"written. Put the option back, or the bytes with their old time (in a folder: `cp -p FILE "
            f"INPUT/.claims/{seq}`; on S3: the version), or start anew: {START_AGAIN}."
        )
        raise CheckpointError(msg)


def _told(reading: Reading) -> str:
    return ", ".join(f"{name} {reading[name]}" for name in (*_COUNTS, "content", *NAMES) if name in reading)
