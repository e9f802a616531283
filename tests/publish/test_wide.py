"""The wide tables against a plain dictionary of cells, on a real server."""

from __future__ import annotations

import datetime as dt
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg2
import pytest
from psycopg2 import sql

from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError
from streaming.ledger import tickers as placement
from streaming.ledger import writer
from streaming.packets import Changes
from streaming.publish import wide
from streaming.publish.column_order import ColumnOrder
from streaming.publish.widening import Widening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DAY = dt.date(2024, 1, 1)
HOSTILE = ['"; DROP TABLE prices; --', "%s", "%(x)s", "xmin", "DATE", "{}", "a\\b'c", "é" * 29 + "x", "NULL", "t.v[1]"]

Cell = tuple[int, str, float, float | None, int | None]  # day after DAY, id, price, return, volume


class Run:
    """Runs a function in a transaction of the first epoch; `widening` makes room for new tickers."""

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self.widening = Widening(transactions, 0)

    def __call__(self, work: Callable[[Any], Any]) -> Any:
        return self._transactions.run(work)


@pytest.fixture
def run(database: str) -> Iterator[Run]:
    """Runs a function in a transaction on a database with an empty ledger."""
    with closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        yield Run(transactions)


def changes_of(cells: list[Cell], changed: list[int] | None = None) -> Changes:
    codes = {ticker: code for code, ticker in enumerate(dict.fromkeys(cell[1] for cell in cells))}
    first = DAY.toordinal() - dt.date(1970, 1, 1).toordinal()
    return Changes(
        list(codes),
        np.array([codes[cell[1]] for cell in cells], np.int32),
        np.array([first + cell[0] for cell in cells], np.int32),
        np.array([cell[2] for cell in cells], np.float64),
        np.array([np.nan if cell[3] is None else cell[3] for cell in cells], np.float64),
        np.array([-1 if cell[4] is None else cell[4] for cell in cells], np.int64),
        np.array([7] * len(cells) if changed is None else changed, np.uint8),
    )


def write(run: Run, changes: Changes) -> int:
    return run.widening.run(changes.ids, lambda cur, planned: write_in(cur, changes, planned))


def write_in(cur: Any, changes: Changes, planned: dict[str, placement.Place]) -> int:
    return wide.write(cur, changes, placement.place_tickers(cur, changes.ids, planned))


def query(run: Run, statement: str | sql.Composed) -> list[tuple[Any, ...]]:
    def work(cur: Any) -> list[tuple[Any, ...]]:
        cur.execute(statement)
        return cur.fetchall()

    return run(work)


def plan(run: Run, statement: str) -> tuple[list[str], int]:
    """The steps in which a statement reads, and the pages that it looks at."""
    [([explained],)] = query(run, f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}")
    steps, waiting = [], [explained["Plan"]]
    for step in waiting:
        steps.append(f"{step['Node Type']} on {step.get('Relation Name', 'nothing')}")
        waiting += step.get("Plans", [])
    return steps, explained["Plan"]["Shared Hit Blocks"] + explained["Plan"]["Shared Read Blocks"]


def stored(run: Run) -> dict[str, dict[tuple[int, str], Any]]:
    """Every cell that is not NULL, of all column groups: table -> (day, id) -> value."""
    cells: dict[str, dict[tuple[int, str], Any]] = {"prices": {}, "returns": {}, "volume": {}}
    groups: dict[int, list[tuple[str, str]]] = {}
    for ticker, column, table_no in query(run, "SELECT id, column_name, table_no FROM stocketl.tickers"):
        groups.setdefault(table_no, []).append((ticker, column))
    for table_no, columns in groups.items():
        for table, found in cells.items():
            name = table if table_no == 1 else f"{table}_{table_no}"
            names = sql.SQL(", ").join(sql.Identifier(column) for _, column in columns)
            for date, *values in query(run, sql.SQL("SELECT date, {} FROM {}").format(names, sql.Identifier(name))):
                row = zip(columns, values, strict=True)
                found |= {((date - DAY).days, ticker): value for (ticker, _), value in row if value is not None}
    return cells


