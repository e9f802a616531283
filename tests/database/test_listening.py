"""The embedded server on TCP: who gets in, with what, and which programs do with the URIs that are printed."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import adbc_driver_postgresql.dbapi
import duckdb
import duckdb_extension_postgres_scanner
import pandas as pd
import polars as pl
import psycopg
import psycopg2
import pytest
import sqlalchemy

from streaming.database import embedded, listening
from streaming.database.listening import ROLE, Address
from streaming.errors import DatabaseError, SettingsError
from streaming.home import database as of_home
from streaming.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

QUERY = "SELECT id, date, price, volume FROM prices_of_a_day"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A home whose server is up, with a table in it."""
    made = load(environment=False, home=str(tmp_path_factory.mktemp("listening")))
    uri, _ = of_home.start_and_leave_up(made)
    try:
        run(uri, "CREATE TABLE prices_of_a_day (id text, date date, price float8, volume bigint)")
        run(uri, f"INSERT INTO prices_of_a_day VALUES ('AAPL', '2024-01-03', 130.25, {2**62 + 1})")  # noqa: S608 - a number
        yield made
    finally:
        of_home.stop(made, force=True)


@pytest.fixture(scope="module")
def uri(settings: Settings) -> str:
    """What `stocketl database --listen` prints."""
    printed, where = of_home.listen(settings, f"127.0.0.1:{free_port()}")
    assert where.loopback
    return printed


def run(uri: str, statement: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement)
        return cur.fetchall() if cur.description else []


def password(settings: Settings) -> str:
    return settings.postgres_data.with_name(".postgres.password").read_text()


@pytest.mark.parametrize(
    ("text", "shown", "loopback"),
    [
        ("127.0.0.1:5433", "127.0.0.1:5433", True),
        ("0.0.0.0:1", "0.0.0.0:1", False),
        ("[::1]:65535", "[::1]:65535", True),
    ],
)
def test_an_address_is_an_ip_address_and_a_port(text: str, shown: str, loopback: bool) -> None:  # noqa: FBT001
    """It says whether other machines can reach it."""
    assert (str(Address.parse(text)), Address.parse(text).loopback) == (shown, loopback)


@pytest.mark.parametrize(
    "text", ["5433", "localhost:5433", "127.0.0.1:0", "127.0.0.1:70000", "1.2.3:5", "::1:5433", ""]
)
def test_anything_else_is_refused(text: str) -> None:
    """A name could mean another address tomorrow."""
    with pytest.raises(SettingsError, match=r"expected an IP address and a port such as 127\.0\.0\.1:5433"):
        Address.parse(text)


def test_a_server_that_listens_everywhere_is_reached_by_the_loopback() -> None:
    """0.0.0.0 is no address to connect to."""
    assert Address("0.0.0.0", 5433).uri("p") == f"postgresql://{ROLE}:p@127.0.0.1:5433/postgres"  # noqa: S104


def test_the_printed_uri_reads_and_does_not_write(uri: str) -> None:
    """The role can read everything, also what is made later."""
    assert run(uri, QUERY)[0][0] == "AAPL"
    for statement in ("DELETE FROM prices_of_a_day", "CREATE TABLE mine (a int)", "CREATE ROLE other"):
        with pytest.raises(psycopg2.errors.InsufficientPrivilege):
            run(uri, statement)


def test_nobody_gets_in_by_tcp_without_the_password(settings: Settings, uri: str) -> None:
    """Neither the role with another password or none, nor the superuser with any."""
    right = password(settings)
    for wrong in (uri.replace(right, "wrong"), uri.replace(f":{right}", "")):
        with pytest.raises(psycopg2.OperationalError, match="password"):
            run(wrong, "SELECT 1")
    with pytest.raises(psycopg2.OperationalError, match=r"no pg_hba\.conf entry"):
        run(uri.replace(ROLE, "postgres"), "SELECT 1")


def test_the_password_is_in_no_log_and_in_no_list_of_processes(settings: Settings, uri: str) -> None:
    """Only its owner can read the file that holds it."""
    secret = password(settings)
    assert secret in uri
    file = settings.postgres_data.with_name(".postgres.password")
    assert file.stat().st_mode & 0o077 == 0
    said = [path.read_bytes() for path in settings.postgres_data.glob("*.log")]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            said.append(process.read_bytes())
    assert not [text for text in said if secret.encode() in text]


def test_the_socket_keeps_its_uri(settings: Settings, uri: str) -> None:
    """A job that is running goes on with the one it knows."""
    assert embedded.port(settings.postgres_data) != embedded.PORT
    own = embedded.running(settings.postgres_data)
    assert own is not None
    assert f"port={embedded.PORT}" in own
    assert run(own, "SELECT current_user") == [("postgres",)]
    assert run(uri, "SELECT current_user") == [(ROLE,)]


