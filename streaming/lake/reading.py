"""Reads the lake's tables without Spark: only the files that can hold what is asked for, as Delta's statistics say."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import reduce
from operator import and_
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.dataset as ds
from deltalake import DeltaTable
from deltalake.exceptions import DeltaError, TableNotFoundError
from pyarrow.fs import LocalFileSystem, SubTreeFileSystem

from streaming.errors import SettingsError, StorageError
from streaming.lake.delta_log import can_be_named, storage_options
from streaming.lake.rows import SCHEMAS
from streaming.storage.locations import is_s3, open_place

if TYPE_CHECKING:
    from collections.abc import Sequence

_PRUNED = ("seq", "date", "id", "batch_id")
"""The columns by which files are left out."""
_ANY_ROW = ds.scalar(True)  # noqa: FBT003 (a value)
_AT_ONCE = 8  # files of S3 that are fetched beside each other


def read_rows(
    location: str, name: str, *, columns: Sequence[str] | None = None, where: ds.Expression | None = None
) -> pa.Table:
    """Rows of a table of the lake as it is now. There are none if nothing was written to it yet.

    location: of the lake; columns: None = all; where: which rows. Raises StorageError; SettingsError if no other
    program than Spark can name the location.
    """
    if not can_be_named(location):
        msg = f"lake: {location!r} has a percent sign in its name, so only Spark can read it; move the lake"
        raise SettingsError(msg)
    try:
        names = None if columns is None else list(columns)
        with contextlib.suppress(FileNotFoundError):
            return _chosen(location, name, names, where)
        return _chosen(location, name, names, where)  # files were joined meanwhile, and the old ones removed
    except (DeltaError, pa.ArrowException, OSError) as error:
        msg = f"the lake's table {location}/{name} cannot be read: {error}"
        raise StorageError(msg) from error


def _chosen(location: str, name: str, columns: list[str] | None, where: ds.Expression | None) -> pa.Table:
    try:
        return _rows(location, name, columns, where)
    except pa.ArrowNotImplementedError:  # a file that deltalake has rewritten, of whose texts pyarrow compares none
        return _of_columns(_rows(location, name, None, None).filter(where), columns)


def _rows(location: str, name: str, columns: list[str] | None, where: ds.Expression | None) -> pa.Table:
    try:
        table = DeltaTable(f"{location}/{name}", storage_options=storage_options(location))
    except TableNotFoundError:
        return _of_columns(SCHEMAS[name].empty_table(), columns)
    # pyarrow's own file system: with the one that calls back into Python, a process may be aborted at its end
    files = SubTreeFileSystem("/" if is_s3(location) else f"{location}/{name}", LocalFileSystem())
    every = _dataset(table, SCHEMAS[name], files)
    if not is_s3(location):
        return every.to_table(columns=columns, filter=where)
    paths = [fragment.path for fragment in every.get_fragments(where)]
    place = open_place(f"{location}/{name}")

    def part(path: str) -> pa.Table:
        if (data := place.get(path)) is None:
            raise FileNotFoundError(path)
        fragment = ds.ParquetFileFormat().make_fragment(pa.BufferReader(data))
        return fragment.to_table(schema=every.schema, columns=columns, filter=where)

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        return pa.concat_tables([_of_columns(every.schema.empty_table(), columns), *pool.map(part, paths)])


def _dataset(table: DeltaTable, schema: pa.Schema, files: SubTreeFileSystem) -> ds.FileSystemDataset:
    """The files, each with what the log tells of its rows.

    That of deltalake takes a bound that the log does not tell for null, and then leaves such a file out.
    """
    log = pa.table(table.get_add_actions(flatten=True))
    told = [_Bounds.of(log, schema.field(name)) for name in _PRUNED if f"min.{name}" in log.column_names]
    form = ds.ParquetFileFormat()
    fragments = [
        form.make_fragment(unquote(path), files, reduce(and_, (one.of_file(at) for one in told), _ANY_ROW))
        for at, path in enumerate(log.column("path").to_pylist())
    ]
    return ds.FileSystemDataset(fragments, schema, form, files)


@dataclass(frozen=True)
class _Bounds:
    """The least and the greatest value of a column in each file, null where they are not told."""

    column: ds.Expression
    least: pa.ChunkedArray
    greatest: pa.ChunkedArray
    nulls: pa.ChunkedArray

    @classmethod
    def of(cls, log: pa.Table, field: pa.Field) -> _Bounds:
        least, greatest = (log.column(f"{end}.{field.name}").cast(field.type) for end in ("min", "max"))
        return cls(ds.field(field.name), least, greatest, log.column(f"null_count.{field.name}"))

    def of_file(self, at: int) -> ds.Expression:
        """What holds for each row of a file."""
        least, greatest = self.least[at], self.greatest[at]
        if not (least.is_valid and greatest.is_valid):
            return _ANY_ROW
        within = (self.column >= least) & (self.column <= greatest)
        return within if self.nulls[at].as_py() == 0 else within | self.column.is_null()


def _of_columns(table: pa.Table, columns: list[str] | None) -> pa.Table:
    return table if columns is None else table.select(columns)