def test_random_batches_leave_what_a_dictionary_of_cells_would(run: Run) -> None:
    """Whatever mix of new dates, old dates, bits and empty values comes, each table holds each cell's last value."""
    rng = np.random.default_rng(7)
    want: dict[str, dict[tuple[int, str], Any]] = {"prices": {}, "returns": {}, "volume": {}}
    total = 0
    for _ in range(25):
        some = {(int(day), f"T{n}") for day, n in zip(rng.integers(0, 30, 60), rng.integers(0, 40, 60), strict=True)}
        cells: list[Cell] = []
        changed = []
        for day, ticker in sorted(some, key=str):
            known = (day, ticker) in want["prices"]
            back = float(rng.normal()) if rng.random() < 0.7 else None
            volume = int(rng.integers(0, 2**63 - 1)) if rng.random() < 0.7 else None
            cells.append((day, ticker, float(rng.random() * 100), back, volume))
            changed.append(int(rng.integers(1, 8)) if known else 7)
            for table, bit, value in zip(want, (1, 2, 4), cells[-1][2:], strict=True):
                if changed[-1] & bit and value is not None:
                    want[table][day, ticker] = value
                    total += 1
        total -= write(run, changes_of(cells, changed))
    assert total == 0
    assert stored(run) == want


def test_an_empty_value_never_erases_a_cell(run: Run) -> None:
    """A NULL return or an unknown volume leaves what stands there, in a full block and in a sparse one."""
    write(run, changes_of([(0, "A", 1.0, 0.5, 10), (1, "A", 2.0, 0.25, 20), (0, "B", 3.0, None, None)]))
    written = write(run, changes_of([(0, "A", 1.5, None, None), (1, "B", 4.0, 0.1, None)]))
    assert written == 3
    assert stored(run) == {
        "prices": {(0, "A"): 1.5, (1, "A"): 2.0, (0, "B"): 3.0, (1, "B"): 4.0},
        "returns": {(0, "A"): 0.5, (1, "A"): 0.25, (1, "B"): 0.1},
        "volume": {(0, "A"): 10, (1, "A"): 20},
    }


def test_2500_tickers_make_four_groups_with_every_date_in_each_table(run: Run) -> None:
    """800 columns a table, ids in sorted order, and a row for each date even in a table that has no cell of it."""
    cells: list[Cell] = [(day, f"T{n:04}", n + day + 0.5, None, None) for day in range(2) for n in range(2500)]
    assert write(run, changes_of(cells)) == 5000
    assert query(run, "SELECT table_no, min(id), max(id), count(*) FROM stocketl.tickers GROUP BY 1 ORDER BY 1") == [
        (1, "T0000", "T0799", 800),
        (2, "T0800", "T1599", 800),
        (3, "T1600", "T2399", 800),
        (4, "T2400", "T2499", 100),
    ]
    names = [f"{table}{suffix}" for table in ("prices", "returns", "volume") for suffix in ("", "_2", "_3", "_4")]
    rows = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {}, count(*) FROM {}").format(sql.Literal(name), sql.Identifier(name)) for name in names
    )
    assert sorted(query(run, rows)) == [(name, 2) for name in sorted(names)]
    assert query(run, "SELECT * FROM stocketl.series('T1600')") == [
        (DAY, 1600.5, None, None),
        (DAY + dt.timedelta(1), 1601.5, None, None),
    ]


def test_new_tickers_go_where_there_is_room(run: Run) -> None:
    """A table that is not full is widened before another one is begun, and the old cells of its rows stay."""
    write(run, changes_of([(0, f"M{n:03}", 1.0, None, 5) for n in range(799)]))
    write(run, changes_of([(0, "A", 2.0, None, 6), (0, "Z", 3.0, None, 7), (0, "M000", 4.0, None, 8)]))
    found = query(run, "SELECT id, table_no FROM stocketl.tickers WHERE id IN ('A', 'Z', 'M000') ORDER BY id")
    assert found == [("A", 1), ("M000", 1), ("Z", 2)]
    assert query(run, "SELECT * FROM stocketl.series('Z')") == [(DAY, 3.0, None, 7)]
    assert query(run, 'SELECT "stk_A", "stk_M000", "stk_M798" FROM prices') == [(2.0, 4.0, 1.0)]


