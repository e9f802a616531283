"""The Delta tables `ticks` and `rejects`: what was loaded and what was not, drop by drop, for ever.

Delivery: exactly once. Each append carries `txnAppId` (the checkpoint's id) and `txnVersion` (the batch id), so a
replayed batch adds nothing (https://docs.delta.io/latest/delta-streaming.html#idempotent-table-writes-in-foreachbatch).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
from delta.tables import DeltaTable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


class Lake:
    """Appends to the two tables below `url` (a folder or an `s3a://` URL)."""

    def __init__(self, spark: SparkSession, url: str, checkpoint_id: str) -> None:
        self._spark = spark
        self._url = url
        self._app = f"stocketl-{checkpoint_id}"

    def append(self, batch_id: int, ticks: pa.Table, rejects: pa.Table) -> None:
        """One append a table; nothing where there is no row, or where this batch is in already."""
        self.append_several([(batch_id, ticks, rejects)])

    def append_several(self, batches: list[tuple[int, pa.Table, pa.Table]]) -> None:
        """The same for (batch id, ticks, rejects) in order, of which Delta has either all or none."""
        for name, rows in (
            ("ticks", [(batch_id, ticks) for batch_id, ticks, _ in batches]),
            ("rejects", [(batch_id, rejects) for batch_id, _, rejects in batches]),
        ):
            some = [_numbered(table, batch_id) for batch_id, table in rows if table.num_rows]
            if some:
                frame = self._spark.createDataFrame(pa.concat_tables(some))
                writer = frame.coalesce(1).write.format("delta").mode("append")
                writer.option("txnAppId", self._app).option("txnVersion", batches[-1][0]).save(self._path(name))

    def compact(self) -> None:
        """Joins the small files of both tables; what is large already stays."""
        for name in ("ticks", "rejects"):
            if DeltaTable.isDeltaTable(self._spark, self._path(name)):
                DeltaTable.forPath(self._spark, self._path(name)).optimize().executeCompaction()

    def forget_superseded(self, seq: int) -> None:
        """Leaves of each (date, id) of a drop that was loaded over several batches only the last one."""
        table = DeltaTable.forPath(self._spark, self._path("ticks"))
        rows = table.toDF().where(f"seq = {int(seq)}")
        repeated = rows.groupBy("seq", "date", "id").agg({"batch_id": "max"})
        same = "t.seq = r.seq AND t.date = r.date AND t.id = r.id"
        stale = f"{same} AND t.batch_id < r.`max(batch_id)`"
        table.alias("t").merge(repeated.alias("r"), stale).whenMatchedDelete().execute()

    def _path(self, name: str) -> str:
        return f"{self._url.rstrip('/')}/{name}"


def _numbered(rows: pa.Table, batch_id: int) -> pa.Table:
    return rows.replace_schema_metadata().append_column(
        "batch_id", pa.repeat(pa.scalar(batch_id, pa.int64()), rows.num_rows)
    )
