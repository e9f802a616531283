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


@dataclass(frozen=True)
class Question:
    """Rows of a table. columns: None = all; where: which rows, None = all."""

    columns: Sequence[str] | None = None
    where: ds.Expression | None = None

    def of(self, files: ds.Dataset) -> pa.Table:
        """These rows of the files."""
        try:
            return files.to_table(columns=self.columns and list(self.columns), filter=self.where)
        except pa.ArrowNotImplementedError:  # deltalake has rewritten a file: pyarrow compares none of its texts
            return self._chosen(files.to_table().filter(self.where))

    def none(self, schema: pa.Schema) -> pa.Table:
        """No row of these columns."""
        return self._chosen(schema.empty_table())

    def _chosen(self, rows: pa.Table) -> pa.Table:
        return rows if self.columns is None else rows.select(list(self.columns))


def read_rows(
    location: str, name: str, *, columns: Sequence[str] | None = None, where: ds.Expression | None = None
) -> pa.Table:
    """What `read_each` answers to one question."""
    (rows,) = read_each(location, name, [Question(columns, where)])
    return rows


def read_each(location: str, name: str, every: Sequence[Question]) -> list[pa.Table]:
    """Rows of a table of the lake as it is now, for each question. There are none if nothing was written to it yet.

    location: of the lake. A file on S3 is fetched once for all questions. Raises StorageError; SettingsError if no
    other program than Spark can name the location.
    """
    if not can_be_named(location):
        msg = f"lake: {location!r} has a percent sign in its name, so only Spark can read it; move the lake"
        raise SettingsError(msg)
    try:
        with contextlib.suppress(FileNotFoundError):
            return _each(location, name, every)
        return _each(location, name, every)  # files were joined meanwhile, and the old ones removed
    except (DeltaError, pa.ArrowException, OSError) as error:
        msg = f"the lake's table {location}/{name} cannot be read: {error}"
        raise StorageError(msg) from error


def _each(location: str, name: str, every: Sequence[Question]) -> list[pa.Table]:
    try:
        table = DeltaTable(f"{location}/{name}", storage_options=storage_options(location))
    except TableNotFoundError:
        return [question.none(SCHEMAS[name]) for question in every]
    # pyarrow's own file system: with the one that calls back into Python, a process may be aborted at its end
    files = SubTreeFileSystem("/" if is_s3(location) else f"{location}/{name}", LocalFileSystem())
    dataset = _dataset(table, SCHEMAS[name], files)
    if not is_s3(location):
        return [question.of(dataset) for question in every]
    paths = [{fragment.path for fragment in dataset.get_fragments(question.where)} for question in every]
    place = open_place(f"{location}/{name}")

    def part(path: str) -> list[pa.Table]:
        if (data := place.get(path)) is None:
            raise FileNotFoundError(path)
        form = ds.ParquetFileFormat()
        file = ds.FileSystemDataset([form.make_fragment(pa.BufferReader(data))], dataset.schema, form)
        return [
            question.of(file) if path in able else question.none(dataset.schema)
            for question, able in zip(every, paths, strict=True)
        ]

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        parts = list(pool.map(part, sorted(set().union(*paths))))
    none = [question.none(dataset.schema) for question in every]
    return [pa.concat_tables(found) for found in zip(none, *parts, strict=True)]


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
