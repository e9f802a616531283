"""A real standby is promoted while transactions run: they find the new writer and every one counts once."""

from __future__ import annotations

import contextlib
import logging
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import psycopg2
import pytest
from conditions import until
from job_process import Job, drop, noise
from outcome import receipts
from postgres_servers import PostgresServer
from tables import assert_same, expected, stored
from tcp_proxy import TcpProxy
from transaction_pooler import TransactionPooler

from streaming.database import standstill
from streaming.database.connect import NotTheWriterError, TimeLimits, connect
from streaming.database.transactions import StoppedError, Transactions
from streaming.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.spark  # it starts servers of its own


class Pair:
    """A primary and a standby that has everything that was committed (synchronous replication)."""

    def __init__(self, folder: Path) -> None:
        self.primary, self.standby = PostgresServer(folder / "one"), PostgresServer(folder / "two")
        self.primary.initialise()
        self.primary.start()
        query(self.primary.uri, "CREATE TABLE seen (n int PRIMARY KEY)")
        self.standby.copy(self.primary)
        self.standby.start()
        query(self.primary.uri, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        query(self.primary.uri, "ALTER SYSTEM SET synchronous_commit = remote_apply")
        query(self.primary.uri, "SELECT pg_reload_conf()")
        until(lambda: query(self.primary.uri, "SELECT sync_state FROM pg_stat_replication") == [("sync",)])

    def fail_over(self) -> None:
        """The primary dies, the standby becomes the writer."""
        self.primary.stop()
        self.standby.promote()


def query(uri: str, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg2.connect(uri)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            for one in statement.split(";"):
                cur.execute(one)
            return cur.fetchall() if cur.description else []


@pytest.fixture
def pair() -> Iterator[Pair]:
    """To be promoted."""
    yield from _pair()


@pytest.fixture(scope="module")
def standing() -> Iterator[Pair]:
    """Never promoted, so that several tests can use it."""
    yield from _pair()


def _pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="stocketl-test-", ignore_cleanup_errors=True) as folder:
        Path(folder).chmod(0o711)
        made = Pair(Path(folder))
        try:
            yield made
        finally:
            made.standby.stop()
            made.primary.stop()


class Load:
    """A thread that adds 0, 1, 2 … one transaction each, and says how far it is."""

    def __init__(self, uri: str) -> None:
        self.stop = threading.Event()
        self.done = 0
        self.error: BaseException | None = None
        self._enough = threading.Event()
        self._uri = uri
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._thread.join(60)

    def more(self, number: int) -> None:
        """Returns once this many more are in; fails if it has ended."""
        wanted = self.done + number
        until(lambda: self.done >= wanted or not self._thread.is_alive())
        assert self.error is None, self.error

    def finish(self) -> None:
        """Ends after the transaction under way."""
        self._enough.set()
        self._thread.join(60)
        assert self.error is None, self.error

    def _work(self) -> None:
        with contextlib.closing(Transactions(self._uri, self.stop)) as transactions:
            try:
                while not self._enough.is_set():
                    transactions.run(self._add)
                    self.done += 1
            except StoppedError as error:
                self.error = None if self.stop.is_set() else error
            except DatabaseError as error:
                self.error = error

    def _add(self, cur: Any) -> None:
        # like the ledger: what an attempt has committed although its answer was lost is found there
        cur.execute("INSERT INTO seen VALUES (%s) ON CONFLICT DO NOTHING", [self.done])


def both(pair: Pair) -> str:
    """A URI that names the two servers, the standby first."""
    folders = ",".join(str(server.data.parent) for server in (pair.standby, pair.primary))
    return f"postgresql://postgres@/postgres?host={folders}&port=5432,5432"


def numbers(uri: str) -> list[int]:
    return [number for (number,) in query(uri, "SELECT n FROM seen ORDER BY n")]


def test_with_several_servers_in_the_uri_the_writer_is_found(pair: Pair) -> None:
    """First the second of the list, after a promotion the first; no number is lost or doubled."""
    with Load(both(pair)) as load:
        load.more(20)
        pair.fail_over()
        load.more(20)
        load.finish()
    assert numbers(pair.standby.uri) == list(range(load.done))


def test_an_address_that_moves_later_than_the_promotion_is_waited_for(
    pair: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """The old name still leads to a reader for a while: told, waited for, nothing lost."""
    with TcpProxy(pair.primary.uri) as address, Load(address.uri) as load:
        load.more(20)
        address.lead_to(pair.standby.uri)  # before the promotion: as DNS that gives the reader
        address.cut()
        with caplog.at_level(logging.WARNING):
            until(lambda: "it is a standby [25006]" in caplog.text)
        before = load.done
        pair.fail_over()
        load.more(20)
        load.finish()
        assert load.done > before
    assert "[25006]" in caplog.text
    assert "Each try looks for the writer" in caplog.text
    assert numbers(pair.standby.uri) == list(range(load.done))


def test_a_session_that_is_kept_while_its_server_becomes_a_reader_is_given_up(
    standing: Pair, caplog: pytest.LogCaptureFixture
) -> None:
    """If the connection stays and the server behind it is another one, as with a pooler, nothing is read from it."""
    pooler = TransactionPooler(standing.primary.uri)
    with pooler, contextlib.closing(Transactions(pooler.uri, threading.Event())) as transactions:
        assert transactions.run(_in_recovery) is False
        pooler.lead_to(standing.standby.uri)
        back = threading.Thread(
            target=lambda: (until(lambda: "[25006]" in caplog.text), pooler.lead_to(standing.primary.uri))
        )
        back.start()
        assert transactions.run(_in_recovery) is False
        back.join()
    assert "it is a standby [25006]" in caplog.text


def test_a_pooler_that_still_tells_what_its_server_was_is_not_believed(pair: Pair) -> None:
    """PgBouncer keeps what the first server said at its login, after a promotion too; libpq would wait for ever."""
    with TransactionPooler(pair.standby.uri) as pooler:
        with pytest.raises(NotTheWriterError, match="it is a standby"):
            connect(pooler.uri)
        pair.fail_over()
        with pytest.raises(psycopg2.OperationalError, match="session is read-only"):
            psycopg2.connect(pooler.uri + "?target_session_attrs=read-write")
        with contextlib.closing(Transactions(pooler.uri, threading.Event())) as transactions:
            assert transactions.run(_in_recovery) is False


@pytest.mark.parametrize(
    "statement",
    ["BEGIN READ WRITE", "LOCK TABLE seen IN EXCLUSIVE MODE", "INSERT INTO seen VALUES (1)", "NOTIFY stocketl"],
)
def test_every_refusal_of_a_standby_looks_for_the_writer(standing: Pair, statement: str) -> None:
    """0A000, 55000 and 25006 of a server in recovery are a place to leave, not an error of the job."""
    attempts: list[Any] = []
    with contextlib.closing(Transactions(both(standing), threading.Event())) as transactions:

        def work(cur: Any) -> None:
            attempts.append(cur.connection)
            if len(attempts) == 1:
                query(standing.standby.uri, f"BEGIN; {statement}")

        transactions.run(work)
    assert len(attempts) == 2
    assert attempts[0].closed


def _in_recovery(cur: Any) -> bool:
    cur.execute("SELECT pg_is_in_recovery()")
    ((found,),) = cur.fetchall()
    return bool(found)


def test_a_commit_that_waits_for_a_synchronous_standby_is_told(
    standing: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing fails and no time limit ends it, for it has committed there already: it ends when the standby is back."""
    monkeypatch.setattr(standstill, "LOOK_SECONDS", 0.2)
    standing.standby.stop()
    back = threading.Thread(target=lambda: (until(lambda: "[SyncRep]" in caplog.text), standing.standby.start()))
    back.start()
    limits = TimeLimits(statement_timeout=0.1)
    with contextlib.closing(Transactions(standing.primary.uri, threading.Event(), limits=limits)) as transactions:
        transactions.run(lambda cur: cur.execute("INSERT INTO seen VALUES (-1)"))
    back.join()
    told = [record.getMessage() for record in caplog.records]
    assert told[0].startswith(
        "waiting for PostgreSQL, nothing is lost: COMMIT waits for a synchronous standby [SyncRep]"
    )
    assert told[-1].startswith("PostgreSQL is back after ")
    assert query(standing.standby.uri, "SELECT n FROM seen WHERE n = -1") == [(-1,)]


def test_a_job_goes_on_at_the_new_writer(pair: Pair, tmp_path: Path) -> None:
    """Its address leads to the standby before that is promoted; the files that come meanwhile are loaded once."""
    home, loaded = tmp_path / "home", []

    def add() -> None:
        day, price = len(loaded) + 1, len(loaded) + 10
        loaded.append(f"date,id,price,trade_volume\n2024-01-{day:02},A,{price},1\n2023-12-29,B,{price},\n".encode())
        drop(home / "input", f"{len(loaded)}.csv", loaded[-1])

    with TcpProxy(pair.primary.uri) as address, Job(home, address.uri, "--lake", "none") as job:
        add()
        job.wait_for("the first receipt", lambda: len(receipts(home)) == 1)
        address.lead_to(pair.standby.uri)
        address.cut()
        add()
        job.wait_for("a word about the standby", lambda: "it is a standby [25006]" in job.output)
        pair.fail_over()
        add()
        job.wait_for("every receipt", lambda: len(receipts(home)) == len(loaded))
        assert noise(job.output) == []
    assert_same(stored(pair.standby.uri), expected(loaded))
