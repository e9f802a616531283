"""An Arrow table as the frame that a person works with: pandas, polars, or Arrow itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import pandas as pd
import pyarrow as pa

from streaming.errors import SettingsError

if TYPE_CHECKING:
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
    frame = polars.from_arrow(_with_names_once(table, key))
    return frame if isinstance(frame, polars.DataFrame) else frame.to_frame()


def as_pandas(table: pa.Table, key: str) -> pd.DataFrame:
    """`key` becomes the index; dates are datetime64[ns], whole numbers Int64 with <NA>."""
    index = table.column(0)
    values = table.remove_column(0).to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get)
    if pa.types.is_date(index.type):
        values.index = pd.DatetimeIndex(index.to_numpy().astype("datetime64[ns]"), name=key)
        return values
    values.index = pd.Index(index.to_pylist(), dtype=object, name=key)
    if "date" in values:
        values["date"] = pd.to_datetime(values["date"]).astype("datetime64[ns]")
    return values


def _with_names_once(table: pa.Table, key: str) -> pa.Table:
    if table.column_names.count(key) > 1:
        msg = f"frame: a ticker is called {key!r}, as the first column is; only 'pandas' can tell them apart"
        raise SettingsError(msg)
    return table
