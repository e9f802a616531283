"""`stocketl.date_facts`: what each date has, kept up in the transaction of each batch.

Delivery: that of the caller's transaction. What was expected and what is missing, `stocketl.dates` works out of it.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from psycopg2.extras import execute_values

from streaming.database.days import AMONG_DAYS
from streaming.dates.bits import NEVER, DateBits, DropCounts, cells_of, count_drops, joined, pieces
from streaming.distinct import values_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from psycopg2.extensions import cursor

    from streaming.packets import Changes, Dated, Int32

_DAY = "date - DATE '1970-01-01'"
_COLUMNS = (
    "date, tickers, unchanged, priced_bits, unchanged_bits, drops, first_seq, last_seq, late_cells, restated_cells"
)

_NOTHING = (0, (1 << 63) - 1, -1, 0, 0)  # drops, first_seq, last_seq, late_cells, restated_cells
_BEFORE = (0, 0, 0, 0, 0)


class Asked(NamedTuple):
    """What a batch does to dates. parts: its dates, some at a time; known: the rows of the first part as they were.

    bit: int32 [tickers], of the batch; width: bits that a row has at least.
    """

    changes: Changes
    counts: DropCounts | None
    bit: Int32
    width: int
    parts: list[Int32]
    known: dict[int, tuple[str, str]]

    def rows(self) -> str:
        """Those of the first part. Takes no database, so it can be done beside what takes one."""
        return self._rows(self.parts[0], self.known)

    def write(self, cur: cursor, rows: str) -> None:
        """Writes these, then those of the other parts."""
        write(cur, rows)
        for some in self.parts[1:]:
            write(cur, self._rows(some, _known(cur, some)))

    def _rows(self, some: Int32, known: dict[int, tuple[str, str]]) -> str:
        longest = max((len(priced) for priced, _ in known.values()), default=0)
        bits = DateBits.of_texts(some, max(self.width, longest), known)
        at, row = cells_of(self.changes, some)
        bits.take_in(row, self.bit[self.changes.code[at]], self.changes.returns[at])
        return rows_of(bits, self.counts)


class DateFacts:
    """Follows the batches of one job, each in its transaction."""

    def __init__(self) -> None:
        self._bits: dict[str, int] = {}
        self._last = -1

    def ask(self, cur: cursor, batch_id: int, changes: Changes, dated: list[Dated]) -> Asked | None:
        """Before a batch is written: what it changed, and what its drops did on each date. None: it has no dates."""
        if batch_id <= self._last:  # the transaction is tried again: what it had written is gone
            self._bits.clear()
        self._last = batch_id
        given = joined(dated)
        dates = np.union1d(values_of(given.date), values_of(changes.date))
        if not len(dates):
            return None
        bit = self._bits_of(cur, changes.ids)
        width = int(bit.max(initial=-1)) + 1
        counts = count_drops(given, _newest(cur, given), _counted(cur, dates)) if len(given) else None
        parts = list(pieces(dates, width))
        return Asked(changes, counts, bit, width, parts, _known(cur, parts[0]))

    def _bits_of(self, cur: cursor, ids: Collection[str]) -> Int32:
        """The place of each ticker's bit. New tickers get the next ones."""
        wanted = [ticker for ticker in ids if ticker not in self._bits]
        if wanted:
            cur.execute("SELECT id, bit FROM stocketl.ticker_bits WHERE id = ANY(%s)", (wanted,))
            self._bits.update(cur.fetchall())
        new = sorted(ticker for ticker in wanted if ticker not in self._bits)
        if new:
            cur.execute("SELECT coalesce(max(bit), -1) + 1 FROM stocketl.ticker_bits")
            (first,), *_ = cur.fetchall()
            rows = [(ticker, bit) for bit, ticker in enumerate(new, first)]
            execute_values(cur, "INSERT INTO stocketl.ticker_bits (id, bit) VALUES %s", rows, page_size=1000)
            self._bits.update(rows)
        return np.fromiter(map(self._bits.__getitem__, ids), np.int32, len(ids))


