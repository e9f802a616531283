"""What the lake says of a few cells of one ticker, without reading the rest."""

from __future__ import annotations

from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from streaming.explain.given import GivenValue
from streaming.explain.near import NearReject
from streaming.lake.reading import Question, read_each, read_rows
from streaming.lake.rows import DUPLICATES, REJECTS, TICKS
from streaming.packets import UNKNOWN_VOLUME

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

_EPOCH_DAY = pa.date32()


@dataclass(frozen=True)
class InLake:
    """What the lake says of some cells.

    rows: by day and seq: the rows of a drop in the order in which they count, the last one stands for the drop;
    lacking: the drops of which it does not have all rows; rejects: the rejected rows that may be meant.
    """

    rows: Mapping[tuple[int, int], list[GivenValue]] = field(default_factory=dict)
    lacking: Collection[int] = ()
    rejects: Sequence[NearReject] = ()

    def of(self, day: int, seq: int) -> list[GivenValue]:
        """The rows that a drop gave for a day."""
        return self.rows.get((day, seq), [])

    @property
    def seqs(self) -> set[int]:
        """The drops that gave one of the cells."""
        return {seq for _, seq in self.rows}


def in_lake(
    location: str, ticker: str, days: Sequence[int], *, expected: Mapping[int, int], texts: Sequence[str]
) -> InLake:
    """What drops gave for these days of a ticker; all tables of the lake are asked beside each other.

    expected: rows by seq; texts: of rejected rows that may be meant. Raises StorageError, SettingsError.
    """
    dates = pa.array(days, pa.int32()).cast(_EPOCH_DAY)
    where = (ds.field("id") == ticker) & ds.field("date").isin(dates)
    given = Question(["seq", "date", "price", "volume", "batch_id"], where)
    of_drops = Question(["seq"], ds.field("seq").isin(pa.array(list(expected), pa.int64())))
    columns = ("seq", "line", "date", "price", "volume", "batch_id")
    with ThreadPoolExecutor() as pool:
        replaced = pool.submit(read_rows, location, DUPLICATES, columns=columns, where=where)
        rejects = pool.submit(_rejects, location, texts)
        ticks, loaded = read_each(location, TICKS, [given, of_drops])
        return InLake(_by_cell(ticks, replaced.result()), _lacking(loaded, expected), rejects.result())


def _by_cell(ticks: pa.Table, replaced: pa.Table) -> dict[tuple[int, int], list[GivenValue]]:
    found = defaultdict[tuple[int, int], list[GivenValue]](list)
    for row in replaced.sort_by([("batch_id", "ascending"), ("line", "ascending")]).to_pylist():
        found[_day(row), row["seq"]].append(_value(row, row["line"]))
    last = {}
    for row in ticks.sort_by([("seq", "ascending"), ("batch_id", "ascending")]).to_pylist():
        last[_day(row), row["seq"]] = _value(row, None)
    for cell, value in last.items():
        found[cell].append(value)
    return dict(found)


def _lacking(loaded: pa.Table, expected: Mapping[int, int]) -> set[int]:
    counts = np.bincount(loaded.column("seq").to_numpy(), minlength=max(expected, default=0) + 1)
    return {seq for seq, rows in expected.items() if counts[seq] < rows}


def _rejects(location: str, texts: Sequence[str]) -> list[NearReject]:
    every = [Question(["seq", "line", "text", "reason"], pc.match_substring(ds.field("text"), text)) for text in texts]
    found = {NearReject(**row) for rows in read_each(location, REJECTS, every) for row in rows.to_pylist()}
    return sorted(found, key=lambda reject: (reject.seq, reject.line))


def _day(row: Mapping[str, object]) -> int:
    return int(pa.scalar(row["date"], _EPOCH_DAY).cast(pa.int32()).as_py())


def _value(row: Mapping[str, object], line: object) -> GivenValue:
    volume = UNKNOWN_VOLUME if row["volume"] is None else row["volume"]
    return GivenValue(row["seq"], line, row["price"], volume)  # type: ignore[arg-type]  # as the schema has them
