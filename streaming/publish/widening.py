"""Room for new tickers: columns and tables are made in short transactions, before the batch that fills them.

After each table, the view `stocketl.long_…` that reads it is renewed, in a transaction of its own.

Delivery: at least once. After a crash between any two steps there may be empty columns without a ticker. The replay
plans the same places, finds the columns and goes on. Only the newest epoch adds columns.

ALTER TABLE needs the table for itself. While it waits for a reader, and while its transaction is open, every later
reader waits behind it. So it waits only for a fraction of a second, for one table at a time, and commits at once.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from psycopg2 import errors, sql

from streaming import faults
from streaming.database.connect import begin
from streaming.database.table_holders import Holders, holders
from streaming.errors import DatabaseError, StockETLError
from streaming.ledger import tickers, writer
from streaming.ledger.tickers import Place, UnplannedError, wide_name
from streaming.masking import first_line
from streaming.publish.upkeep import FILLFACTOR
from streaming.publish.wide import KINDS, Kind, table_name
from streaming.publish.wide_layout import WideLayout
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from psycopg2.extensions import cursor

    from streaming.database.transactions import Transactions

T = TypeVar("T")

# Seconds in the queue of a table, with all later readers behind us. A pause of 25 times as long keeps that below 4 % of
# the time. If readers overlap without a gap, only a longer wait succeeds.
FIRST_WAIT, LONGER_WAIT, LONGEST_WAIT, TRIES_BEFORE_LONGEST = 0.05, 0.2, 0.3, 15
PAUSE_FOR_EACH_SECOND = 25


@dataclass(slots=True)
class _Task:
    """Columns that a table must have, or (view) that the long view of this table must read.

    new: no ticker lives in tables of this number yet; tries: how many met a lock.
    """

    kind: Kind
    table_no: int
    columns: list[str]
    new: bool
    view: bool = False
    tries: int = 0
    waiting: Waiting = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = Waiting(f"view {self.held_view}" if self.view else f"table {self.table}")

    @property
    def table(self) -> str:
        """The name of the wide table."""
        return wide_name(self.kind.table, self.table_no)

    @property
    def held_view(self) -> str:
        """The view that a reader may hold: the part that gets columns, or the whole that gets a part."""
        whole = f"stocketl.long_{self.kind.table}"
        return whole if self.new else f"{whole}_{self.table_no}"

    @property
    def patience(self) -> float:
        """Seconds to wait for the table this time."""
        return LONGEST_WAIT if self.tries > TRIES_BEFORE_LONGEST else min(FIRST_WAIT * 2**self.tries, LONGER_WAIT)


class _FullError(StockETLError):
    """A table takes no more columns. Dropped ones count for ever."""

    def __init__(self, table_no: int) -> None:
        super().__init__(f"tables number {table_no} are full")
        self.table_no = table_no


class Widening:
    """Makes a column for each new ticker of a batch, then runs the batch's transaction.

    held_up: whether somebody holds a table now. If the job itself reads it (the audit), it lets it go.
    """

    def __init__(self, transactions: Transactions, epoch: int) -> None:
        self._transactions = transactions
        self._epoch = epoch
        self._placed: set[str] = set()
        self._full: set[int] = set()
        self.held_up = False

    def run(self, ids: Collection[str], work: Callable[[cursor, Mapping[str, Place]], T]) -> T:
        """Makes room, then a transaction with `work(cursor, places planned for new tickers)`.

        Raises what `Transactions.run` raises. If there is a newer job, SupersededError before a column is added. If a
        table or column to be made exists and is not ours, DatabaseError.
        """
        planned, _ = self._prepare(ids)
        while True:
            try:
                result = self._run(work, planned)
            except (UnplannedError, DatabaseError) as error:
                # a promoted standby, or a restored copy, may lack what was made a moment ago
                if not _lacks_something(error):
                    raise
                self._placed.clear()
                before = planned
                planned, made = self._prepare(ids)
                if not made and planned == before:
                    raise
            else:
                self._placed.update(ids)
                return result

    def _run(self, work: Callable[[cursor, Mapping[str, Place]], T], planned: Mapping[str, Place]) -> T:
        return self._transactions.run(lambda cur: work(cur, planned))

    def _prepare(self, ids: Collection[str]) -> tuple[dict[str, Place], bool]:
        """Plans places for tickers that have none and makes their columns. True: some had to be made."""
        unknown = set(ids) - self._placed
        if not unknown:
            return {}, False
        while True:
            planned, used, schema = self._transactions.run(lambda cur: self._plan(cur, unknown))
            self._placed.update(unknown - planned.keys())
            try:
                made = self._make(schema, planned, used)
            except _FullError as error:
                self._full.add(error.table_no)
            else:
                faults.reach("altered")
                return planned, made

    def _plan(self, cur: cursor, ids: set[str]) -> tuple[dict[str, Place], dict[int, int], str]:
        new = ids - tickers.placed(cur, ids).keys()
        if not new:
            return {}, {}, ""
        used = tickers.used_tables(cur)
        cur.execute("SELECT wide_schema FROM stocketl.writer")
        (schema,), *_ = cur.fetchall()
        return tickers.plan(new, used, self._full), used, schema

    def _make(self, schema: str, planned: Mapping[str, Place], used: Mapping[int, int]) -> bool:
        """One table after the other. A held table goes to the end of the line. True: something was made."""
        columns: dict[int, list[str]] = {}
        for column, table_no in planned.values():
            columns.setdefault(table_no, []).append(column)
        tasks = deque(_Task(kind, no, names, no not in used) for no, names in columns.items() for kind in KINDS)
        try:
            return self._work_off(schema, tasks)
        finally:
            self.held_up = False
            for task in tasks:
                task.waiting.given_up()

    def _work_off(self, schema: str, tasks: deque[_Task]) -> bool:
        made = False
        while tasks:
            task = tasks[0]
            done = self._transactions.run(lambda cur: self._try(cur, schema, task))  # noqa: B023 - called at once
            if isinstance(done, Holders):
                self.held_up = True
                pause = PAUSE_FOR_EACH_SECOND * task.patience
                _tell(task, done)
                tasks.rotate(-1)
                self._transactions.pause(pause)
            else:
                task.waiting.over()
                tasks.popleft()
                made = made or done
                if not task.view:
                    tasks.append(_Task(task.kind, task.table_no, task.columns, task.new, view=True))
                faults.reach("widening")
        return made

    def _try(self, cur: cursor, schema: str, task: _Task) -> bool | Holders:
        """Whether the table had to be changed; or who holds it, and then the transaction has done nothing."""
        writer.check_epoch(cur, self._epoch)
        if task.view:
            return _keep_view(cur, task)
        table = table_name(schema, task.kind, task.table_no)
        layout = WideLayout.read(cur, table)
        if layout is None and task.new:
            _create(cur, table, task)
            return True
        missing = task.columns if layout is None else layout.missing(cur, task.kind.type, task.columns, new=task.new)
        if not missing:
            return False
        try:
            _add_columns(cur, table, task, missing)
        except errors.LockNotAvailable:
            return _holders(cur, table.as_string(cur))
        except errors.TooManyColumns as error:
            raise _FullError(task.table_no) from error
        return True


def _create(cur: cursor, table: sql.Identifier, task: _Task) -> None:
    # 800 columns at once take 5 ms here, 150 ms by ALTER
    typed = [sql.SQL(f"{{}} {task.kind.type}").format(sql.Identifier(column)) for column in task.columns]
    columns = sql.SQL(", ").join([sql.SQL("date date PRIMARY KEY"), *typed])
    cur.execute(sql.SQL(f"CREATE TABLE {{}} ({{}}) WITH (fillfactor = {FILLFACTOR})").format(table, columns))


def _add_columns(cur: cursor, table: sql.Identifier, task: _Task, columns: list[str]) -> None:
    # COMMIT frees the locks, so it must not wait for a disk or a standby. The batch's own COMMIT makes this durable.
    cur.execute("SET LOCAL synchronous_commit = off")
    # No reader minds this lock. By the end of the timeout the server has asked autovacuum to let go.
    cur.execute(
        "SELECT set_config('lock_timeout', (extract(epoch FROM current_setting('deadlock_timeout')::interval) * 1000"
        " + 1000)::int::text, true)"
    )
    cur.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(table))
    cur.execute("SELECT set_config('lock_timeout', %s, true)", (str(round(task.patience * 1000)),))
    clauses = [sql.SQL(f"ADD COLUMN {{}} {task.kind.type}").format(sql.Identifier(column)) for column in columns]
    cur.execute(sql.SQL("ALTER TABLE {} {}").format(table, sql.SQL(", ").join(clauses)))


def _keep_view(cur: cursor, task: _Task) -> bool | Holders:
    """Whether the view had to be renewed. Its readers wait behind this as those of a table do."""
    cur.execute("SET LOCAL synchronous_commit = off")
    cur.execute("SELECT set_config('lock_timeout', %s, true)", (str(round(task.patience * 1000)),))
    try:
        cur.execute("SELECT stocketl.keep_long_view(%s, %s)", (task.kind.table, task.table_no))
    except errors.LockNotAvailable:
        return _holders(cur, task.held_view)
    except errors.InsufficientPrivilege as error:
        whole = f"stocketl.long_{task.kind.table}"
        msg = (
            f"the view {whole} cannot get the columns of new tickers: {first_line(error)}. What to do: ALTER VIEW "
            f"{whole} OWNER TO the job's role, and the same for each {whole}_…"
        )
        raise DatabaseError(msg) from error
    return cur.fetchall() == [(True,)]


def _holders(cur: cursor, relation: str) -> Holders:
    cur.connection.rollback()
    begin(cur)
    return holders(cur, relation)


def _tell(task: _Task, who: Holders) -> None:
    task.tries += 1
    if task.tries == 1:  # it may just be a query of a second
        return
    more = f" and {len(task.columns) - 1} more" if len(task.columns) > 1 else ""
    ending = f" To end what holds it: {who.ending}" if who.ending else ""
    what = "view" if task.view else "table"
    task.waiting.failed(
        f"it is held by {who.told} [55P03]",
        f"The new column {task.columns[0]}{more} needs the {what} for a moment. It is tried seldom and shortly, so "
        "that others can read meanwhile. Files are loaded in their order, so all later files wait too, even without "
        f"new tickers.{ending}",
    )


def _lacks_something(error: Exception) -> bool:
    cause = error.__cause__
    return isinstance(error, UnplannedError) or isinstance(cause, errors.UndefinedColumn | errors.UndefinedTable)