def _newest(cur: cursor, given: Dated) -> tuple[int, int]:
    """The latest date that was first given before the first drop of the batch, and by that drop at the latest."""
    first = int(given.seq[0])
    query = f"SELECT max(date) FILTER (WHERE first_seq < %s) - DATE '1970-01-01', max(date) - DATE '1970-01-01'"  # noqa: F541
    cur.execute(f"{query} FROM stocketl.date_facts WHERE first_seq <= %s", (first, first))
    (before, with_it), *_ = cur.fetchall()
    return NEVER if before is None else int(before), NEVER if with_it is None else int(with_it)


def _counted(cur: cursor, dates: Int32) -> dict[int, int]:
    """The last drop that was counted for each of the dates that are there."""
    cur.execute(
        f"SELECT {_DAY}, last_seq FROM stocketl.date_facts"  # noqa: S608 (a constant)
        f" WHERE {AMONG_DAYS}",
        (dates.tolist(),),
    )
    return dict(cur.fetchall())


def _known(cur: cursor, dates: Int32) -> dict[int, tuple[str, str]]:
    cur.execute(
        f"SELECT {_DAY}, priced_bits::text, unchanged_bits::text FROM stocketl.date_facts"  # noqa: S608 (a constant)
        f" WHERE {AMONG_DAYS}",
        (dates.tolist(),),
    )
    return {day: (priced, unchanged) for day, priced, unchanged in cur.fetchall()}


def write(cur: cursor, rows: str, *, counted: bool = True) -> None:
    """Writes the rows of some dates. counted: whether all drops of new dates were counted."""
    cur.execute(
        "CREATE TEMPORARY TABLE IF NOT EXISTS stocketl_dates"
        " (date date, tickers integer, unchanged integer, priced_bits bit varying, unchanged_bits bit varying,"
        " drops bigint, first_seq bigint, last_seq bigint, late_cells bigint, restated_cells bigint)"
        " ON COMMIT DELETE ROWS"
    )
    cur.execute("DELETE FROM pg_temp.stocketl_dates")  # of the piece before; TRUNCATE would swell the catalogue
    cur.copy_expert("COPY pg_temp.stocketl_dates FROM STDIN", io.StringIO(rows))
    cur.execute(
        f"""
        INSERT INTO stocketl.date_facts ({_COLUMNS}, counted, first_load, last_load)
        SELECT *, %(counted)s, %(now)s, %(now)s FROM pg_temp.stocketl_dates
        ON CONFLICT (date) DO UPDATE SET
            tickers = excluded.tickers, unchanged = excluded.unchanged,
            priced_bits = excluded.priced_bits, unchanged_bits = excluded.unchanged_bits,
            drops = date_facts.drops + excluded.drops,
            first_seq = least(date_facts.first_seq, excluded.first_seq),
            last_seq = greatest(date_facts.last_seq, excluded.last_seq),
            late_cells = date_facts.late_cells + excluded.late_cells,
            restated_cells = date_facts.restated_cells + excluded.restated_cells,
            last_load = CASE WHEN excluded.last_seq >= 0 THEN excluded.last_load ELSE date_facts.last_load END
        """,  # noqa: S608 (a constant)
        {"counted": counted, "now": datetime.now(UTC) if counted else None},
    )


def rows_of(bits: DateBits, counts: DropCounts | None, *, counted: bool = True) -> str:
    """Rows for `write`. counts: what is to be added. If no drop gave a row of a date, only a return has changed."""
    return "".join(_rows(bits, counts, _NOTHING if counted else _BEFORE))


def _rows(bits: DateBits, counts: DropCounts | None, nothing: tuple[int, ...]) -> Iterator[str]:
    """In COPY's text format."""
    of_date: dict[int, tuple[int, ...]] = {}
    if counts is not None:
        columns = (counts.drops, counts.first_seq, counts.last_seq, counts.late, counts.restated)
        of_date = dict(
            zip(counts.date.tolist(), zip(*(column.tolist() for column in columns), strict=True), strict=True)
        )
    for date, tickers, unchanged, priced_bits, unchanged_bits in bits.texts():
        numbers = "\t".join(map(str, of_date.get(date, nothing)))
        yield f"{np.datetime64(date, 'D')}\t{tickers}\t{unchanged}\t{priced_bits}\t{unchanged_bits}\t{numbers}\n"
