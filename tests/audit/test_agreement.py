"""What a replay must read again, and what the state must hold: on a real ledger, without Spark."""

from __future__ import annotations

import contextlib
import json
import re
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from ledger_rows import fact

from streaming.audit import agreement
from streaming.checkpoint.checkpoint import Checkpoint
from streaming.corrections import Did
from streaming.database.transactions import Transactions
from streaming.errors import CheckpointError
from streaming.fingerprint import NOTHING, Fingerprint
from streaming.ledger import writer
from streaming.packets import Changes, Fact
from streaming.publish.batch import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Run = Callable[[Callable[[Any], Any]], Any]

CHECKPOINT = Checkpoint("/checkpoint", "c", 2, text_ids=False, keys=[2, 0])
FIRST, SECOND = Fingerprint(3, 12_345), Fingerprint(5, -7)
PARTS = [
    fact(1, loaded=2, rejected=1, content="00000000000000aa"),
    fact(2, loaded=4, whole=False, content="00000000000000bb"),
    fact(2, loaded=3, whole=False, start=10, content="ffffffffffffffff"),
]


@pytest.fixture
def run(database: str) -> Iterator[Run]:
    """Runs a function in a transaction on a database with an empty ledger."""
    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        yield transactions.run


def batch(facts: list[Fact], fingerprints: dict[int, tuple[Fingerprint, Fingerprint]]) -> Batch:
    return Batch(Changes.empty(), facts, {}, [], {}, fingerprints=fingerprints)


def record(run: Run, batch_id: int, made: Batch) -> None:
    run(lambda cur: agreement.record(cur, CHECKPOINT, batch_id, made))


def replay(run: Run, batch_id: int, made: Batch) -> None:
    run(lambda cur: agreement.refuse_another_replay(cur, CHECKPOINT, batch_id, made))


def test_a_replay_that_reads_and_does_the_same_passes(run: Run) -> None:
    """Also where the drop is cut otherwise: parts of a drop count together."""
    record(run, 0, batch(PARTS, {2: (NOTHING, FIRST)}))
    replay(run, 0, batch(PARTS, {2: (NOTHING, FIRST)}))
    joined = fact(2, loaded=7, whole=False, lines=PARTS[1].lines + PARTS[2].lines, content="00000000000000ba")
    replay(run, 0, batch([PARTS[0], joined], {2: (NOTHING, FIRST)}))


@pytest.mark.parametrize("part", range(len(PARTS)))
@pytest.mark.parametrize(
    "change",
    [
        {"rows_read": 0, "rows_loaded": 0, "rows_rejected": 0, "lines": 0, "content": "0", "failure": "vanished: gone"},
        {"rows_read": 9},
        {"rows_rejected": 3},
        {"lines": 77},
        {"content": "00000000000000ab"},
    ],
    ids=["gone", "rows", "rejects", "lines", "content"],
)
def test_a_replay_of_any_part_that_reads_something_else_is_refused(run: Run, part: int, change: dict[str, Any]) -> None:
    """The message names the drop, what was expected and what was read."""
    record(run, 0, batch(PARTS, {}))
    other = list(PARTS)
    other[part] = replace(PARTS[part], **change)
    key = PARTS[part].key
    with pytest.raises(
        CheckpointError, match=rf"drop \d \('{re.escape(key)}'\) no longer reads the same: expected rows_"
    ):
        replay(run, 0, batch(other, {}))


def test_a_replay_that_does_something_else_to_the_cells_is_refused(run: Run) -> None:
    """It reads the same and counts otherwise: the state that it began with is another one."""
    record(run, 0, replace(batch(PARTS, {}), did={1: Did(cells_new=2), 2: Did(cells_new=7)}))
    replay(run, 0, replace(batch(PARTS, {}), did={1: Did(cells_new=2), 2: Did(cells_new=7)}))
    with pytest.raises(CheckpointError, match=r"drop 2 .* something else to the cells: .*cells_new 7.*cells_new 6"):
        replay(run, 0, replace(batch(PARTS, {}), did={1: Did(cells_new=2), 2: Did(cells_new=6, cells_same=1)}))


def test_a_batch_that_an_older_version_has_written_is_compared_with_what_that_one_noted(run: Run) -> None:
    """It has not counted what the drops did, so that is not asked for."""
    record(run, 0, batch(PARTS, {}))
    drops = {seq: {"rows_read": 3} for seq in ("1",)}
    run(lambda cur: cur.execute("UPDATE stocketl.readings SET drops = %s", (json.dumps(drops),)))
    replay(run, 0, replace(batch(PARTS, {}), did={1: Did(cells_new=2), 2: Did(cells_new=7)}))


def test_a_replay_that_leaves_another_state_is_refused(run: Run) -> None:
    """Another sum, another number of cells, or a bucket that was not touched at all."""
    record(run, 0, batch(PARTS, {2: (NOTHING, FIRST), 0: (NOTHING, SECOND)}))
    others = [
        {2: (NOTHING, FIRST), 0: (NOTHING, Fingerprint(5, -8))},
        {2: (NOTHING, Fingerprint(4, 12_345)), 0: (NOTHING, SECOND)},
        {2: (NOTHING, FIRST)},
    ]
    for other in others:
        with pytest.raises(
            CheckpointError, match=r"the tables were not written from the state in .*: bucket \d, after"
        ):
            replay(run, 0, batch(PARTS, other))


def test_a_batch_on_a_state_that_the_ledger_does_not_know_is_refused(run: Run) -> None:
    """The state must be as it was after the last batch that changed the bucket, whenever that was."""
    record(run, 0, batch([PARTS[0]], {2: (NOTHING, FIRST), 0: (NOTHING, SECOND)}))
    record(run, 1, batch([PARTS[1]], {0: (SECOND, FIRST)}))
    for before in (NOTHING, SECOND, Fingerprint(3, 12_346)):
        with pytest.raises(CheckpointError, match="bucket 0, after batch 0: expected 3 cells with the sum 12345, got"):
            record(run, 2, batch([PARTS[2]], {2: (before, SECOND)}))
    record(run, 2, batch([PARTS[2]], {2: (FIRST, SECOND)}))
    with pytest.raises(CheckpointError, match="bucket 1, after batch 1"):
        record(run, 3, batch([PARTS[0]], {0: (SECOND, SECOND)}))


def test_a_database_older_than_the_fingerprints_takes_the_first_one_as_it_is(run: Run) -> None:
    """From then on it is compared like any other."""
    run(lambda cur: cur.execute("INSERT INTO stocketl.fingerprints VALUES ('c', -1, 7, 0, 0)"))
    record(run, 8, batch([PARTS[0]], {2: (FIRST, SECOND)}))
    with pytest.raises(CheckpointError, match="bucket 0, after batch 8"):
        record(run, 9, batch([PARTS[1]], {2: (FIRST, SECOND)}))


def test_readings_are_kept_for_a_hundred_batches(run: Run) -> None:
    """As long as Spark keeps its own logs; nothing else grows."""
    for batch_id in range(130):
        record(run, batch_id, batch([PARTS[0]], {2: (FIRST if batch_id else NOTHING, FIRST)}))

    def numbers(cur: Any) -> list[tuple[int, ...]]:
        cur.execute("SELECT count(*), min(batch_id) FROM stocketl.readings")
        kept = cur.fetchall()
        cur.execute("SELECT count(*) FROM stocketl.fingerprints")
        return [*kept, *cur.fetchall()]

    assert run(numbers) == [(100, 30), (1,)]
