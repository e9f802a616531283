"""What the tables held at a moment, from all rows that drops had given by then."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from streaming.packets import UNKNOWN_VOLUME
from streaming.returns.chunks import Cells, cell_key, key_code, key_date
from streaming.returns.window import returns_of

if TYPE_CHECKING:
    from streaming.packets import Float64, Int32, Int64

COLUMNS = ("date", "id", "price", "return", "volume")


@dataclass(frozen=True, slots=True)
class Known:
    """One row per (id, date) that has a price, in this order: ids sorted, `code` points into them.

    code, date: int32 [n], days since 1970-01-01; price, returns: float64 [n], NaN = no previous price; volume:
    int64 [n], `UNKNOWN_VOLUME` = none.
    """

    ids: list[str]
    code: Int32
    date: Int32
    price: Float64
    returns: Float64
    volume: Int64

    def __len__(self) -> int:
        return len(self.code)

    def between(self, first: int | None, last: int | None) -> Known:
        """The cells of these days, both included. The returns stay as they are: the price before may lie outside."""
        if first is None and last is None:
            return self
        chosen = np.ones(len(self.date), bool)
        if first is not None:
            chosen &= self.date >= first
        if last is not None:
            chosen &= self.date <= last
        at = np.flatnonzero(chosen)
        return Known(self.ids, self.code[at], self.date[at], self.price[at], self.returns[at], self.volume[at])

    def to_table(self) -> pa.Table:
        """Columns date, id, price, return, volume, null where there is none."""
        id_column = pa.DictionaryArray.from_arrays(pa.array(self.code, pa.int32()), pa.array(self.ids, pa.string()))
        columns = (
            pa.array(self.date, pa.int32()).cast(pa.date32()),
            id_column.cast(pa.string()),
            pa.array(self.price, pa.float64()),
            pa.array(self.returns, pa.float64(), mask=np.isnan(self.returns)),
            pa.array(self.volume, pa.int64(), mask=self.volume == UNKNOWN_VOLUME),
        )
        return pa.table(dict(zip(COLUMNS, columns, strict=True)))


def as_known(rows: pa.Table) -> Known:
    """Of each (id, date) the last price and the last known volume, and the returns of these prices.

    rows: columns seq, batch_id (int64), date (date32), id (string, dictionary or not), price (float64), volume (int64,
    null = unknown), in any order. Several rows of one drop for a cell count in the order of their batches.
    """
    ids, code = _codes(rows.column("id").combine_chunks())
    key = cell_key(code, rows.column("date").combine_chunks().cast(pa.int32()).to_numpy())
    order = _in_order(rows.column("seq").to_numpy(), rows.column("batch_id").to_numpy(), key)
    key = key[order]
    price = rows.column("price").to_numpy()[order]
    volume = pc.fill_null(rows.column("volume"), UNKNOWN_VOLUME).to_numpy()[order]
    ends = np.flatnonzero(np.diff(key, append=-1) != 0)
    last = _last_known(volume, ends)
    cells = Cells(key[ends], price[ends], last, np.zeros(len(ends), np.uint8))
    return Known(ids, key_code(cells.key), key_date(cells.key), cells.price, returns_of(cells), last)


def _codes(column: pa.Array) -> tuple[list[str], Int32]:
    """The tickers, sorted, and the place of each row's."""
    encoded = column if pa.types.is_dictionary(column.type) else column.dictionary_encode()
    given = encoded.dictionary.to_pylist()
    code = encoded.indices.to_numpy().astype(np.int32)
    places = np.flatnonzero(np.bincount(code, minlength=len(given))).tolist()
    ids = sorted({given[place] for place in places})
    rank = {ticker: number for number, ticker in enumerate(ids)}
    to_rank = np.array([rank.get(ticker, 0) for ticker in given], np.int32)
    return ids, to_rank[code] if len(code) else code


def _in_order(seq: Int64, batch_id: Int64, key: Int64) -> Int64:
    """The order of the rows by key, then seq, then batch."""
    ascending = np.diff(seq) >= 0
    ascending &= (np.diff(seq) > 0) | (np.diff(batch_id) >= 0)
    if ascending.all():
        return np.argsort(key, kind="stable")
    given = np.lexsort((batch_id, seq))
    order: Int64 = given[np.argsort(key[given], kind="stable")]
    return order


def _last_known(volume: Int64, ends: Int64) -> Int64:
    """The last known volume of each run of rows that ends at `ends`."""
    if len(ends) == len(volume) or (volume != UNKNOWN_VOLUME).all():
        return volume[ends]
    starts = np.append(0, ends[:-1] + 1)
    known = np.maximum.reduceat(np.where(volume == UNKNOWN_VOLUME, -1, np.arange(len(volume))), starts)
    return np.where(known < 0, UNKNOWN_VOLUME, volume[known])
