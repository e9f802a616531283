"""The log of one Delta table: adds whole Parquet files to it, without Spark.

Spark would read and write every row once more, and take half a second of CPU for a file of a few rows. `deltalake` is
the other implementation of the same protocol (https://delta-io.github.io/delta-rs/).
"""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING

from deltalake import CommitProperties, DeltaTable, PostCommitHookProperties, Schema, Transaction
from deltalake.exceptions import TableNotFoundError
from deltalake.transaction import AddAction

from streaming.storage.locations import is_s3

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Sequence

    import pyarrow as pa
    import pyarrow.parquet as pq

_CONFIGURATION = {"delta.checkpointInterval": "100"}
_CHECKPOINTS = PostCommitHookProperties(create_checkpoint=True)
_LONGEST_BOUND = 32  # characters of a string in the statistics of a file, as Delta's own writers have it
_LAST = "\U0010ffff"  # of all characters


class DeltaLog:
    """The table at `location` (a folder or `s3://…`), which is made when the first files come.

    app: who commits; each commit has a number, and what this app has committed up to a number is never added again.
    """

    def __init__(self, location: str, schema: pa.Schema, app: str) -> None:
        self._location = location
        self._schema = schema
        self._app = app
        self._table: DeltaTable | None = None
        self._options: dict[str, str] | None = None

    def committed(self) -> int:
        """The number of this app's last commit, -1 if there is none."""
        table = self._current()
        number = table.transaction_version(self._app) if table is not None else None
        return -1 if number is None else number

    def add(self, number: int, files: Sequence[AddAction]) -> None:
        """One commit: these files, which already lie there, and the number."""
        table = self._current()
        if table is None:
            table = self._table = DeltaTable.create(
                self._location,
                schema=Schema.from_arrow(self._schema),
                mode="ignore",
                configuration=dict(_CONFIGURATION),
                storage_options=self._options,
            )
        table.create_write_transaction(
            list(files),
            mode="append",
            schema=Schema.from_arrow(self._schema),
            commit_properties=CommitProperties(app_transactions=[Transaction(self._app, number)]),
            post_commithook_properties=_CHECKPOINTS,
        )

    def _current(self) -> DeltaTable | None:
        """The table as it is now. None: there is none."""
        options = storage_options(self._location)
        if self._table is not None and options == self._options:
            self._table.update_incremental()
            return self._table
        self._options = options
        try:
            self._table = DeltaTable(self._location, storage_options=options)
        except TableNotFoundError:
            return None
        return self._table


def can_be_named(location: str) -> bool:
    """Whether deltalake finds this location: in the name of a folder it reads `%41` as `A`."""
    return is_s3(location) or "%" not in location


def add_action(path: str, size: int, footer: pq.FileMetaData) -> AddAction:
    """What the log says of a Parquet file. path: relative to the table; size: bytes."""
    told = json.dumps(statistics(footer), ensure_ascii=False)  # deltalake misreads escapes beyond U+FFFF
    return AddAction(path, size, {}, int(time.time() * 1000), True, told)  # noqa: FBT003 (the library's order)


def statistics(footer: pq.FileMetaData) -> dict[str, object]:
    """The statistics of a file as Delta's protocol has them: number of rows; least, greatest and nulls by column."""
    least: dict[str, object] = {}
    greatest: dict[str, object] = {}
    nulls: dict[str, int] = {}
    groups = [footer.row_group(number) for number in range(footer.num_row_groups)]
    for number, name in enumerate(footer.schema.names):
        found = [group.column(number).statistics for group in groups]
        if not found or any(one is None for one in found):  # `==` of pyarrow ends the process
            continue
        if all(one.has_null_count for one in found):
            nulls[name] = sum(one.null_count for one in found)
        if any(not one.has_min_max and one.num_values for one in found):
            continue
        bounded = [one for one in found if one.has_min_max]  # a group of nulls only has no bounds, and needs none
        low = _bound(min((one.min for one in bounded), default=None))
        high = _bound(max((one.max for one in bounded), default=None), above=True)
        if low is not None and high is not None:
            least[name], greatest[name] = low, high
    return {"numRecords": footer.num_rows, "minValues": least, "maxValues": greatest, "nullCount": nulls}


def _bound(value: float | str | dt.date | None, *, above: bool = False) -> object:
    """As JSON. A long text is cut, so that all that it bounded stays within. None: one that cannot be told."""
    if value is None:
        return None
    if isinstance(value, str):
        begin, rest = value[:_LONGEST_BOUND], value[_LONGEST_BOUND:]
        if not rest or not above:
            return begin
        return begin + _LAST if rest < _LAST else value
    if isinstance(value, int | float):
        return value if math.isfinite(value) else None
    return value.isoformat()


def storage_options(location: str) -> dict[str, str] | None:
    """What deltalake needs to know of this location: keys, region and endpoint of S3; None for a folder."""
    if not is_s3(location):
        return None
    from streaming.aws import for_object_store  # noqa: PLC0415 (boto3 takes 0.3 s to load and is needed only for S3)

    return for_object_store()
