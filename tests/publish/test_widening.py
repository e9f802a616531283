"""Columns for new tickers beside readers, other sessions, crashes and hands, on a real server."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from streaming import faults, waiting
from streaming.database.transactions import StoppedError, Transactions
from streaming.errors import DatabaseError, SupersededError
from streaming.ledger import tickers as placement
from streaming.ledger import writer
from streaming.publish import widening
from streaming.publish.widening import Widening

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future

TABLES = ("prices", "returns", "volume")


class World:
    """A database with the tickers A and B, the job's connection to it, and people with connections of their own."""

    def __init__(self, database: str, executor: ThreadPoolExecutor, stack: contextlib.ExitStack) -> None:
        self.database = database
        self.stop = threading.Event()
        self.transactions = stack.enter_context(contextlib.closing(Transactions(database, self.stop)))
        self.transactions.run(writer.create)
        self.widening = Widening(self.transactions, 0)
        self._executor, self._stack = executor, stack
        self.batch(["A", "B"])

    def batch(self, ids: list[str], then: Callable[[Any], None] = lambda _: None) -> None:
        """A batch that gives each ticker a price on one date."""
        batch(self.widening, ids, then)

    def batch_in_thread(self, ids: list[str]) -> Future[None]:
        return self._executor.submit(self.batch, ids)

    def person(self, name: str = "dashboard", user: str | None = None) -> psycopg2.extensions.connection:
        uri = self.database if user is None else self.database.replace("postgres@", f"{user}@")
        return self._stack.enter_context(contextlib.closing(psycopg2.connect(uri, application_name=name)))

    def holding(self, statement: str, name: str = "dashboard") -> psycopg2.extensions.connection:
        """Somebody in the middle of a transaction."""
        person = self.person(name)
        person.cursor().execute(statement)
        return person

    def columns(self, table: str) -> list[str]:
        return [
            name
            for (name,) in self.query(
                "SELECT attname FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 1 AND NOT attisdropped"
                " ORDER BY attnum",
                table,
            )
        ]

    def query(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(psycopg2.connect(self.database)) as asking, asking.cursor() as cur:
            cur.execute(statement, values)
            return cur.fetchall()

    def change(self, statement: str) -> None:
        """What a person does by hand."""
        with contextlib.closing(psycopg2.connect(self.database)) as person, person, person.cursor() as cur:
            cur.execute(statement)


def batch(through: Widening, ids: list[str], then: Callable[[Any], None] = lambda _: None) -> None:
    def write(cur: Any, planned: dict[str, placement.Place]) -> None:
        for column, table_no in placement.place_tickers(cur, ids, planned).values():
            for table in TABLES:
                name = table if table_no == 1 else f"{table}_{table_no}"
                cur.execute(
                    f"INSERT INTO {name} (date, \"{column}\") VALUES ('2024-01-02', 1)"  # noqa: S608 - this test's ids
                    f' ON CONFLICT (date) DO UPDATE SET "{column}" = 1'
                )
        then(cur)

    through.run(ids, write)


@pytest.fixture
def world(database: str) -> Iterator[World]:
    with ThreadPoolExecutor(4) as executor, contextlib.ExitStack() as stack:
        made = World(database, executor, stack)
        try:
            yield made
        finally:
            made.stop.set()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many tries in a short time."""
    monkeypatch.setattr(widening, "PAUSE_FOR_EACH_SECOND", 1)


def until(condition: Callable[[], Any], running: Future[None] | None = None) -> None:
    while not condition():
        assert running is None or not running.done(), running.exception()
        time.sleep(0.01)


def tries() -> int:
    return sum(held.tries for held in waiting.under_way() if held.what.startswith("table "))


def test_while_a_batch_is_written_its_new_column_is_there_and_everybody_reads(world: World) -> None:
    """The batch holds no lock that a reader minds, from its first statement to its COMMIT."""

    def read(_: Any) -> None:
        reader = world.person()
        with reader.cursor() as cur:
            cur.execute("SET lock_timeout = '10ms'")
            for table in TABLES:
                cur.execute(f'SELECT "stk_C" FROM {table}')  # noqa: S608 - constants
                assert cur.fetchall() == [(None,)]

    world.batch(["A", "C"], read)
    assert world.query('SELECT "stk_C" FROM prices') == [(1.0,)]


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("held", TABLES)
def test_a_reader_that_holds_a_table_holds_up_no_other_reader(world: World, held: str) -> None:
    """However often it is tried: whoever gives a lock half a second gets it, and the other tables go first."""
    holder = world.holding(f"SELECT * FROM {held}")  # noqa: S608 - constants
    loading = world.batch_in_thread(["A", "C"])
    others = [table for table in TABLES if table != held]
    reader = world.person()
    with reader.cursor() as cur:
        cur.execute("SET lock_timeout = '500ms'")
        reader.commit()
        seen = tries()
        while tries() < seen + 5 or not all("stk_C" in world.columns(table) for table in others):
            assert not loading.done(), loading.exception()
            cur.execute("SELECT count(*) FROM prices, returns, volume")
            reader.commit()
    assert "stk_C" not in world.columns(held)
    holder.commit()
    loading.result()
    assert world.query('SELECT p."stk_C", v."stk_C" FROM prices p, volume v') == [(1.0, 1)]


def test_pauses_are_so_long_that_readers_wait_less_than_a_twentieth_of_the_time() -> None:
    """Each try is followed by a pause of its own length times 25, and none is as long as half a second."""
    task = widening._Task(widening.KINDS[0], 1, ["stk_C"], new=False)  # noqa: SLF001
    waits = []
    for task.tries in range(30):
        waits.append(task.patience)
    assert max(waits) <= 0.3
    assert waits == sorted(waits)
    assert 1 / (1 + widening.PAUSE_FOR_EACH_SECOND) < 0.04


@pytest.mark.usefixtures("hasty")
def test_the_wait_names_who_holds_the_table(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Process, application, role, state, since when, last statement, how to end it, and why nothing else is loaded."""
    holder = world.holding("SELECT *\n  FROM prices")
    loading = world.batch_in_thread(["C", "D"])
    until(lambda: "waiting for table prices" in caplog.text, loading)
    told = next(record.getMessage() for record in caplog.records if "waiting for table" in record.getMessage())
    pid = holder.info.backend_pid
    assert f"waiting for table prices, nothing is lost: it is held by process {pid} (dashboard, role postgres" in told
    assert "idle in transaction" in told
    [(since,)] = world.query("SELECT xact_start FROM pg_stat_activity WHERE pid = %s", pid)
    assert f"since {since:%Y-%m-%d %H:%M:%S}" in told
    assert "last statement: SELECT * FROM prices)" in told
    assert "The new column stk_C and 1 more needs the table" in told
    assert "Files are loaded in their order" in told
    assert f"SELECT pg_terminate_backend({pid})" in told
    world.change(f"SELECT pg_terminate_backend({pid})")
    loading.result()
    assert any("table prices is back" in record.getMessage() for record in caplog.records)
    assert not tries()


@pytest.mark.usefixtures("hasty")
def test_a_view_that_somebody_holds_is_waited_for_beside_its_readers(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """The long view gets its columns after the tables; the wait names who holds it, and others read meanwhile."""
    holder = world.holding("COMMENT ON VIEW stocketl.long_returns_1 IS 'mine'", "painter")
    loading = world.batch_in_thread(["A", "C"])
    reader = world.person()
    with reader.cursor() as cur:
        cur.execute("SET lock_timeout = '500ms'")
        reader.commit()
        while "waiting for view" not in caplog.text:
            assert not loading.done(), loading.exception()
            cur.execute("SELECT count(*) FROM stocketl.long_returns")
            reader.commit()
    told = next(record.getMessage() for record in caplog.records if "waiting for view" in record.getMessage())
    assert f"view stocketl.long_returns_1, nothing is lost: it is held by process {holder.info.backend_pid}" in told
    assert "The new column stk_C needs the view" in told
    assert all("stk_C" in world.columns(table) for table in TABLES)
    holder.commit()
    loading.result()
    assert world.query("SELECT id, price FROM stocketl.long_prices ORDER BY id") == [("A", 1.0), ("B", 1.0), ("C", 1.0)]


@pytest.mark.usefixtures("hasty")
def test_a_vacuum_by_hand_is_waited_for_behind_no_reader(world: World) -> None:
    """What only vacuums and the like mind, is what is asked for first: readers do not stand behind it."""
    holder = world.holding("LOCK TABLE prices IN SHARE UPDATE EXCLUSIVE MODE", "vacuum")
    loading = world.batch_in_thread(["C"])
    until(lambda: world.query("SELECT count(*) FROM pg_locks WHERE NOT granted") == [(1,)], loading)
    reader = world.person()
    with reader.cursor() as cur:
        cur.execute("SET lock_timeout = '10ms'")
        cur.execute("SELECT count(*) FROM prices")
    reader.commit()
    assert world.query("SELECT mode FROM pg_locks WHERE NOT granted") == [("ShareUpdateExclusiveLock",)]
    holder.commit()
    loading.result()


@pytest.mark.usefixtures("hasty")
def test_a_stop_ends_the_wait(world: World) -> None:
    """The batch is replayed at the next start."""
    world.holding("SELECT * FROM prices")
    loading = world.batch_in_thread(["C"])
    until(lambda: tries() > 1, loading)
    world.stop.set()
    with pytest.raises(StoppedError):
        loading.result()


def test_a_new_table_waits_for_nobody(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A ticker whose tables are still to be made needs no lock on those that are read."""
    monkeypatch.setattr(placement, "TICKERS_PER_TABLE", 2)
    for table in TABLES:
        world.holding(f"SELECT * FROM {table}")  # noqa: S608 - constants
    world.batch(["A", "C"])
    assert world.query('SELECT "stk_C" FROM prices_2') == [(1.0,)]


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("room", [800, 3], ids=["columns", "columns and tables"])
def test_a_crash_between_two_steps_leads_to_the_same_end(
    world: World, monkeypatch: pytest.MonkeyPatch, room: int, step: int
) -> None:
    """The replay finds what is there, adds the rest, and each ticker has one column in each table."""
    monkeypatch.setattr(placement, "TICKERS_PER_TABLE", room)
    steps: list[str] = []

    def dying(point: str) -> None:
        steps.append(point)
        if len(steps) > step:
            msg = "killed"
            raise KeyboardInterrupt(msg)

    with monkeypatch.context() as patched:
        patched.setattr(faults, "reach", dying)
        with pytest.raises(KeyboardInterrupt):
            world.batch(["A", "C", "D"])
    assert world.query("SELECT count(*) FROM stocketl.tickers") == [(2,)]
    batch(Widening(world.transactions, 0), ["A", "C", "D"])
    last = {800: [("D", "stk_D", 1)], 3: [("D", "stk_D", 2)]}[room]
    assert world.query("SELECT * FROM stocketl.tickers WHERE id = 'D'") == last
    for table in TABLES:
        assert world.columns(table) == ["stk_A", "stk_B", "stk_C", "stk_D"][: 3 + room // 800]
        assert world.columns(f"{table}_2") == [[], ["stk_D"]][room == 3]


def test_a_job_that_was_superseded_adds_no_column(world: World) -> None:
    """Neither at once nor when its turn comes after a wait."""
    writer.take_over(world.database)
    with pytest.raises(SupersededError):
        world.batch(["C"])
    assert world.columns("prices") == ["stk_A", "stk_B"]
    world.batch(["A"])  # the batch itself asks for the epoch on its own


@pytest.mark.usefixtures("hasty")
def test_a_job_that_is_superseded_while_it_waits_adds_no_column(world: World) -> None:
    """The newer job is not held up by the wait, and the older one ends at its next try."""
    holder = world.holding("SELECT * FROM prices")
    loading = world.batch_in_thread(["C"])
    until(lambda: tries() > 1, loading)
    writer.take_over(world.database)
    holder.commit()
    with pytest.raises(SupersededError):
        loading.result()


def test_what_a_failover_lost_is_made_again(world: World) -> None:
    """A standby that was promoted may lack the columns that were made a moment ago."""
    lost = []

    def promoted(planned: dict[str, placement.Place]) -> None:
        if planned and not lost:
            lost.append(planned)
            world.change('ALTER TABLE returns DROP COLUMN "stk_C" CASCADE')

    def write(cur: Any, planned: dict[str, placement.Place]) -> None:
        promoted(planned)
        placement.place_tickers(cur, ["C"], planned)
        cur.execute("INSERT INTO returns (date, \"stk_C\") VALUES ('2024-01-03', 2)")

    world.widening.run(["C"], write)
    assert len(lost) == 1
    assert world.query("SELECT \"stk_C\" FROM returns WHERE date = '2024-01-03'") == [(2.0,)]


def test_tickers_that_a_failover_lost_are_placed_again(world: World) -> None:
    """What this process has placed before is no proof: the database is asked in the batch's transaction."""
    world.batch(["C"])
    world.change("DELETE FROM stocketl.tickers WHERE id = 'C'; UPDATE prices SET \"stk_C\" = NULL;"
                 ' UPDATE returns SET "stk_C" = NULL; UPDATE volume SET "stk_C" = NULL')  # fmt: skip
    world.batch(["C"])
    assert world.query("SELECT * FROM stocketl.tickers WHERE id = 'C'") == [("C", "stk_C", 1)]


@pytest.mark.parametrize(
    "made",
    [
        'ALTER TABLE prices ADD COLUMN "stk_C" text',
        'ALTER TABLE prices ADD COLUMN "stk_C" float8 DEFAULT 5',
        'ALTER TABLE prices ADD COLUMN "stk_C" float8 NOT NULL DEFAULT 5',
        'ALTER TABLE prices ADD COLUMN "stk_C" float8; UPDATE prices SET "stk_C" = 7',
        'ALTER TABLE prices ADD COLUMN "stk_C" float8 GENERATED ALWAYS AS (1) STORED',
    ],
)  # fmt: skip
def test_a_column_that_is_not_an_empty_one_of_ours_is_refused(world: World, made: str) -> None:
    """A name that stands there with another type, a default or values would spoil the new ticker's cells."""
    world.change(made)
    with pytest.raises(DatabaseError, match=r"'prices' in schema 'public' has columns .* does not name: 'stk_C'"):
        world.batch(["C"])
    assert world.query("SELECT count(*) FROM stocketl.tickers") == [(2,)]


def test_tickers_deleted_by_hand_are_told(world: World) -> None:
    """Their columns hold values: they are not taken for new ones."""
    world.change("DELETE FROM stocketl.tickers WHERE id = 'B'")
    with pytest.raises(DatabaseError, match=r"rows of stocketl.tickers were deleted by hand: put those back"):
        world.batch(["B"])


def test_a_table_full_of_dropped_columns_is_left_for_the_next_one(world: World) -> None:
    """PostgreSQL counts dropped columns for ever, up to 1600; the replay of a crash ends at the same place."""
    spare = [f"spare_{number}" for number in range(1596)]
    world.change("ALTER TABLE returns " + ", ".join(f"ADD COLUMN {name} int" for name in spare))
    world.change("ALTER TABLE returns " + ", ".join(f"DROP COLUMN {name}" for name in spare))
    world.batch(["A", "C", "D"])
    world.batch(["A", "C", "E"])
    placed = world.query("SELECT id, table_no FROM stocketl.tickers ORDER BY id")
    assert placed == [("A", 1), ("B", 1), ("C", 2), ("D", 2), ("E", 2)]
    assert world.query('SELECT "stk_C", "stk_D", "stk_E" FROM returns_2') == [(1.0, 1.0, 1.0)]


def test_views_on_a_table_do_not_mind(world: World) -> None:
    """A view keeps the columns that it was made with."""
    world.change("CREATE VIEW seen AS SELECT * FROM prices")
    world.batch(["C"])
    assert world.query("SELECT * FROM seen") == world.query('SELECT date, "stk_A", "stk_B" FROM prices')


class Roles:
    """Roles are the server's, not the database's: gone with the test."""

    def __init__(self, world: World, *names: str) -> None:
        self._world, self._names = world, names

    def __enter__(self) -> None:
        for name in self._names:
            self._world.change(f"CREATE ROLE {name} LOGIN")

    def __exit__(self, *_: object) -> None:
        for name in self._names:
            self._world.change(f"DROP OWNED BY {name} CASCADE; DROP ROLE {name}")


def test_a_table_that_belongs_to_another_role_is_told_with_what_to_do(world: World) -> None:
    """Only an owner may add columns; the message names both."""
    with Roles(world, "etl_not_owner"):
        world.change("GRANT USAGE ON SCHEMA stocketl TO etl_not_owner")
        world.change("GRANT ALL ON ALL TABLES IN SCHEMA stocketl, public TO etl_not_owner")
        uri = world.database.replace("postgres@", "etl_not_owner@")
        with contextlib.closing(Transactions(uri, threading.Event())) as strange:
            batch(Widening(strange, 0), ["A"])
            with pytest.raises(DatabaseError, match=r"'prices' .* belongs to role 'postgres'.*OWNER TO the job's role"):
                batch(Widening(strange, 0), ["C"])


def test_a_view_that_belongs_to_another_role_is_told_with_what_to_do(world: World) -> None:
    """The tables may be the role's own while the views are not."""
    with Roles(world, "etl_no_views"):
        world.change("GRANT USAGE, CREATE ON SCHEMA stocketl, public TO etl_no_views")
        world.change("GRANT ALL ON ALL TABLES IN SCHEMA stocketl TO etl_no_views")
        for table in TABLES:
            world.change(f"ALTER TABLE {table} OWNER TO etl_no_views")
        uri = world.database.replace("postgres@", "etl_no_views@")
        with contextlib.closing(Transactions(uri, threading.Event())) as strange:
            batch(Widening(strange, 0), ["A"])
            with pytest.raises(
                DatabaseError, match=r"must be owner of view.* ALTER VIEW stocketl\.long_prices OWNER TO"
            ):
                batch(Widening(strange, 0), ["C"])


@pytest.mark.usefixtures("hasty")
def test_a_role_without_a_look_at_others_still_names_the_process(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """PostgreSQL hides what sessions of other roles do; the line says how to see it."""
    with Roles(world, "etl_blind"):
        world.change("GRANT USAGE, CREATE ON SCHEMA stocketl, public TO etl_blind")
        world.change("GRANT ALL ON ALL TABLES IN SCHEMA stocketl TO etl_blind")
        for table in TABLES:
            world.change(f"ALTER TABLE {table} OWNER TO etl_blind")
            world.change(f"ALTER VIEW stocketl.long_{table} OWNER TO etl_blind")
            world.change(f"ALTER VIEW stocketl.long_{table}_1 OWNER TO etl_blind")
        uri = world.database.replace("postgres@", "etl_blind@")
        holder = world.holding("SELECT * FROM prices")
        stop = threading.Event()
        with contextlib.closing(Transactions(uri, stop)) as blind, ThreadPoolExecutor(1) as pool:
            loading = pool.submit(batch, Widening(blind, 0), ["C"])
            until(lambda: tries() > 1, loading)
            holder.commit()
            loading.result()
    pid = holder.info.backend_pid
    told = " ".join(record.getMessage() for record in caplog.records)
    assert (
        f"process {pid} (dashboard, role postgres; to see what it does, grant pg_read_all_stats to this role)" in told
    )
