"""One PostgreSQL for the whole test run, and a fresh empty database for each test.

It is the embedded one, or that of the folder of server programs in the variable POSTGRES_BIN (`make test-postgres`).
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from databases import Databases
from postgres_servers import BIN, PostgresServer

from streaming.database import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

_number = itertools.count(1)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of the server's own database: connect to it to make others."""
    # not under pytest's folder, whose mode a second test run beside this one would change
    folder = Path(tempfile.mkdtemp(prefix="stocketl-test-"))
    with _server(folder) as uri:
        _forget_the_disk(uri)
        yield uri
    shutil.rmtree(folder)


@contextlib.contextmanager
def _server(folder: Path) -> Iterator[str]:
    if BIN not in os.environ:
        try:
            yield embedded.start(folder / "postgres")
        finally:
            embedded.stop(folder / "postgres")
        return
    folder.chmod(0o711)  # the server does not run as root
    server = PostgresServer(folder / "server")
    try:
        server.initialise()
        server.start()
        yield server.uri
    finally:
        server.stop()


@pytest.fixture(scope="session")
def databases(postgres_server: str) -> Databases:
    """Makes and copies databases on the session's server."""
    return Databases(postgres_server)


@pytest.fixture
def database(databases: Databases) -> str:
    """The URI of a fresh empty database."""
    return databases.create(f"test_{next(_number)}")


def _forget_the_disk(uri: str) -> None:
    """Nobody needs these databases after a power cut; waiting for the disk took a third of the tests' time."""
    with contextlib.closing(psycopg2.connect(uri)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("ALTER SYSTEM SET fsync = off")
            cur.execute("SELECT pg_reload_conf()")
