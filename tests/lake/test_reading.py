"""The lake read without Spark: its rows, on any place, and what happens beside a writer."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from json import dumps
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from streaming.errors import SettingsError, StorageError
from streaming.lake.delta_log import storage_options
from streaming.lake.reading import Question, read_each, read_rows
from streaming.lake.rows import DUPLICATES, REJECTS, SCHEMAS, TICKS, encoded
from streaming.lake.tables import Lake
from streaming.storage.bucket import Bucket

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_s3 import S3Server

NO_SPARK: Any = None


def bring(lake: Lake, folder: Path, batch_id: int, *cells: tuple[int, str, float, int | None]) -> None:
    """A batch with one drop, of (day of January 2024, ticker, price, volume)."""
    rows = [(batch_id + 1, dt.date(2024, 1, day), *values, batch_id) for day, *values in cells]
    columns = {name: list(column) for name, column in zip(SCHEMAS[TICKS].names, zip(*rows, strict=True), strict=True)}
    file = folder / f"{batch_id}.parquet"
    file.write_bytes(encoded(pa.table(columns, SCHEMAS[TICKS])))
    lake.append(batch_id, {TICKS: [str(file)], REJECTS: [], DUPLICATES: []})


def two_batches(location: str, folder: Path) -> None:
    lake = Lake(NO_SPARK, location, "abc")
    bring(lake, folder, 0, (2, "A", 1.5, 7), (3, "B", 2.5, None))
    bring(lake, folder, 1, (2, "A", 1.75, None))


def found(location: str, where: ds.Expression | None = None) -> list[tuple[int, str, float, int | None]]:
    rows = read_rows(location, TICKS, columns=["seq", "id", "price", "volume"], where=where)
    return sorted(zip(*rows.to_pydict().values(), strict=True))


@pytest.mark.parametrize("name", ["lake", "a lake", "ü#?&=+:@", "file:"])
def test_the_rows_are_those_that_were_written_wherever_the_lake_lies(tmp_path: Path, name: str) -> None:
    """All rows, and those that a condition names."""
    location = str(tmp_path / name)
    two_batches(location, tmp_path)
    assert found(location) == [(1, "A", 1.5, 7), (1, "B", 2.5, None), (2, "A", 1.75, None)]
    assert found(location, ds.field("batch_id") <= 0) == [(1, "A", 1.5, 7), (1, "B", 2.5, None)]
    assert read_rows(location, REJECTS).num_rows == 0


def test_the_rows_of_a_lake_on_s3(s3: S3Server, tmp_path: Path) -> None:
    """The same, and a table that nothing was written to yet has no rows."""
    location = f"s3://{s3.bucket()}/in put/lake"
    two_batches(location, tmp_path)
    assert found(location) == [(1, "A", 1.5, 7), (1, "B", 2.5, None), (2, "A", 1.75, None)]
    assert found(location, ds.field("id") == "B") == [(1, "B", 2.5, None)]
    assert found(location, ds.field("id") == "C") == []
    assert read_rows(location, DUPLICATES, columns=["line"]).num_rows == 0


def test_only_files_that_can_hold_the_rows_are_read(tmp_path: Path) -> None:
    """A file whose statistics exclude the condition may even be damaged."""
    two_batches(str(tmp_path / "lake"), tmp_path)
    for path in (tmp_path / "lake" / TICKS).glob("*.parquet"):
        if pq.read_table(path).column("seq").to_pylist() == [2]:
            path.write_bytes(b"")
    assert found(str(tmp_path / "lake"), ds.field("seq") == 1) == [(1, "A", 1.5, 7), (1, "B", 2.5, None)]
    with pytest.raises(StorageError, match=r"the lake's table .* cannot be read"):
        found(str(tmp_path / "lake"))


@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("long", ["W" * 59, "X" * 32 + "\U0010ffff" * 6, "B" * 32 + "\U0010ffff" * 6, "A" * 40])
def test_a_file_with_a_long_id_is_read_too(tmp_path: Path, long: str, told: bool) -> None:  # noqa: FBT001
    """For each of its ids, by this reader and by deltalake's; also if the log tells no bounds of it."""
    location = str(tmp_path / "lake")
    two_batches(location, tmp_path)
    with pytest.MonkeyPatch.context() as patched:
        if not told:
            patched.setattr("streaming.lake.delta_log._bound", lambda value, **_: None if value == long else value)
            patched.setattr("streaming.lake.delta_log.json.dumps", lambda facts, **_: dumps(facts, default=str))
        bring(Lake(NO_SPARK, location, "abc"), tmp_path, 2, (4, "M", 3.5, 1), (4, long, 4.5, 1))
    for ticker, wanted in (("A", [1.5, 1.75]), ("M", [3.5]), (long, [4.5]), ("C", [])):
        where = ds.field("id") == ticker
        assert [price for _, _, price, _ in found(location, where)] == wanted
        if told:
            rows = DeltaTable(f"{location}/{TICKS}").to_pyarrow_table(filters=where)
            assert sorted(rows.column("price").to_pylist()) == wanted


@pytest.mark.parametrize("on_s3", [False, True])
def test_files_that_deltalake_has_rewritten_are_read_too(s3: S3Server, tmp_path: Path, on_s3: bool) -> None:  # noqa: FBT001
    """A person may join the files of the lake by deltalake, whose statistics pyarrow cannot compare."""
    location = f"s3://{s3.bucket()}/lake" if on_s3 else str(tmp_path)
    two_batches(location, tmp_path)
    DeltaTable(f"{location}/{TICKS}", storage_options=storage_options(location)).delete("id = 'B'")
    assert found(location, ds.field("id") == "A") == [(1, "A", 1.5, 7), (2, "A", 1.75, None)]


def test_a_file_on_s3_is_fetched_once_for_all_questions(
    s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And only if its statistics allow a row of one of them."""
    location = f"s3://{s3.bucket()}/lake"
    two_batches(location, tmp_path)
    bring(Lake(NO_SPARK, location, "abc"), tmp_path, 2, (4, "M", 3.5, 1))
    fetched: list[str] = []
    get = Bucket.get
    monkeypatch.setattr(Bucket, "get", lambda place, key: (fetched.append(key), get(place, key))[1])
    every = [
        Question(["price"], ds.field("id") == "A"),
        Question(["id"], ds.field("seq") == 1),
        Question(["seq"], None),
    ]
    answers = [rows.to_pydict() for rows in read_each(location, TICKS, every[:2])]
    assert answers == [{"price": [1.5, 1.75]}, {"id": ["A", "B"]}]
    assert len(fetched) == 2
    assert read_each(location, TICKS, every)[2].to_pydict() == {"seq": [1, 1, 2, 3]}
    assert len(fetched) == 5


def test_a_location_that_only_spark_can_name_is_refused(tmp_path: Path) -> None:
    """In the name of a folder deltalake reads `%41` as `A`."""
    with pytest.raises(SettingsError, match="percent sign"):
        read_rows(str(tmp_path / "a%41"), TICKS)


def test_a_process_that_has_read_ends_in_order(tmp_path: Path) -> None:
    """With a file system that calls back into Python, one of some processes was aborted at its end."""
    two_batches(str(tmp_path), tmp_path)
    program = f"from streaming.lake.reading import read_rows; print(read_rows({str(tmp_path)!r}, 'ticks').num_rows)"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False, env=os.environ)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, b"3\n", b"")