def test_columns_are_named_only_where_a_person_has_changed_the_table(run: Run) -> None:
    """Whatever it was from batch to batch, each value is in its column, and a column of a person gets its default."""
    order, named = ColumnOrder(), list[bool]()

    def batch(day: int, ids: str) -> None:
        changes = changes_of([(day, ticker, day + ord(ticker) / 100, None, None) for ticker in ids])

        def work(cur: Any, planned: dict[str, placement.Place]) -> None:
            wide.write(cur, changes, placement.place_tickers(cur, changes.ids, planned), None, order)
            named.append(order.of("prices") is None)

        run.widening.run(changes.ids, work)

    batch(0, "BA")
    batch(1, "CAB")
    query(run, 'ALTER TABLE prices ADD "stk_Z" double precision; SELECT 1')
    batch(2, "ABC")
    query(run, "ALTER TABLE prices ADD checked text NOT NULL DEFAULT 'no'; SELECT 1")
    batch(3, "ABC")
    assert query(run, "SELECT DISTINCT checked FROM prices") == [("no",)]
    query(run, 'ALTER TABLE prices DROP checked, DROP "stk_Z" CASCADE, ADD "stk_Y" double precision; SELECT 1')
    for old, new in (("A", "X"), ("B", "A"), ("X", "B")):
        query(run, f'ALTER TABLE prices RENAME "stk_{old}" TO "stk_{new}"; SELECT 1')
    batch(4, "CBA")
    batch(5, "B")
    assert named == [False, False, False, True, False, False]
    rows = query(
        run, 'SELECT date - (SELECT min(date) FROM prices), "stk_A", "stk_B", "stk_C" FROM prices ORDER BY date'
    )
    swapped = [(0, 0.66, 0.65, None), *[(day, day + 0.66, day + 0.65, day + 0.67) for day in range(1, 4)]]
    assert rows == [*swapped, (4, 4.65, 4.66, 4.67), (5, None, 5.66, None)]


def test_hostile_ids_are_only_names(run: Run) -> None:
    """SQL, format marks, system columns and 59 bytes of UTF-8 become columns letter by letter; nothing else happens."""
    write(run, changes_of([(0, ticker, n + 1.0, None, n) for n, ticker in enumerate(HOSTILE)]))
    write(run, changes_of([(day, ticker, n + 2.0, 0.5, n) for n, ticker in enumerate(HOSTILE) for day in (0, 1)]))
    columns = query(run, "SELECT attname FROM pg_attribute WHERE attrelid = 'prices'::regclass AND attnum > 1")
    assert {column for (column,) in columns} == {f"stk_{ticker}" for ticker in HOSTILE}
    for n, ticker in enumerate(HOSTILE):
        series = query(run, sql.SQL("SELECT * FROM stocketl.series({})").format(sql.Literal(ticker)))
        assert series == [(DAY, n + 2.0, 0.5, n), (DAY + dt.timedelta(1), n + 2.0, 0.5, n)]
    latest = query(run, "SELECT id, price FROM stocketl.latest")
    assert dict(latest) == {ticker: n + 2.0 for n, ticker in enumerate(HOSTILE)}


def test_edges_of_the_contract_come_back_to_the_bit(run: Run) -> None:
    """The first and last day, the smallest and largest price, the largest volume, and a zero that is a value."""
    first, last = (dt.date(1800, 1, 1) - DAY).days, (dt.date(2199, 12, 31) - DAY).days
    write(run, changes_of([(first, "A", 1e-9, None, 2**63 - 1), (last, "A", 1e12, 0.0, 0), (0, "A", 0.1, -0.9, 1)]))
    assert query(run, "SELECT * FROM stocketl.series('A')") == [
        (dt.date(1800, 1, 1), 1e-9, None, 2**63 - 1),
        (DAY, 0.1, -0.9, 1),
        (dt.date(2199, 12, 31), 1e12, 0.0, 0),
    ]


def test_a_new_date_costs_one_write_per_table(run: Run) -> None:
    """However many tickers: one COPY into each table of a group, without their names, none through another table."""
    cells: list[Cell] = [(0, f"T{n}", 1.0, 0.5, 1) for n in range(300)]
    write(run, changes_of(cells))
    statements: list[str] = []

    class Recording(psycopg2.extensions.cursor):
        def copy_expert(self, statement: Any, *arguments: Any) -> None:
            statements.append(statement.split("(")[0])
            super().copy_expert(statement, *arguments)

        def execute(self, statement: Any, *arguments: Any) -> None:
            text = statement if isinstance(statement, str) else statement.as_string(self)
            if text.lstrip().startswith("UPDATE"):
                statements.append(text.split(" SET ")[0])
            super().execute(statement, *arguments)

    def work(cur: Any) -> int:
        changes = changes_of([(1, *cell[1:]) for cell in cells])
        with cur.connection.cursor(cursor_factory=Recording) as recording:
            return write_in(recording, changes, {})

    assert run(work) == 900
    copies = [f'COPY "public"."{table}" FROM STDIN ' for table in ("prices", "returns", "volume")]
    assert statements == [*copies, "COPY pg_temp.stocketl_latest FROM STDIN"]


