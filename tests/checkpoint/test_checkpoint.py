"""Checkpoint and ledger must tell the same story before a job may go on."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from streaming.checkpoint.checkpoint import Checkpoint, open_checkpoint
from streaming.checkpoint.offset import Offset, Span, batch_digest
from streaming.database.connect import connect
from streaming.errors import CheckpointError
from streaming.ledger import batches, writer
from streaming.storage.place import Version
from streaming.supervision.takeover import agree_with_ledger, refuse_leftovers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from psycopg2.extensions import cursor

A, B = (
    Span(1, Version(key, "etag", None, 9, datetime(2024, 1, 2, tzinfo=UTC)), 0, 9, whole=True)
    for key in ("a.csv", "b.csv")
)
METADATA = '{"batchWatermarkMs":0}'


@pytest.fixture
def cur(database: str) -> Iterator[cursor]:
    with contextlib.closing(connect(database)) as connected, connected.cursor() as made:
        writer.create(made)
        yield made


def log(folder: Path, kind: str, batch_id: int, drops: list[Span]) -> None:
    """A file of Spark's offset or commit log."""
    (folder / kind).mkdir(exist_ok=True)
    offset = json.dumps(Offset(len(drops), tuple(drops), {}).to_json())
    (folder / kind / str(batch_id)).write_text(f"v1\n{METADATA}\n{offset}")


def opened(folder: Path, *, text_ids: bool = False) -> Checkpoint:
    return open_checkpoint(str(folder), buckets=8, text_ids=text_ids)


def test_a_checkpoint_keeps_its_id_and_its_buckets(tmp_path: Path) -> None:
    """Both are written once; a later default does not change them."""
    first = opened(tmp_path)
    again = open_checkpoint(str(tmp_path), buckets=99, text_ids=False)
    assert (again.id, again.buckets) == (first.id, 8)


def test_another_reading_of_ids_is_refused(tmp_path: Path) -> None:
    """With --text-ids the tickers of the history would get other names."""
    opened(tmp_path)
    with pytest.raises(CheckpointError, match="begun without --text-ids"):
        opened(tmp_path, text_ids=True)


def test_somebody_elses_checkpoint_is_refused(tmp_path: Path) -> None:
    """A folder with Spark's logs but without our id is not ours."""
    log(tmp_path, "offsets", 0, [])
    with pytest.raises(CheckpointError, match=r"without stocketl\.json"):
        opened(tmp_path)


def test_new_checkpoint_and_new_database_agree(tmp_path: Path, cur: cursor) -> None:
    """The first start of all."""
    agree_with_ledger(opened(tmp_path), cur)


@pytest.mark.parametrize("committed", [True, False])
def test_a_batch_that_is_in_both_agrees(tmp_path: Path, cur: cursor, *, committed: bool) -> None:
    """Committed by Spark, or published and killed before that."""
    checkpoint = opened(tmp_path)
    log(tmp_path, "offsets", 0, [A])
    if committed:
        log(tmp_path, "commits", 0, [])
    batches.begin_batch(cur, checkpoint.id, 0, 1, batch_digest([A]), 1)
    agree_with_ledger(checkpoint, cur)


def test_a_planned_batch_that_is_not_published_agrees(tmp_path: Path, cur: cursor) -> None:
    """Killed after the offset was logged: the batch is simply open."""
    log(tmp_path / ".", "offsets", 0, [A])
    (tmp_path / "stocketl.json").write_text('{"id": "x", "buckets": 8, "text_ids": false}')
    agree_with_ledger(opened(tmp_path), cur)


def test_a_lost_checkpoint_is_refused_with_the_way_out(tmp_path: Path, cur: cursor) -> None:
    """The new state knows no prices: it would write wrong returns."""
    batches.begin_batch(cur, "the-old-one", 0, 1, "d", 1)
    with pytest.raises(CheckpointError, match=r"filled from the checkpoint the-old-one.*stocketl rebuild"):
        agree_with_ledger(opened(tmp_path), cur)


