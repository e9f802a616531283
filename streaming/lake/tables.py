"""The Delta tables: what was loaded, what was not, and what a later row of its drop replaced, for ever.

Delivery: exactly once. Each commit carries the checkpoint's id and the batch id as an application's transaction, so a
replayed batch adds nothing (https://github.com/delta-io/delta/blob/master/PROTOCOL.md#transaction-identifiers).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
from delta.tables import DeltaTable
from pyspark.sql.pandas.types import from_arrow_schema

from streaming.errors import StorageError
from streaming.lake.delta_log import DeltaLog, add_action, can_be_named
from streaming.lake.rows import SCHEMAS, encoded
from streaming.storage.locations import hadoop_url, open_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from deltalake.transaction import AddAction
    from pyspark.sql import SparkSession

_JOINED_ROWS = 1_000_000
_RETENTIONS = ("delta.logRetentionDuration", "delta.deletedFileRetentionDuration")


class Lake:
    """Appends to the tables below `location` (a folder or `s3://…`)."""

    def __init__(self, spark: SparkSession, location: str, checkpoint_id: str) -> None:
        self._spark = spark
        self._url = hadoop_url(location)
        self._app = f"stocketl-{checkpoint_id}"
        self._place = open_place(location)
        self._by_spark = not can_be_named(location)
        self._logs = {name: DeltaLog(f"{location}/{name}", schema, self._app) for name, schema in SCHEMAS.items()}

    def append(self, batch_id: int, files: dict[str, list[str]]) -> None:
        """One commit to each table, of Parquet files with its columns. If this batch is there already, nothing.

        files: locations by table. batch_id: the last batch that they hold. Small files are joined, the others stay as
        they are. Raises StorageError, and what pyarrow and deltalake raise.
        """
        for name, locations in files.items():
            if locations and self._by_spark:
                self._append_by_spark(name, batch_id, locations)
            elif locations and self._logs[name].committed() < batch_id:
                self._logs[name].add(batch_id, [self._bring(name, batch_id, part) for part in _joined(locations)])

    def _append_by_spark(self, name: str, batch_id: int, locations: Sequence[str]) -> None:
        schema = from_arrow_schema(SCHEMAS[name])
        frame = self._spark.read.schema(schema).parquet(*map(hadoop_url, locations)).coalesce(1)
        writer = frame.write.format("delta").mode("append").option("txnAppId", self._app)
        writer.option("txnVersion", batch_id).save(self._path(name))

    def _bring(self, name: str, batch_id: int, part: _Joined) -> AddAction:
        """Puts a file where the table's files lie. After a crash before the commit, the same bytes again."""
        key = f"{self._app}-{batch_id}-{part.number}.parquet"
        self._place.put(f"{name}/{key}", part.data)
        return add_action(key, len(part.data), part.footer)

    def compact(self, name: str) -> None:
        """Joins the small files of a table. Large files stay."""
        if DeltaTable.isDeltaTable(self._spark, self._path(name)):
            DeltaTable.forPath(self._spark, self._path(name)).optimize().executeCompaction()

    def clean(self, name: str, retention: float) -> None:
        """Removes files that no version of the last `retention` seconds needs, and shortens the log as far.

        Delta cleans the log itself, by these properties, each time that it writes a checkpoint of it.
        """
        if not DeltaTable.isDeltaTable(self._spark, self._path(name)):
            return
        table, hours = DeltaTable.forPath(self._spark, self._path(name)), retention / 3600
        wanted = dict.fromkeys(_RETENTIONS, f"interval {math.ceil(hours)} hours")
        (about,) = table.detail().select("properties").collect()
        if wanted.items() - about.properties.items():
            every = ", ".join(f"'{key}' = '{value}'" for key, value in wanted.items())
            quoted = self._path(name).replace("`", "``")
            self._spark.sql(f"ALTER TABLE delta.`{quoted}` SET TBLPROPERTIES ({every})")
        table.vacuum(hours)

    def forget_superseded(self, seq: int) -> None:
        """If a drop was loaded over several batches: keeps only the last row of each (date, id)."""
        table = DeltaTable.forPath(self._spark, self._path("ticks"))
        rows = table.toDF().where(f"seq = {int(seq)}")
        repeated = rows.groupBy("seq", "date", "id").agg({"batch_id": "max"})
        same = "t.seq = r.seq AND t.date = r.date AND t.id = r.id"
        stale = f"{same} AND t.batch_id < r.`max(batch_id)`"
        table.alias("t").merge(repeated.alias("r"), stale).whenMatchedDelete().execute()

    def _path(self, name: str) -> str:
        return f"{self._url}/{name}"


@dataclass(frozen=True)
class _Joined:
    """A Parquet file for a table: its number in the commit, its bytes, its footer."""

    number: int
    data: bytes
    footer: pq.FileMetaData


def _joined(locations: Sequence[str]) -> Iterator[_Joined]:
    """The files, each read as a whole and so checked. Neighbours are joined as long as they are few rows."""
    number, waiting = 0, list[tuple[bytes, pa.Table]]()
    for location in locations:
        data = _content(location)
        rows = pq.read_table(pa.BufferReader(data), page_checksum_verification=True)
        if waiting and sum(table.num_rows for _, table in waiting) + rows.num_rows > _JOINED_ROWS:
            yield _of_files(number, waiting)
            number, waiting = number + 1, []
        waiting.append((data, rows))
    if waiting:
        yield _of_files(number, waiting)


def _of_files(number: int, files: Sequence[tuple[bytes, pa.Table]]) -> _Joined:
    data = files[0][0] if len(files) == 1 else encoded(pa.concat_tables([rows for _, rows in files]))
    return _Joined(number, data, pq.read_metadata(pa.BufferReader(data)))


def _content(location: str) -> bytes:
    folder, _, key = location.rpartition("/")
    if (data := open_place(folder).get(key)) is None:
        msg = f"{location} is gone"
        raise StorageError(msg)
    return data
