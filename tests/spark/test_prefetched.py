"""pyspark hands the rows of a small batch to Spark with its plan: a newer pyspark that does not would show here."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from pyspark.serializers import SpecialLengths, read_int, write_with_length
from pyspark.sql.pandas.types import from_arrow_schema
from pyspark.sql.streaming import python_streaming_source_runner as runner

from streaming.checkpoint.offset import EMPTY_OFFSET
from streaming.drops.options import Limits, ReadOptions, SourceOptions
from streaming.drops.source import SMALL_BYTES, SMALL_DROPS, DropReader, DropSource
from streaming.errors import StorageError
from streaming.packets import PACKET_COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

HEADER = b"date,id,price,trade_volume\n"
SCHEMA = from_arrow_schema(PACKET_COLUMNS)
BUCKETS = 2


def reader(folder: Path, *, isolate: bool = False) -> DropReader:
    options = SourceOptions(
        input=str(folder),
        settle=0,
        limits=Limits(64 << 20, 64 << 20),
        read=ReadOptions(BUCKETS, text_ids=False, unpacked_limit=1 << 30),
        keys=list(range(BUCKETS)),
        tasks=2,
        isolate=isolate,
        every=0,
        resume=EMPTY_OFFSET,
    )
    return DropReader(options)


def planned(reading: DropReader) -> tuple[int, pa.Table | None, list[pa.RecordBatch]]:
    """How many partitions Spark is told, the rows that go with them, and what tasks would read."""
    start, end = EMPTY_OFFSET.to_json(), reading.latestOffset()
    asked, told = io.BytesIO(), io.BytesIO()
    for offset in (start, end):
        write_with_length(json.dumps(offset).encode(), asked)
    asked.seek(0)
    runner.partitions_func(reading, DropSource({}), SCHEMA, 10_000, asked, told)
    told.seek(0)
    count = read_int(told)
    for _ in range(count):
        told.read(read_int(told))
    rows = None
    if read_int(told) == runner.NON_EMPTY_PYARROW_RECORD_BATCHES:
        assert read_int(told) == SpecialLengths.START_ARROW_STREAM
        rows = pa.ipc.open_stream(told).read_all()
    by_tasks = [batch for partition in reading.partitions(start, end) for batch in reading.read(partition)]
    return count, rows, by_tasks


def few(folder: Path) -> None:
    for number in range(3):
        (folder / f"{number}.csv").write_bytes(HEADER + b"2024-01-02,A,1,1\n2024-01-02,B,2,\nbad\n")


def many(folder: Path) -> None:
    for number in range(SMALL_DROPS + 1):
        (folder / f"{number}.csv").write_bytes(HEADER + f"2024-01-02,T{number},1,1\n".encode())


def large(folder: Path) -> None:
    (folder / "a.csv").write_bytes(HEADER + b"2024-01-02,A,1,1\n" * (SMALL_BYTES // 17))


def test_the_rows_of_a_small_batch_go_with_its_plan(tmp_path: Path) -> None:
    """They are those that the one partition gives, so that Spark may read it if it loses them."""
    few(tmp_path)
    count, rows, by_tasks = planned(reader(tmp_path))
    assert count == 1
    assert rows is not None
    assert rows.to_pylist() == pa.Table.from_batches(by_tasks).to_pylist()


@pytest.mark.parametrize(("fill", "tasks"), [(many, 2), (large, 1)])
def test_a_batch_that_is_not_small_is_read_by_tasks(tmp_path: Path, fill: Callable[[Path], None], tasks: int) -> None:
    """By the number of its drops or by their bytes."""
    fill(tmp_path)
    count, rows, by_tasks = planned(reader(tmp_path))
    assert (count, rows) == (tasks, None)
    assert by_tasks


def test_after_a_drop_may_have_killed_its_parser_tasks_read(tmp_path: Path) -> None:
    """In processes of their own: the source must live."""
    few(tmp_path)
    assert planned(reader(tmp_path, isolate=True))[1] is None


def test_a_storage_that_does_not_answer_is_met_by_a_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told and tried again there as for any batch."""
    few(tmp_path)
    reading = reader(tmp_path)
    end = reading.latestOffset()

    def away(*_: object) -> bytes:
        msg = "it is away"
        raise StorageError(msg)

    monkeypatch.setattr(reading._place, "read", away)  # noqa: SLF001
    partition, *others = reading.partitions(EMPTY_OFFSET.to_json(), end)
    assert (reading.prefetched(), others) == (None, [])
    with pytest.raises(StorageError):
        list(reading.read(partition))
