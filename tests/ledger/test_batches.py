"""Batches in the ledger: begun once, with one list of drops, and notified."""

from __future__ import annotations

import contextlib
import select

import psycopg2
import pytest
from ledger_rows import Run, fact, query, record

from streaming.errors import CheckpointError
from streaming.ledger import batches


def test_a_batch_is_begun_once(run: Run) -> None:
    """A replay with the same list is told so; the row holds what finish_batch says."""
    assert run(lambda cur: batches.begin_batch(cur, "c", 0, 3, "d", 2))
    run(lambda cur: batches.finish_batch(cur, "c", 0, 42))
    assert not run(lambda cur: batches.begin_batch(cur, "c", 0, 4, "d", 2))
    assert query(run, "SELECT checkpoint_id, batch_id, epoch, drops, digest, cells FROM stocketl.batches") == [
        ("c", 0, 3, 2, "d", 42)
    ]
    assert query(run, "SELECT committed_at <= clock_timestamp() FROM stocketl.batches") == [(True,)]


def test_a_replay_with_another_list_is_refused(run: Run) -> None:
    """The message names the batch and both digests."""
    run(lambda cur: batches.begin_batch(cur, "c", 7, 1, "abc", 2))
    with pytest.raises(CheckpointError, match=r"batch 7 .*expected digest 'abc' \(2 drops\), got 'xyz' \(1 drops\)"):
        run(lambda cur: batches.begin_batch(cur, "c", 7, 1, "xyz", 1))


def test_last_batch_and_digests_are_those_of_the_newest(run: Run) -> None:
    """Nothing in an empty ledger; then the last batch of the newest epoch, and the last digests of one checkpoint."""
    assert run(batches.last_batch) is None
    for checkpoint, batch_id, epoch in (("old", 9, 1), ("c", 0, 2), ("c", 1, 2), ("c", 2, 3)):
        run(lambda cur, b=batch_id, c=checkpoint, e=epoch: batches.begin_batch(cur, c, b, e, f"{c}{b}", 1))
    assert run(batches.last_batch) == ("c", 2, "c2")
    assert run(lambda cur: batches.batch_digests(cur, "c", 2)) == {1: "c1", 2: "c2"}


def test_each_batch_is_notified_when_it_is_committed(run: Run, database: str) -> None:
    """A listener on `stocketl` gets the batch id."""
    with contextlib.closing(psycopg2.connect(database)) as listener:
        listener.autocommit = True
        with listener.cursor() as cur:
            cur.execute("LISTEN stocketl")
        record(run, 5, [fact(1, loaded=1)])
        assert select.select([listener], [], [], 10)[0] == [listener]
        listener.poll()
        assert [(note.channel, note.payload) for note in listener.notifies] == [("stocketl", "5")]
