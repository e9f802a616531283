"""Commits to Delta's log without Spark: each batch once, true statistics, on any place."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.aws import for_object_store
from streaming.errors import StorageError
from streaming.lake.delta_log import statistics
from streaming.lake.rows import SCHEMAS, TICKS, encoded
from streaming.lake.tables import Lake

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_s3 import S3Server

DAY = dt.date(2024, 1, 2)
NO_SPARK: Any = None
VALUES = {
    "seq": st.integers(0, 2**63 - 1),
    "date": st.dates(dt.date(1800, 1, 1), dt.date(2199, 12, 31)),
    "id": st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=40),
    "price": st.floats(1e-9, 1e12),
    "volume": st.none() | st.integers(0, 2**63 - 1),
    "batch_id": st.integers(0, 100),
}


def ticks(batch_id: int, count: int = 1) -> pa.Table:
    columns = [[batch_id] * count, [DAY] * count, ["A"] * count, [1.5] * count, [None] * count, [batch_id] * count]
    return pa.table(dict(zip(SCHEMAS[TICKS].names, columns, strict=True)), schema=SCHEMAS[TICKS])


def append(lake: Lake, folder: Path, *batches: int, count: int = 1) -> None:
    """Some batches in one append, as they come from the outbox."""
    files = [folder / f"{batch_id}.parquet" for batch_id in batches]
    for batch_id, file in zip(batches, files, strict=True):
        file.write_bytes(encoded(ticks(batch_id, count)))
    lake.append(max(batches), {TICKS: list(map(str, files)), "rejects": [], "duplicates": []})


def seqs(table: DeltaTable) -> list[int]:
    return sorted(table.to_pyarrow_table().column("seq").to_pylist())


@pytest.mark.parametrize("name", ["lake", "a lake", "ü#?&=+:@", "file:"])
def test_each_batch_is_there_once_wherever_the_lake_lies(tmp_path: Path, name: str) -> None:
    """Again after a crash, from another process that knows nothing, and several batches at a time."""
    place = tmp_path / name
    lake = Lake(NO_SPARK, str(place), "abc")
    for batches in ((0,), (0,), (1, 2, 3), (3,), (2,)):
        append(lake, tmp_path, *batches)
    append(Lake(NO_SPARK, str(place), "abc"), tmp_path, 3)
    append(Lake(NO_SPARK, str(place), "def"), tmp_path, 0)
    table = DeltaTable(str(place / TICKS))
    assert seqs(table) == [0, 0, 1, 2, 3]
    assert len(table.file_uris()) == 3


def test_each_batch_is_there_once_on_s3(s3: S3Server, tmp_path: Path) -> None:
    """With the same keys as boto3 has; a prefix may have blanks."""
    url = f"s3://{s3.bucket()}/in put/lake"
    lake = Lake(NO_SPARK, url, "abc")
    for batch_id in (0, 0, 1):
        append(lake, tmp_path, batch_id)
    append(Lake(NO_SPARK, url, "abc"), tmp_path, 1)
    assert seqs(DeltaTable(f"{url}/{TICKS}", storage_options=for_object_store())) == [0, 1]


def test_a_crash_before_the_commit_leaves_nothing_that_a_reader_sees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file lies there without a commit; the next try puts the same bytes under the same name."""
    lake = Lake(NO_SPARK, str(tmp_path / "lake"), "abc")
    append(lake, tmp_path, 0)
    with monkeypatch.context() as patched:
        patched.setattr("streaming.lake.delta_log.DeltaLog.add", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            append(lake, tmp_path, 1)
    table = DeltaTable(str(tmp_path / "lake" / TICKS))
    assert seqs(table) == [0]
    append(Lake(NO_SPARK, str(tmp_path / "lake"), "abc"), tmp_path, 1)
    table.update_incremental()
    assert seqs(table) == [0, 1]
    assert len(list((tmp_path / "lake" / TICKS).glob("*.parquet"))) == 2


def test_small_files_are_joined_and_large_ones_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neighbours are joined while they are few rows together."""
    monkeypatch.setattr("streaming.lake.tables._JOINED_ROWS", 10)
    append(Lake(NO_SPARK, str(tmp_path / "lake"), "abc"), tmp_path, *range(7), count=4)
    table = DeltaTable(str(tmp_path / "lake" / TICKS))
    rows = sorted(pq.read_metadata(file).num_rows for file in (tmp_path / "lake" / TICKS).glob("*.parquet"))
    assert (rows, len(seqs(table))) == ([4, 8, 8, 8], 28)


@pytest.mark.parametrize("harm", ["gone", "cut", "flipped"])
def test_rows_that_are_gone_or_damaged_are_never_committed(tmp_path: Path, harm: str) -> None:
    """An error, and the table is as before."""
    lake = Lake(NO_SPARK, str(tmp_path / "lake"), "abc")
    append(lake, tmp_path, 0)
    file = tmp_path / "1.parquet"
    whole = encoded(ticks(1, 5000))
    prices = pq.read_metadata(pa.BufferReader(whole)).row_group(0).column(SCHEMAS[TICKS].names.index("price"))
    last = prices.data_page_offset + prices.total_compressed_size - 1
    if harm != "gone":
        file.write_bytes(whole[:-9] if harm == "cut" else whole[:last] + bytes([whole[last] ^ 255]) + whole[last + 1 :])
    with pytest.raises((StorageError, OSError, pa.ArrowException)):
        lake.append(1, {TICKS: [str(file)]})
    assert seqs(DeltaTable(str(tmp_path / "lake" / TICKS))) == [0]


def test_the_log_gets_a_checkpoint_every_hundred_commits(tmp_path: Path) -> None:
    """So a reader reads a hundred small files at most."""
    lake = Lake(NO_SPARK, str(tmp_path / "lake"), "abc")
    for batch_id in range(102):
        append(lake, tmp_path, batch_id)
    told = json.loads((tmp_path / "lake" / TICKS / "_delta_log" / "_last_checkpoint").read_text())
    assert told["version"] in {99, 100}
    assert seqs(DeltaTable(str(tmp_path / "lake" / TICKS))) == list(range(102))


@given(st.data(), st.integers(1, 8), st.integers(1, 3))
@settings(deadline=None)
def test_statistics_are_those_of_the_rows(data: st.DataObject, count: int, group: int) -> None:
    """As an oracle counts them; a long id may be cut, but only so that it still bounds: a wrong one would hide rows."""
    columns: dict[str, list[Any]] = {
        name: data.draw(st.lists(values, min_size=count, max_size=count)) for name, values in VALUES.items()
    }
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table(columns, schema=SCHEMAS[TICKS]), sink, row_group_size=group)
    told: Any = json.loads(json.dumps(statistics(pq.read_metadata(pa.BufferReader(sink.getvalue())))))
    assert told["numRecords"] == count
    assert told["nullCount"] == {name: values.count(None) for name, values in columns.items()}
    for name, values in columns.items():
        known = [value for value in values if value is not None]
        bounds = (told["minValues"].get(name), told["maxValues"].get(name))
        if name == "id" and max(map(len, known)) > 32:
            low, high = bounds
            assert low <= min(known)
            assert high >= max(known)
            assert len(low) <= 32
            continue
        wanted = (min(known, key=_order), max(known, key=_order)) if known else (None, None)
        assert bounds == tuple(value.isoformat() if isinstance(value, dt.date) else value for value in wanted)


def _order(value: Any) -> Any:
    return value.encode() if isinstance(value, str) else value
