"""What a drop did to the cells: counts for its receipt, and each cell that it changed, for `stocketl.corrections`.

A cell is changed by a drop if it was there before the drop (it had a price), and if its price, its volume or its return
is another one after it. So a return that is rewritten because the price before it changed is a row too. A cell that the
drop brings for the first time is none.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa

from streaming.packets import UNKNOWN_VOLUME, ids_column

if TYPE_CHECKING:
    import numpy.typing as npt

    from streaming.packets import Float64, Int32, Int64

    Bool = npt.NDArray[np.bool_]

SCHEMA = pa.schema(
    [
        ("seq", pa.int64()),
        ("date", pa.date32()),
        ("id", pa.dictionary(pa.int32(), pa.string())),
        ("price_before", pa.float64()),
        ("price_after", pa.float64()),
        ("volume_before", pa.int64()),
        ("volume_after", pa.int64()),
        ("return_before", pa.float64()),
        ("return_after", pa.float64()),
    ]
)


@dataclass(frozen=True, slots=True)
class Did:
    """What a drop, or a part of it, did.

    cells_new: cells that it brought; cells_changed, cells_same: cells that it gave and that were there before, with
    another price or volume, or with the same; returns_rewritten: returns of cells that were there before, its own and
    the ones after them; tickers_new: tickers that no drop before it had.

    A part of a drop may take back what an earlier part has counted: then a number is below zero.
    """

    cells_new: int = 0
    cells_changed: int = 0
    cells_same: int = 0
    returns_rewritten: int = 0
    tickers_new: int = 0

    def __add__(self, other: Did) -> Did:
        mine, others = asdict(self), asdict(other)
        return Did(**{name: mine[name] + others[name] for name in mine})


NAMES = tuple(asdict(Did()))
"""The counts, as receipts and `stocketl.drops` call them."""


class Values(NamedTuple):
    """What cells hold: price, returns float64 [n], NaN if there is none; volume int64 [n], -1 if it is not known."""

    price: Float64
    volume: Int64
    returns: Float64

    def take(self, places: Int64 | Bool | slice) -> Values:
        """Those at these places."""
        return Values(self.price[places], self.volume[places], self.returns[places])

    def given_differs(self, other: Values) -> Bool:
        """Whether price or volume is another one, to the bit."""
        differs: Bool = (bits(self.price) != bits(other.price)) | (self.volume != other.volume)
        return differs

    def return_differs(self, other: Values) -> Bool:
        """Whether the return is another one, to the bit."""
        differs: Bool = bits(self.returns) != bits(other.returns)
        return differs


@dataclass(frozen=True, slots=True)
class Corrections:
    """Cells that drops changed, distinct (seq, date, id); of one bucket and batch.

    ids: tickers, `code` int32 [n] points into it; date: int32 [n], days since 1970-01-01; seq: int64 [n]; before:
    what the cell held before the drop, not before this part of it; after: what it holds now. If the two are alike, an
    earlier part of the drop has changed the cell, and this part has changed it back.
    """

    seq: Int64
    ids: list[str]
    code: Int32
    date: Int32
    before: Values
    after: Values

    def __len__(self) -> int:
        return len(self.seq)

    @classmethod
    def empty(cls) -> Corrections:
        """No cells at all."""
        none, whole, days = np.empty(0), np.empty(0, np.int64), np.empty(0, np.int32)
        return cls(whole, [], days, days, Values(none, whole, none), Values(none, whole, none))

    @classmethod
    def join(cls, parts: list[Corrections]) -> Corrections:
        """Those of different tickers."""
        if not parts:
            return cls.empty()
        if len(parts) == 1:
            return parts[0]
        first = np.cumsum([0, *(len(part.ids) for part in parts)]).tolist()
        before, after = (
            Values(*map(np.concatenate, zip(*(getattr(part, name) for part in parts), strict=True)))
            for name in ("before", "after")
        )
        return cls(
            np.concatenate([part.seq for part in parts]),
            [ticker for part in parts for ticker in part.ids],
            np.concatenate([part.code + np.int32(more) for part, more in zip(parts, first, strict=False)]),
            np.concatenate([part.date for part in parts]),
            before,
            after,
        )

    @classmethod
    def of_table(cls, table: pa.Table) -> Corrections:
        """The inverse of `to_table`."""
        ids = table["id"].unify_dictionaries().combine_chunks()
        before, after = (
            Values(
                table[f"price_{side}"].to_numpy(),
                table[f"volume_{side}"].fill_null(UNKNOWN_VOLUME).to_numpy(),
                table[f"return_{side}"].fill_null(np.nan).to_numpy(),
            )
            for side in ("before", "after")
        )
        return cls(
            table["seq"].to_numpy(),
            ids.dictionary.to_pylist(),
            ids.indices.to_numpy(),
            table["date"].cast(pa.int32()).to_numpy(),
            before,
            after,
        )

    def take(self, places: Int64) -> Corrections:
        """Those at these places."""
        before, after = self.before.take(places), self.after.take(places)
        return Corrections(self.seq[places], self.ids, self.code[places], self.date[places], before, after)

    def to_table(self) -> pa.Table:
        """The columns of `SCHEMA`; null: there is no return, or the volume is not known."""
        columns = [
            pa.array(self.seq, pa.int64()),
            pa.array(self.date, pa.int32()).cast(pa.date32()),
            ids_column(self.ids, self.code),
        ]
        for name in Values._fields:
            columns += [_nullable(getattr(values, name)) for values in (self.before, self.after)]
        return pa.table(columns, SCHEMA)


def _nullable(values: Float64 | Int64) -> pa.Array:
    missing = np.isnan(values) if values.dtype == np.float64 else values == UNKNOWN_VOLUME
    return pa.array(values, mask=missing)


def bits(column: Float64) -> Int64:
    """The bits of each number, so that a NaN is equal to itself."""
    return column.view(np.int64)
