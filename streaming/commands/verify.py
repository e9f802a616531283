"""`stocketl verify`: compares every cell of the database with `streaming.commands.oracle`. Changes nothing."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape
from rich.table import Table

from streaming.audit.grid import ABSENT, Grid, filled, read_grid, text_of
from streaming.commands.oracle import ExpectedCells, cells, read_files
from streaming.database.days import date_of, day_of
from streaming.home.database import reading
from streaming.ledger.tickers import wide_name
from streaming.packets import UNKNOWN_VOLUME
from streaming.screen import many, screen, shown

if TYPE_CHECKING:
    import numpy.typing as npt
    from psycopg2.extensions import connection, cursor

    from streaming.packets import Int32
    from streaming.settings import Settings

FIRST = 20


@dataclass(frozen=True)
class Difference:
    """One thing that differs; `-` stands for a cell, row or column that is not there."""

    table: str
    date: str
    ticker: str
    expected: str
    found: str


@dataclass
class Comparison:
    """What was compared and what differs: all differences are counted, the first ones kept.

    gaps: drops that were not recomputed; unknown: first and last day that each gap leaves unknown; follow: differences
    that may follow from a gap, which are neither counted nor kept with the others.
    """

    drops: int = 0
    cells: int = 0
    count: int = 0
    first: list[Difference] = field(default_factory=list)
    gaps: list[str] = field(default_factory=list)
    unknown: list[tuple[int, int]] = field(default_factory=list)
    follow: int = 0
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        """Whether everything was compared and nothing differs."""
        return self.count == 0 and not self.gaps

    def differ(self, table: str, day: int | None, ticker: str, expected: str, found: str) -> None:
        """Counts one difference; day: days since 1970-01-01."""
        if self._may_follow(table, day, expected):
            self.follow += 1
            return
        self.count += 1
        if len(self.first) < FIRST:
            self.first.append(
                Difference(table, ABSENT if day is None else date_of(day).isoformat(), ticker, expected, found)
            )

    def may_follow(self, table: str, days: Int32) -> npt.NDArray[np.bool_]:
        """Which cells of these days may come from a drop that was not recomputed; a return may from one before, too."""
        found = np.zeros(len(days), bool)
        for first, last in self.unknown:
            found |= (days >= first) & ((days <= last) | table.startswith("returns"))
        return found

    def _may_follow(self, table: str, day: int | None, expected: str) -> bool:
        if day is not None:
            return bool(self.may_follow(table, np.array([day], np.int32))[0])
        of_a_ticker = table == "stocketl.latest" or (table == "stocketl.tickers" and expected == ABSENT)
        return of_a_ticker and bool(self.unknown)


def verify(settings: Settings) -> Comparison:
    """Compares prices, returns, volume of all column groups, `stocketl.tickers` and `stocketl.latest`.

    Raises DatabaseError, StorageError.
    """
    started = time.monotonic()
    with reading(settings) as connected:
        files = read_files(connected, settings)
        want = cells(files.ticks)
        unknown = [(day_of(first), day_of(last)) for first, last in files.unknown]
        report = Comparison(drops=len(files.ticks), gaps=files.gaps, unknown=unknown)
        places = _tickers(connected, want, report)
        for table_no in sorted({table_no for _, table_no in places.values()}):
            columns = {ticker: column for ticker, (column, number) in places.items() if number == table_no}
            _compare_group(connected, table_no, columns, want, report)
        _compare_latest(connected, want, report)
    report.seconds = time.monotonic() - started
    return report


def show(report: Comparison) -> bool:
    """Prints the report; True if it is good."""
    console = screen()
    for gap in report.gaps:
        console.print(f"[yellow]not recomputed:[/] {escape(shown(gap))}", soft_wrap=True)
    if report.follow:
        told = f"{many(report.follow, 'difference')} may follow from what was not recomputed (not listed)"
        console.print(f"[yellow]{told}[/]", soft_wrap=True)
    if report.first:
        table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
        for name in ("table", "date", "ticker", "expected", "found"):
            table.add_column(name, overflow="fold")
        for item in report.first:
            table.add_row(*(escape(shown(text)) for text in vars(item).values()))
        console.print(table)
    compared = f"{report.cells:,} cells of {report.drops:,} drops compared in {report.seconds:.1f} s"
    if report.good:
        console.print(f"[green]equal:[/] {compared}", soft_wrap=True)
    else:
        more = f", the first {len(report.first)} above" if report.count > len(report.first) else ""
        gaps = f"{many(len(report.gaps), 'drop')} not recomputed"
        count = many(report.count, "other difference" if report.follow else "difference")
        console.print(f"[red]{count}[/]{more}; {gaps}; {compared}", soft_wrap=True)
        if report.gaps:
            console.print("put the files back as they were loaded, then verify again", soft_wrap=True)
    return report.good


def _tickers(connected: connection, want: ExpectedCells, report: Comparison) -> dict[str, tuple[str, int]]:
    with connected.cursor() as cur:
        cur.execute("SELECT id, column_name, table_no FROM stocketl.tickers ORDER BY table_no, id")
        places = {ticker: (column, table_no) for ticker, column, table_no in cur.fetchall()}
    for ticker in sorted(places.keys() - set(want.ids)):
        report.differ("stocketl.tickers", None, ticker, ABSENT, "listed")
    for code in (code for code, ticker in enumerate(want.ids) if ticker not in places):
        report.differ("stocketl.tickers", None, want.ids[code], f"{(want.code == code).sum()} dates", ABSENT)
    return places


def _compare_group(
    connected: connection, table_no: int, columns: dict[str, str], want: ExpectedCells, report: Comparison
) -> None:
    column_of_code = np.full(len(want.ids), -1, np.int64)
    code_of_ticker = {ticker: code for code, ticker in enumerate(want.ids)}
    tickers = list(columns)
    for number, ticker in enumerate(tickers):
        if ticker in code_of_ticker:
            column_of_code[code_of_ticker[ticker]] = number
    at = np.flatnonzero(column_of_code[want.code] >= 0)
    dates, row = np.unique(want.date[at], return_inverse=True)
    column = column_of_code[want.code[at]]
    for kind, values, there in (
        ("prices", want.price, np.ones(len(want.price), bool)),
        ("returns", want.returns, ~np.isnan(want.returns)),
        ("volume", want.volume, want.volume != UNKNOWN_VOLUME),
    ):
        name = wide_name(kind, table_no)
        expected = Grid.empty(dates, tickers, values.dtype)
        expected.values[row, column], expected.there[row, column] = values[at], there[at]
        with connected.cursor() as cur:
            found = _grid(cur, name, columns, values.dtype, report)
        _compare(name, expected, found, report)


def _grid(cur: cursor, name: str, columns: dict[str, str], dtype: npt.DTypeLike, report: Comparison) -> Grid:
    """The table as it stands. Filled columns that no ticker has, and columns that are missing, are differences."""
    grid, have = read_grid(cur, name, columns, dtype)
    # an empty one may have been made for a batch that is still to come
    for column in filled(cur, name, sorted(have - {"date"} - set(columns.values()))):
        report.differ(name, None, column, ABSENT, "a column")
    for column in sorted(set(columns.values()) - have):
        report.differ(name, None, column, "a column", ABSENT)
    return grid


def _compare(name: str, expected: Grid, found: Grid, report: Comparison) -> None:
    for day in np.setdiff1d(expected.date, found.date).tolist():
        report.differ(name, day, "", "a row", ABSENT)
    for day in np.setdiff1d(found.date, expected.date).tolist():
        report.differ(name, day, "", ABSENT, "a row")
    dates = np.union1d(expected.date, found.date)
    want, got = expected.on(dates), found.on(dates)
    other_bits = want.values.view(np.int64) != got.values.view(np.int64)
    report.cells += int((want.there | got.there).sum())
    rows, columns = np.nonzero((want.there != got.there) | (want.there & other_bits))
    follow = report.may_follow(name, dates[rows])
    report.follow += int(follow.sum())
    rows, columns = rows[~follow], columns[~follow]
    for row, column in zip(rows[:FIRST].tolist(), columns[:FIRST].tolist(), strict=True):
        report.differ(name, int(dates[row]), want.columns[column], want.text(row, column), got.text(row, column))
    report.count += max(len(rows) - FIRST, 0)


def _compare_latest(connected: connection, want: ExpectedCells, report: Comparison) -> None:
    ends = np.flatnonzero(np.diff(want.code, append=-1))  # rows are in order of (ticker, date)
    expected = {
        want.ids[want.code[i]]: (
            date_of(want.date[i]).isoformat(),
            repr(float(want.price[i])),
            text_of(want.returns[i], not np.isnan(want.returns[i])),
            text_of(want.volume[i], want.volume[i] != UNKNOWN_VOLUME),
        )
        for i in ends.tolist()
    }
    with connected.cursor() as cur:
        cur.execute("SELECT id, date, price, return, volume FROM stocketl.latest")
        found = {
            ticker: (day.isoformat(), repr(price), *(ABSENT if cell is None else repr(cell) for cell in others))
            for ticker, day, price, *others in cur.fetchall()
        }
    report.cells += len(expected)
    for ticker in sorted(expected.keys() | found.keys()):
        if expected.get(ticker) != found.get(ticker):
            texts = (" ".join(side.get(ticker, (ABSENT,))) for side in (expected, found))
            report.differ("stocketl.latest", None, ticker, *texts)
