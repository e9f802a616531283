"""PostgreSQL goes away, cuts, loses an answer, keeps a lock, or was changed by hand."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from databases import Databases
from job_process import Job, drop, noise, try_once
from outcome import receipts, rows
from psycopg2 import sql
from table_lock import locked
from tables import assert_same, expected, stored
from tcp_proxy import TcpProxy

from streaming.database import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"


@dataclass
class Server:
    """A PostgreSQL of this module's own, a proxy before it, and one job that lives through the faults, one by one."""

    data: Path
    home: Path
    databases: Databases
    proxy: TcpProxy
    job: Job
    loaded: list[bytes] = field(default_factory=list)

    @property
    def database(self) -> str:
        return self.databases.uri("faults")

    def drop(self, price: float) -> None:
        """A new drop with a new date for A and a correction for B."""
        number = len(self.loaded)
        content = HEADER + f"2024-01-{number + 1:02},A,{price},1\n2023-12-29,B,{price},\n".encode()
        drop(self.home / "input", f"drop-{number}.csv", content)
        self.loaded.append(content)

    def assert_all_loaded_once(self) -> None:
        """By the same process that ran before the fault."""
        self.job.wait_for("every receipt", lambda: len(receipts(self.home)) == len(self.loaded))
        assert_same(stored(self.database), expected(self.loaded))
        assert rows(self.database, "SELECT key, rows_loaded FROM stocketl.drops ORDER BY seq") == [
            {"key": f"drop-{number}.csv", "rows_loaded": 2} for number in range(len(self.loaded))
        ]
        assert rows(self.database, "SELECT sum(drops) AS drops FROM stocketl.batches") == [{"drops": len(self.loaded)}]
        assert noise(self.job.output) == []
        assert self.job.running


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    home = tmp_path_factory.mktemp("faults") / "home"
    # not under pytest's folder, whose mode a second test run beside this one would change
    with tempfile.TemporaryDirectory(prefix="stocketl-test-") as folder:
        data = Path(folder) / "postgres"
        databases = Databases(embedded.start(data))
        databases.create("faults")
        try:
            with TcpProxy(databases.uri("faults")) as proxy, Job(home, proxy.uri, "--lake", "none") as job:
                running = Server(data, home, databases, proxy, job)
                running.drop(10.5)
                running.assert_all_loaded_once()
                yield running
        finally:
            embedded.stop(data)


def test_a_cut_connection_is_opened_again(server: Server) -> None:
    """A session that died while nothing was to do costs nothing."""
    server.proxy.cut()
    server.drop(11.25)
    server.assert_all_loaded_once()


def test_a_server_that_is_stopped_for_a_while_is_waited_for(server: Server) -> None:
    """The job says so, stays up, and loads the drop once the server is back."""
    before = len(server.job.output)
    embedded.stop(server.data)
    server.drop(12.75)
    server.job.wait_for("a word about the database", lambda: len(server.job.output) > before)
    embedded.start(server.data)
    server.assert_all_loaded_once()


def test_a_batch_whose_session_is_terminated_in_the_transaction_is_tried_again(server: Server) -> None:
    """`pg_terminate_backend` in the middle of the writes leaves nothing half-written and loses nothing."""
    with locked(server.database) as waiters:
        server.drop(13.5)
        server.job.wait_for("a transaction that waits", waiters)
        waiters.terminate()
    server.assert_all_loaded_once()


def test_a_commit_whose_answer_is_lost_is_not_done_twice(server: Server) -> None:
    """The ledger tells the retry that the batch is there."""
    server.proxy.lose_commit(f"drop-{len(server.loaded)}.csv".encode())
    lost = server.proxy.commits_lost
    server.drop(14.25)
    server.job.wait_for("the lost answer", lambda: server.proxy.commits_lost == lost + 1)
    server.assert_all_loaded_once()


def test_a_lock_that_somebody_holds_is_tried_again(server: Server) -> None:
    """The job gives up its own transaction after `lock_timeout`, so that it blocks nobody for long, and comes back."""
    with locked(server.database) as waiters:
        server.drop(15.5)
        server.job.wait_for("a transaction that waits", waiters)
        first = waiters()
        server.job.wait_for("another transaction that waits", lambda: waiters() and not waiters() & first)
    server.assert_all_loaded_once()


def test_a_wrong_password_ends_the_job_at_once(server: Server, tmp_path: Path) -> None:
    """Waiting would not mend it: one try, exit code 1, and a message that names the cause and not the password."""
    rules = server.data / "pg_hba.conf"
    asking = "".join(
        f"{kind} all stranger {address} scram-sha-256\n" for kind, address in (("local", ""), ("host", "all"))
    )
    rules.write_text(asking + rules.read_text())
    connection = psycopg2.connect(server.database)
    with connection, connection.cursor() as cur:
        cur.execute("CREATE ROLE stranger LOGIN PASSWORD 'right'")
        cur.execute("SELECT pg_reload_conf()")
    connection.close()
    uri = server.proxy.uri.replace("postgres@", "stranger:secret-but-wrong@")
    (tmp_path / "home" / "input").mkdir(parents=True)  # a folder that is not there would be refused before
    code, output = try_once(tmp_path / "home", uri, "--lake", "none")
    assert code == 1, output
    told = (server.data / "server.log").read_text()
    assert told.count('password authentication failed for user "stranger"') == 1
    assert "starting Spark" not in output
    assert "password" in output
    assert "secret-but-wrong" not in output
    assert noise(output) == []


def test_a_column_dropped_by_a_human_stops_the_job_with_nothing_half_written(tmp_path: Path, database: str) -> None:
    """The message names the column; the three tables and the ledger are as before."""
    home = tmp_path / "home"
    with Job(home, database, "--lake", "none") as job:
        drop(home / "input", "first.csv", HEADER + b"2024-01-02,A,10,100\n2024-01-02,B,20,200\n")
        job.wait_for("the first receipt", lambda: receipts(home))
        connection = psycopg2.connect(database)
        with connection, connection.cursor() as cur:
            cur.execute('ALTER TABLE returns DROP COLUMN "stk_B" CASCADE')
        connection.close()
        before = _everything(database)
        drop(home / "input", "second.csv", HEADER + b"2024-01-03,A,11,110\n2024-01-03,B,22,220\n2024-01-03,C,1,1\n")
        assert job.wait_exit() == 1, job.output
        assert "stk_B" in job.output
        assert noise(job.output) == []
    assert _everything(database) == before
    assert list(receipts(home)) == ["000000001.json"]


def _everything(database: str) -> dict[str, list[dict[str, object]]]:
    names = [("public", name) for name in ("prices", "returns", "volume")]
    names += [("stocketl", name) for name in ("drops", "batches", "tickers", "latest")]
    every = sql.SQL("SELECT * FROM {} ORDER BY 1")
    found = {name: rows(database, every.format(sql.Identifier(schema, name))) for schema, name in names}
    # an empty column, made for a batch that did not come to its end, is nothing
    return {
        name: [{key: value for key, value in row.items() if value is not None} for row in table]
        for name, table in found.items()
    }