def test_an_emptied_database_is_refused(tmp_path: Path, cur: cursor) -> None:
    """Batches that Spark has committed must be in the ledger."""
    checkpoint = opened(tmp_path)
    log(tmp_path, "offsets", 0, [])
    log(tmp_path, "commits", 0, [])
    with pytest.raises(CheckpointError, match="the database holds none"):
        agree_with_ledger(checkpoint, cur)


@pytest.mark.parametrize(("in_ledger", "planned", "committed"), [(5, 4, 4), (3, 4, 4)])
def test_an_older_copy_of_either_is_refused(
    tmp_path: Path, cur: cursor, in_ledger: int, planned: int, committed: int
) -> None:
    """The ledger ahead of the plan, or behind the commits: one of them was restored."""
    checkpoint = opened(tmp_path)
    log(tmp_path, "offsets", planned, [])
    log(tmp_path, "commits", committed, [])
    batches.begin_batch(cur, checkpoint.id, in_ledger, 1, batch_digest([]), 0)
    with pytest.raises(CheckpointError, match=rf"ledger ends with batch {in_ledger}.*restored"):
        agree_with_ledger(checkpoint, cur)


def test_another_list_of_drops_for_a_batch_is_refused(tmp_path: Path, cur: cursor) -> None:
    """Two drivers on one checkpoint: a file could be missing from the tables."""
    checkpoint = opened(tmp_path)
    log(tmp_path, "offsets", 0, [B])
    log(tmp_path, "commits", 0, [])
    batches.begin_batch(cur, checkpoint.id, 0, 1, batch_digest([A]), 1)
    with pytest.raises(CheckpointError, match="lists other drops"):
        agree_with_ledger(checkpoint, cur)


def test_an_unreadable_offset_is_said_so(tmp_path: Path) -> None:
    """The message names the file and shows what is in it."""
    checkpoint = opened(tmp_path)
    log(tmp_path, "offsets", 3, [])
    (tmp_path / "offsets" / "3").write_text("v1\n")
    with pytest.raises(CheckpointError, match=r"offsets/3 is not an offset of this job: b'v1"):
        checkpoint.last_offset()


def test_starts_with_the_same_open_batch_are_counted(tmp_path: Path) -> None:
    """A batch that ends its job again and again is noticed across restarts; another batch counts anew."""
    checkpoint = opened(tmp_path)
    assert checkpoint.count_start_of_open_batch() == 0
    log(tmp_path, "offsets", 0, [])
    assert [checkpoint.count_start_of_open_batch() for _ in range(3)] == [1, 2, 3]
    log(tmp_path, "commits", 0, [])
    log(tmp_path, "offsets", 1, [])
    assert checkpoint.count_start_of_open_batch() == 1


@pytest.mark.parametrize(
    "left",
    ["lake/ticks/_delta_log/00000000000000000000.json", "receipts/000000001.json", "receipts/done/000000001.json"],
)
def test_what_an_older_checkpoint_has_left_is_not_mixed_with_new_drops(tmp_path: Path, left: str) -> None:
    """A new checkpoint counts from 1 again: lake and receipts of another one would get two drops of one number."""
    checkpoint = opened(tmp_path / "checkpoint")
    lake, receipts = str(tmp_path / "lake"), str(tmp_path / "receipts")
    refuse_leftovers(checkpoint, lake, receipts)
    (tmp_path / left).parent.mkdir(parents=True)
    (tmp_path / left).write_text("{}")
    with pytest.raises(
        CheckpointError, match=f"is new, but .*{left.partition('/')[0]} holds what another one has written"
    ):
        refuse_leftovers(checkpoint, lake, receipts)
    log(tmp_path / "checkpoint", "offsets", 0, [])
    refuse_leftovers(checkpoint, lake, receipts)
