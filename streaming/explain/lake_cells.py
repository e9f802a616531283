"""What the lake says of a few cells of one ticker, without reading the rest."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from streaming.explain.given import GivenValue
from streaming.explain.near import NearReject
from streaming.lake.reading import read_rows
from streaming.lake.rows import DUPLICATES, REJECTS, TICKS
from streaming.packets import UNKNOWN_VOLUME

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_EPOCH_DAY = pa.date32()


@dataclass
class LakeCells:
    """By day and seq: the rows of a drop in the order in which they count, the last one stands for the drop."""

    rows: dict[int, dict[int, list[GivenValue]]] = field(default_factory=lambda: defaultdict(dict))

    def of(self, day: int, seq: int) -> list[GivenValue]:
        """The rows that a drop gave for a day."""
        return self.rows.get(day, {}).get(seq, [])

    @property
    def seqs(self) -> set[int]:
        """The drops that gave one of the cells."""
        return {seq for of_day in self.rows.values() for seq in of_day}


def cells_in_lake(location: str, ticker: str, days: Sequence[int]) -> LakeCells:
    """What drops gave for these days of a ticker. Raises StorageError, SettingsError."""
    dates = pa.array(days, pa.int32()).cast(_EPOCH_DAY)
    where = (ds.field("id") == ticker) & ds.field("date").isin(dates)
    found = LakeCells()
    ticks = read_rows(location, TICKS, columns=("seq", "date", "price", "volume", "batch_id"), where=where)
    given: dict[tuple[int, int], GivenValue] = {}
    for row in ticks.sort_by([("seq", "ascending"), ("batch_id", "ascending")]).to_pylist():
        given[_day(row), row["seq"]] = _value(row, None)
    columns = ("seq", "line", "date", "price", "volume", "batch_id")
    replaced = read_rows(location, DUPLICATES, columns=columns, where=where)
    for row in replaced.sort_by([("batch_id", "ascending"), ("line", "ascending")]).to_pylist():
        found.rows[_day(row)].setdefault(row["seq"], []).append(_value(row, row["line"]))
    for (day, seq), value in given.items():
        found.rows[day].setdefault(seq, []).append(value)
    return found


def lacking(location: str, expected: Mapping[int, int]) -> set[int]:
    """The drops of which the lake does not have all rows. expected: rows by seq."""
    if not expected:
        return set()
    seqs = pa.array(list(expected), pa.int64())
    found = read_rows(location, TICKS, columns=("seq",), where=ds.field("seq").isin(seqs)).column("seq").to_numpy()
    counts = np.bincount(found, minlength=max(expected) + 1)
    return {seq for seq, rows in expected.items() if counts[seq] < rows}


def rejects_in_lake(location: str, texts: Collection[str]) -> list[NearReject]:
    """The rejected rows that hold one of these texts."""
    found = []
    for text in texts:
        where = pc.match_substring(ds.field("text"), text)
        rows = read_rows(location, REJECTS, columns=("seq", "line", "text", "reason"), where=where)
        found += [NearReject(**row) for row in rows.to_pylist()]
    return sorted(set(found), key=lambda reject: (reject.seq, reject.line))


def _day(row: Mapping[str, object]) -> int:
    return int(pa.scalar(row["date"], _EPOCH_DAY).cast(pa.int32()).as_py())


def _value(row: Mapping[str, object], line: object) -> GivenValue:
    volume = UNKNOWN_VOLUME if row["volume"] is None else row["volume"]
    return GivenValue(row["seq"], line, row["price"], volume)  # type: ignore[arg-type]  # as the schema has them