def test_changes_of_any_sparseness_are_cut_to_a_bounded_matrix(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pieces of a few cells give the same tables, in new rows and in rows that exist."""
    monkeypatch.setattr("streaming.publish.wide_copy.CELLS_AT_ONCE", 8)
    cells: list[Cell] = [(n * 3, f"T{n % 5}", n + 1.0, n / 8, n) for n in range(40)]
    assert write(run, changes_of(cells)) == 120
    assert write(run, changes_of([(day, f"X{ticker}", *rest) for day, ticker, *rest in cells])) == 120
    both = [*cells, *[(day, f"X{ticker}", *rest) for day, ticker, *rest in cells]]
    names = ("prices", "returns", "volume")
    assert stored(run) == {name: {cell[:2]: cell[2 + i] for cell in both} for i, name in enumerate(names)}


def test_latest_is_the_last_date_of_each_ticker_as_it_stands(run: Run) -> None:
    """A later date replaces it, a correction of the same date too, a late date does not."""
    write(run, changes_of([(1, "A", 1.0, None, 10), (3, "A", 2.0, 1.0, None), (1, "B", 5.0, None, None)]))
    write(run, changes_of([(2, "A", 9.0, 8.0, 1), (1, "B", 6.0, None, 4), (0, "C", 7.0, None, None)]))
    write(run, changes_of([(3, "A", 2.0, -0.5, None)], [2]))
    assert query(run, "SELECT * FROM stocketl.latest ORDER BY id") == [
        ("A", DAY + dt.timedelta(3), 2.0, -0.5, None),
        ("B", DAY + dt.timedelta(1), 6.0, None, 4),
        ("C", DAY, 7.0, None, None),
    ]


def test_nothing_to_write_writes_nothing(run: Run) -> None:
    """A batch without changes makes no table."""
    assert write(run, Changes.empty()) == 0
    assert query(run, "SELECT to_regclass('prices'), count(*) FROM stocketl.latest") == [(None, 0)]


def test_after_a_rollback_the_placements_are_found_anew(run: Run) -> None:
    """The tickers of a transaction that failed have no place; the next one finds their empty columns."""
    changes = changes_of([(0, "A", 1.0, None, 1)])

    def failing(cur: Any, planned: dict[str, placement.Place]) -> None:
        write_in(cur, changes, planned)
        cur.execute("SELECT 1 / 0")

    with pytest.raises(DatabaseError, match="division by zero"):
        run.widening.run(changes.ids, failing)
    assert query(run, "SELECT count(*) FROM stocketl.tickers") == [(0,)]
    assert write(run, changes) == 2
    assert write(run, changes_of([(0, "A", 2.0, None, 1)])) == 2
    assert stored(run) == {"prices": {(0, "A"): 2.0}, "returns": {}, "volume": {(0, "A"): 1}}


@pytest.mark.parametrize(
    "made",
    [
        "CREATE TABLE prices (day date PRIMARY KEY)",
        "CREATE TABLE prices (date date)",
        "CREATE TABLE prices (date text PRIMARY KEY)",
        "CREATE TABLE prices (date date PRIMARY KEY, close numeric)",
        "CREATE VIEW prices AS SELECT current_date AS date",
    ],
)
def test_a_table_that_is_not_ours_is_left_alone(run: Run, made: str) -> None:
    """Another `prices`, of any layout, ends with a message that names it; nothing of the batch stays."""
    run(lambda cur: cur.execute(made))
    with pytest.raises(DatabaseError, match=r"schema 'public' has a 'prices' that StockETL did not make.*Rename it"):
        write(run, changes_of([(0, "A", 1.0, None, 1)]))
    assert query(run, "SELECT count(*), to_regclass('returns') FROM stocketl.tickers") == [(0, None)]


def test_an_empty_table_made_ahead_is_taken(run: Run) -> None:
    """A table with nothing but its key, made by hand for its rights, becomes ours."""
    run(lambda cur: cur.execute("CREATE TABLE volume (date date PRIMARY KEY)"))
    write(run, changes_of([(0, "A", 1.0, None, 1)]))
    assert stored(run)["volume"] == {(0, "A"): 1}


@pytest.mark.parametrize("day", [0, 1])
def test_a_column_dropped_by_a_human_ends_with_what_to_do(run: Run, day: int) -> None:
    """On a date that exists and on a new one: the message names the column, and nothing is half-written."""
    write(run, changes_of([(0, "A", 1.0, None, 1), (0, "B", 1.0, None, 1)]))
    run(lambda cur: cur.execute('ALTER TABLE returns DROP COLUMN "stk_A" CASCADE'))
    told = r'column "stk_A" of relation "returns" does not exist.*\[42703\].*dropped or renamed by hand'
    with pytest.raises(DatabaseError, match=told):
        write(run, changes_of([(day, "A", 2.0, 1.0, 2), (day, "B", 2.0, 1.0, 2), (day, "C", 2.0, 1.0, 2)]))
    assert query(run, 'SELECT date, "stk_A", "stk_B" FROM prices') == [(DAY, 1.0, 1.0)]
    assert query(run, "SELECT id FROM stocketl.tickers ORDER BY 1") == [("A",), ("B",)]


def test_rows_deleted_by_a_human_end_with_what_to_do(run: Run) -> None:
    """A date that only some tables of a group have is told, not filled up in silence."""
    write(run, changes_of([(0, "A", 1.0, 0.5, 1)]))
    run(lambda cur: cur.execute("DELETE FROM returns"))
    with pytest.raises(DatabaseError, match='"returns" lacks 1 of the 1 dates to be updated'):
        write(run, changes_of([(0, "A", 2.0, 1.5, 2)]))
    assert query(run, 'SELECT "stk_A" FROM prices') == [(1.0,)]


def test_the_tables_live_in_the_first_schema_of_the_search_path(database: str) -> None:
    """The schema is chosen when the ledger is made and stays, also for a job that starts with another path."""
    with closing(Transactions(database, threading.Event())) as first:
        first.run(lambda cur: cur.execute('CREATE SCHEMA "my %s"'))
        first.run(lambda cur: (cur.execute('SET search_path = "my %s", public'), writer.create(cur)))
        write(Run(first), changes_of([(0, "A", 1.0, None, 1)]))
    with closing(Transactions(database, threading.Event())) as second:
        second.run(writer.create)
        write(Run(second), changes_of([(1, "A", 2.0, 1.0, 2), (0, "A", 1.5, None, 1)]))
        assert query(Run(second), 'SELECT "stk_A" FROM "my %s".prices ORDER BY date') == [(1.5,), (2.0,)]
        assert query(Run(second), "SELECT count(*) FROM stocketl.series('A')") == [(2,)]


@pytest.mark.parametrize("made_before", [False, True])
def test_the_tables_live_beside_the_ledger_never_in_its_schema(database: str, made_before: bool) -> None:  # noqa: FBT001
    """A role that is called stocketl has the ledger's schema first in its path as soon as that exists."""
    with closing(Transactions(database, threading.Event())) as job:
        if made_before:
            job.run(lambda cur: cur.execute("CREATE SCHEMA stocketl"))
        job.run(lambda cur: (cur.execute("SET search_path = stocketl, public"), writer.create(cur)))
        assert query(Run(job), "SELECT wide_schema FROM stocketl.writer") == [("public",)]


def test_a_dashboard_may_poll_the_latest_rows(run: Run) -> None:
    """A read of all is one scan of a table that does not grow with the batches, of one ticker a look into its index."""
    for day in range(20):
        write(run, changes_of([(day, f"T{n}", 1.0, 0.5, 1) for n in range(1_000)]))
    run(lambda cur: cur.execute("ANALYZE stocketl.latest"))
    assert query(run, "SELECT count(*), min(date) FROM stocketl.latest") == [(1_000, DAY + dt.timedelta(19))]
    steps, pages = plan(run, "SELECT * FROM stocketl.latest")
    assert steps == ["Seq Scan on latest"]
    assert pages <= 40  # 18; without the room that the fill factor leaves for updates 128
    steps, pages = plan(run, "SELECT * FROM stocketl.latest WHERE id = 'T500'")
    assert steps == ["Index Scan on latest"]
    assert pages <= 4  # the root and a leaf of the index, the row
