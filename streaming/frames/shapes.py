"""An Arrow table as the frame that a person works with: pandas, polars, or Arrow itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
import pyarrow as pa

from streaming.errors import SettingsError

if TYPE_CHECKING:
    import numpy.typing as npt
    import polars as pl

Shape = Literal["pandas", "polars", "arrow"]


def as_arrow(table: pa.Table, key: str) -> pa.Table:
    """As it is. key: its first column."""
    return _with_names_once(table, key)


def as_polars(table: pa.Table, key: str) -> pl.DataFrame:
    """The same columns. Raises SettingsError if polars is not installed."""
    try:
        import polars  # noqa: PLC0415, ICN001 (the job does not need it)
    except ModuleNotFoundError:
        msg = "frame: 'polars' is not installed (pip install polars); 'pandas' and 'arrow' are"
        raise SettingsError(msg) from None
    frame: pl.DataFrame = polars.DataFrame(_with_names_once(table, key))
    return frame


def as_pandas(table: pa.Table, key: str) -> pd.DataFrame:
    """`key` becomes the index; dates are datetime64[ns], whole numbers Int64 with <NA>."""
    index, *columns = (_one(column) for column in table.columns)
    rows = pd.Index(_values(index), name=key)
    names = table.column_names[1:]
    if columns and all(pa.types.is_floating(column.type) for column in columns):
        return pd.DataFrame(np.array([_values(column) for column in columns]).T, rows, pd.Index(names, dtype=object))
    return pd.DataFrame(dict(zip(names, map(_values, columns), strict=True)), rows)


def _one(column: pa.ChunkedArray) -> pa.Array:
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _values(column: pa.Array) -> npt.NDArray[Any] | pd.arrays.IntegerArray:
    # pyarrow's own ways take one to two seconds for 10,000 columns
    if not pa.types.is_integer(column.type):
        values: npt.NDArray[Any] = column.to_numpy(zero_copy_only=False)
        return values.astype("datetime64[ns]") if pa.types.is_date(column.type) else values
    if not column.null_count:
        return pd.arrays.IntegerArray(column.to_numpy().copy(), np.zeros(len(column), bool))
    numbers = np.frombuffer(column.buffers()[1], np.int64, len(column), column.offset * 8).copy()
    return pd.arrays.IntegerArray(numbers, column.is_null().to_numpy(zero_copy_only=False))


def _with_names_once(table: pa.Table, key: str) -> pa.Table:
    if table.column_names.count(key) > 1:
        msg = f"frame: a ticker is called {key!r}, as the first column is; only 'pandas' can tell them apart"
        raise SettingsError(msg)
    return table
