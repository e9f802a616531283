"""A stream reader that may hand its rows to Spark with the plan of a batch, so that no Python task need read them.

pyspark has this for its simple readers only, in a private class (`_SimpleStreamReaderWrapper`). Spark keeps the rows as
a block. If the block is lost, Spark reads the one partition of the batch in a task, as it does without this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql.datasource_internal import _SimpleStreamReaderWrapper

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa


class PrefetchingReader(_SimpleStreamReaderWrapper):
    """The base of a reader that defines `prefetched`. Spark calls it once for a plan, after `partitions`."""

    def __init__(self) -> None:
        """Nothing of the private class: its own parts belong to simple readers."""

    def prefetched(self) -> list[pa.RecordBatch] | None:
        """All rows of the batch that `partitions` was just asked for; None if tasks are to read them.

        If there are rows, `partitions` must have given exactly one partition, which reads the same ones.
        """
        raise NotImplementedError

    def getCache(self, start: dict[str, object], end: dict[str, object]) -> Iterator[pa.RecordBatch] | None:  # type: ignore[override]  # noqa: ARG002, N802 (it takes both)
        """What pyspark asks for."""
        batches = self.prefetched()
        return None if batches is None else iter(batches)

    def commit(self, end: dict[str, object]) -> None:
        """The job's own followers look at Spark's commits."""
