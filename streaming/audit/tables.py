"""Whether the wide tables still hold what was loaded, or somebody has changed them.

Prices and volumes are compared by their fingerprint, bucket by bucket. Each return is compared with its prices.
Changes nothing. A table of 800 tickers and ten years is read in about a second, in pieces of a few megabytes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streaming.audit.agreement import OLDER, fingerprints
from streaming.audit.grid import Grid, read_grid
from streaming.fingerprint import NOTHING, Fingerprint, of_cells
from streaming.ledger.tickers import wide_name
from streaming.packets import UNKNOWN_VOLUME
from streaming.ticks.parse import bucket_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from psycopg2.extensions import cursor

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.packets import Float64, Int64

_CELLS_AT_ONCE = 1 << 20
_NAMED = 3


@dataclass
class Findings:
    """cells: how many with a price were compared; problems: how many do not fit; named: the first of them."""

    cells: int = 0
    problems: int = 0
    named: list[str] = field(default_factory=list)

    def differ(self, what: str, count: int = 1) -> None:
        """Counts problems of one kind."""
        self.problems += count
        if len(self.named) < _NAMED:
            self.named.append(what)

    @property
    def problem(self) -> str | None:
        """One line for a person; None: everything fits."""
        return f"{'; '.join(self.named)} ({self.problems:,} in all)" if self.problems else None


def audit_tables(cur: cursor, checkpoint: Checkpoint, pause: Callable[[], None]) -> Findings:
    """Compares in the caller's transaction, which must see one moment of the database. pause: called between pieces."""
    found, sums = Findings(), dict.fromkeys(range(checkpoint.buckets), NOTHING)
    cur.execute("SELECT id, column_name, table_no FROM stocketl.tickers ORDER BY table_no, id")
    groups: dict[int, dict[str, str]] = {}
    for ticker, column, number in cur.fetchall():
        groups.setdefault(number, {})[ticker] = column
    for number, columns in groups.items():
        group = _AuditedGroup(number, columns, checkpoint.buckets)
        for days in _pieces(cur, group):
            for bucket, part in group.read(cur, days, found).items():
                sums[bucket] += part
            pause()
    known = fingerprints(cur, checkpoint.id)
    for bucket, total in sums.items():
        if bucket not in known and OLDER in known:
            continue  # not touched since the ledger has fingerprints
        last, expected = known.get(bucket, (-1, NOTHING))
        if total != expected:
            found.differ(
                f"the prices and volumes of bucket {bucket} are not those that were loaded up to batch {last}: "
                f"expected {expected.cells:,} cells with the sum {expected.sum}, got {total.cells:,} with {total.sum}"
            )
    found.cells = sum(total.cells for total in sums.values())
    return found


class _AuditedGroup:
    """The tables of one number, read in ascending order of date; keeps the last price of each ticker."""

    def __init__(self, number: int, columns: dict[str, str], buckets: int) -> None:
        self._number = number
        self.columns = columns
        self._tickers = list(columns)
        self._bucket = np.array([bucket_of(ticker, buckets) for ticker in columns])
        self._last = np.full(len(columns), np.nan)

    def name(self, kind: str) -> str:
        """The name of one of its tables."""
        return wide_name(kind, self._number)

    def read(self, cur: cursor, days: tuple[int, int], found: Findings) -> dict[int, Fingerprint]:
        """The fingerprint of each bucket in a piece; what does not fit goes to `found`."""
        prices, returns = (
            read_grid(cur, self.name(kind), self.columns, np.float64, days)[0] for kind in ("prices", "returns")
        )
        volume = read_grid(cur, self.name("volume"), self.columns, np.int64, days)[0].on(prices.date)
        if volume.there[~prices.there].any():
            stray = int(volume.there[~prices.there].sum())
            found.differ(f"{self.name('volume')} has a cell where {self.name('prices')} has none", stray)
        column, row = np.nonzero(prices.there.T)  # by ticker, then by date
        price = prices.values[row, column]
        self._compare_returns(returns.on(prices.date), row, column, price, found)
        known = np.where(volume.there, volume.values, UNKNOWN_VOLUME)[row, column]
        code, sums = column.astype(np.int32), {}
        for bucket in np.unique(self._bucket).tolist():
            at = np.flatnonzero(self._bucket[column] == bucket)
            sums[bucket] = of_cells(self._tickers, code[at], prices.date[row[at]], price[at], known[at])
        return sums

    def _compare_returns(self, returns: Grid, row: Int64, column: Int64, price: Float64, found: Findings) -> None:
        before = np.empty(len(price))
        first: npt.NDArray[np.bool_] = np.diff(column, prepend=-1) != 0
        before[1:] = price[:-1]
        before[first] = self._last[column[first]]
        last = np.flatnonzero(np.diff(column, append=-1) != 0)
        self._last[column[last]] = price[last]
        expected = np.zeros(returns.values.shape)
        expected[row, column] = price / before - 1
        there = np.zeros(returns.there.shape, bool)
        there[row, column] = ~np.isnan(before)
        differs = returns.there != there
        differs |= there & (expected.view(np.int64) != returns.values.view(np.int64))
        if count := int(differs.sum()):
            day, ticker = (int(place[0]) for place in np.nonzero(differs))
            date = np.datetime64(int(returns.date[day]), "D")
            found.differ(
                f"{self.name('returns')} does not fit the prices, first {self._tickers[ticker]!r} {date}", count
            )


def _pieces(cur: cursor, group: _AuditedGroup) -> Iterator[tuple[int, int]]:
    """First and last dates, ascending, of pieces of about a million cells."""
    dates, _ = read_grid(cur, group.name("prices"), {}, np.float64)
    step = max(1, _CELLS_AT_ONCE // len(group.columns))
    for start in range(0, len(dates.date), step):
        piece = dates.date[start : start + step]
        yield int(piece[0]), int(piece[-1])