def test_the_next_start_listens_again_and_asking_again_starts_nothing(settings: Settings, uri: str) -> None:
    """The same address, the same password."""
    embedded.stop(settings.postgres_data)
    of_home.start_and_leave_up(settings)
    began = run(uri, "SELECT pg_postmaster_start_time()")
    assert of_home.listen(settings, None)[0] == uri
    assert run(uri, "SELECT pg_postmaster_start_time()") == began


def test_a_port_that_is_taken_is_refused_at_once(settings: Settings, uri: str) -> None:
    """The server stays where it is."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        with pytest.raises(DatabaseError, match=f"{taken} is taken by another program"):
            of_home.listen(settings, taken)
    assert run(uri, "SELECT 1") == [(1,)]


def test_a_port_that_is_taken_at_a_later_start_keeps_nobody_from_the_socket(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The job must come up; the log says what is missing."""
    data = tmp_path / "postgres"
    with socket.create_server(("127.0.0.1", 0)) as other:
        listening.keep(data, Address("127.0.0.1", other.getsockname()[1]))
        assert listening.options(data, 5432, None) == (["-c", "listen_addresses=", "-c", "port=5432"], 5432)
    assert "is taken by another program" in caplog.text


def by_psql(uri: str) -> list[tuple[Any, ...]]:
    environment = os.environ | {"PGAPPNAME": "test"}
    done = subprocess.run(
        [str(embedded.psql_path()), uri, "-XAtc", QUERY], env=environment, capture_output=True, text=True, check=True
    )
    ticker, day, price, volume = done.stdout.strip().split("|")
    return [(ticker, pd.Timestamp(day).date(), float(price), int(volume))]


def by_psycopg(uri: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(uri) as connection:
        return connection.execute(QUERY).fetchall()


def by_sqlalchemy(uri: str) -> list[tuple[Any, ...]]:
    engine = sqlalchemy.create_engine(uri)
    try:
        with engine.connect() as connection:
            return list(pd.read_sql(sqlalchemy.text(QUERY), connection).itertuples(index=False, name=None))
    finally:
        engine.dispose()


def by_polars(uri: str) -> list[tuple[Any, ...]]:
    return pl.read_database_uri(QUERY, uri).rows()


def by_polars_with_adbc(uri: str) -> list[tuple[Any, ...]]:
    return pl.read_database_uri(QUERY, uri, engine="adbc").rows()


def by_adbc(uri: str) -> list[tuple[Any, ...]]:
    with adbc_driver_postgresql.dbapi.connect(uri) as connection, connection.cursor() as cur:
        cur.execute(QUERY)
        return cur.fetchall()


def by_duckdb(uri: str) -> list[tuple[Any, ...]]:
    # the extension that `INSTALL postgres` downloads, signed by DuckDB, from a package
    (extension,) = Path(duckdb_extension_postgres_scanner.__path__[0]).rglob("*.duckdb_extension")
    with duckdb.connect() as connection:
        connection.execute(f"LOAD '{extension}'")
        connection.execute(f"ATTACH '{uri}' AS stocks (TYPE postgres, READ_ONLY)")
        return connection.execute(QUERY.replace("FROM ", "FROM stocks.")).fetchall()


ON_TCP = [by_psql, by_psycopg, by_sqlalchemy, by_polars, by_polars_with_adbc, by_adbc, by_duckdb]
ON_SOCKET = [by_psql, by_psycopg, by_sqlalchemy, by_polars_with_adbc, by_adbc, by_duckdb]
WANT = [("AAPL", pd.Timestamp("2024-01-03").date(), 130.25, 2**62 + 1)]


@pytest.mark.parametrize("ask", ON_TCP, ids=lambda ask: ask.__name__)
def test_a_client_takes_the_uri_of_the_port(uri: str, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """As it is printed, with exact numbers."""
    assert ask(uri) == WANT


@pytest.mark.parametrize("ask", ON_SOCKET, ids=lambda ask: ask.__name__)
def test_a_client_takes_the_uri_of_the_socket(settings: Settings, ask: Callable[[str], list[tuple[Any, ...]]]) -> None:
    """As it is printed, with exact numbers."""
    assert ask(of_home.start_and_leave_up(settings)[0]) == WANT


def test_it_listens_no_more_when_asked(settings: Settings, uri: str) -> None:
    """The port is free again, and the socket goes on."""
    assert of_home.listen_no_more(settings)
    with pytest.raises(psycopg2.OperationalError, match="refused"):
        run(uri, "SELECT 1")
    assert run(of_home.start_and_leave_up(settings)[0], "SELECT 1") == [(1,)]
    assert not of_home.listen_no_more(settings)
