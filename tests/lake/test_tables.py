"""The Delta tables: each batch once, each (date, id) of a drop once."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from chispa import assert_df_equality

from streaming.lake.tables import Lake

if TYPE_CHECKING:
    from pathlib import Path

    from pyspark.sql import DataFrame, SparkSession

pytestmark = pytest.mark.spark

TICKS = "seq long, date date, id string, price double, volume long, batch_id long"
DAY = dt.date(2024, 1, 2)


def ticks(*rows: tuple[int, str, float, int | None]) -> pa.Table:
    seq, ids, price, volume = zip(*rows, strict=True)
    return pa.table(
        {
            "seq": pa.array(seq, pa.int64()),
            "date": pa.array([DAY] * len(rows), pa.date32()),
            "id": pa.array(ids, pa.string()),
            "price": pa.array(price, pa.float64()),
            "volume": pa.array(volume, pa.int64()),
        }
    )


def append(lake: Lake, folder: Path, batch_id: int, rows: pa.Table) -> None:
    """Brings the rows in as the outbox does."""
    numbered = rows.append_column("batch_id", pa.array([batch_id] * rows.num_rows, pa.int64()))
    pq.write_table(numbered, folder / "ticks.parquet")
    lake.append(
        batch_id, {"ticks": [str(folder / "ticks.parquet")] if rows.num_rows else [], "rejects": [], "duplicates": []}
    )


def read(spark: SparkSession, path: Path) -> DataFrame:
    return spark.read.format("delta").load(str(path))


def test_a_batch_appended_twice_is_there_once(spark: SparkSession, tmp_path: Path) -> None:
    """A replayed batch adds nothing, the next batch does."""
    lake = Lake(spark, str(tmp_path / "lake"), "abc")
    for batch_id in (7, 7, 8):
        append(lake, tmp_path, batch_id, ticks((batch_id, "A", 1.5, None)))
    expected = spark.createDataFrame([(7, DAY, "A", 1.5, None, 7), (8, DAY, "A", 1.5, None, 8)], TICKS)
    assert_df_equality(read(spark, tmp_path / "lake" / "ticks"), expected, ignore_row_order=True, ignore_nullable=True)


def test_a_lake_that_spark_has_begun_goes_on(spark: SparkSession, tmp_path: Path) -> None:
    """The job wrote its lake by Spark once: what it has is not added again, and what is new is."""
    writer = spark.createDataFrame([(7, DAY, "A", 1.5, None, 7)], TICKS).write.format("delta").mode("append")
    writer.option("txnAppId", "stocketl-abc").option("txnVersion", 7).save(str(tmp_path / "lake" / "ticks"))
    lake = Lake(spark, str(tmp_path / "lake"), "abc")
    for batch_id in (7, 8):
        append(lake, tmp_path, batch_id, ticks((batch_id, "A", 1.5, None)))
    expected = spark.createDataFrame([(7, DAY, "A", 1.5, None, 7), (8, DAY, "A", 1.5, None, 8)], TICKS)
    assert_df_equality(read(spark, tmp_path / "lake" / "ticks"), expected, ignore_row_order=True, ignore_nullable=True)


def test_a_folder_that_only_spark_can_name_has_each_batch_once_too(spark: SparkSession, tmp_path: Path) -> None:
    """With a percent sign in its name."""
    place = tmp_path / "a %41 lake"
    lake = Lake(spark, str(place), "abc")
    for batch_id in (7, 7, 8):
        append(lake, tmp_path, batch_id, ticks((batch_id, "A", 1.5, None)))
    assert sorted(row.seq for row in read(spark, place / "ticks").collect()) == [7, 8]


def test_another_checkpoint_appends_its_own_batches(spark: SparkSession, tmp_path: Path) -> None:
    """The batch ids of a new checkpoint start at 0 again and must not be taken for replays."""
    for checkpoint_id in ("abc", "def"):
        append(Lake(spark, str(tmp_path / "lake"), checkpoint_id), tmp_path, 0, ticks((1, checkpoint_id, 2.0, 3)))
    assert sorted(row.id for row in read(spark, tmp_path / "lake" / "ticks").collect()) == ["abc", "def"]


def test_of_a_cell_that_a_drop_gave_in_two_batches_the_later_stays(spark: SparkSession, tmp_path: Path) -> None:
    """Other drops and other cells of the drop are left alone."""
    lake = Lake(spark, str(tmp_path / "lake"), "abc")
    append(lake, tmp_path, 0, ticks((1, "A", 1.0, 1), (2, "A", 2.0, 2), (2, "B", 3.0, 3)))
    append(lake, tmp_path, 1, ticks((2, "A", 4.0, 4)))
    for _ in range(2):
        lake.forget_superseded(2)
    expected = spark.createDataFrame(
        [(1, DAY, "A", 1.0, 1, 0), (2, DAY, "B", 3.0, 3, 0), (2, DAY, "A", 4.0, 4, 1)], TICKS
    )
    assert_df_equality(read(spark, tmp_path / "lake" / "ticks"), expected, ignore_row_order=True, ignore_nullable=True)


def test_a_batch_without_rows_leaves_no_commit(spark: SparkSession, tmp_path: Path) -> None:
    """Failed drops have no ticks: nothing is written for them."""
    append(Lake(spark, str(tmp_path / "lake"), "abc"), tmp_path, 0, ticks((1, "A", 1.0, 1)).slice(0, 0))
    assert not (tmp_path / "lake").exists()


def test_many_small_files_become_one_and_the_old_ones_go_after_the_retention(
    spark: SparkSession, tmp_path: Path
) -> None:
    """Not a row changes, a replay still adds nothing; the log forgets along with the files; no table is no trouble."""
    place = tmp_path / "a lake"
    lake = Lake(spark, str(place), "abc")
    for batch_id in range(3):
        append(lake, tmp_path, batch_id, ticks((batch_id, "A", 1.5, None)))
    for name in ("ticks", "rejects"):
        lake.compact(name)
    lake.clean("ticks", 3600)
    assert len(list((place / "ticks").glob("*.parquet"))) == 4
    for name in ("ticks", "rejects"):
        lake.clean(name, 0)
    assert len(list((place / "ticks").glob("*.parquet"))) == 1
    append(lake, tmp_path, 2, ticks((2, "A", 1.5, None)))
    assert sorted(row.seq for row in read(spark, place / "ticks").collect()) == [0, 1, 2]
    (about,) = spark.sql(f"DESCRIBE DETAIL delta.`{place}/ticks`").select("properties").collect()
    assert about.properties["delta.logRetentionDuration"] == "interval 0 hours"
