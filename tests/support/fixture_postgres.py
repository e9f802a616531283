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

import psutil
import psycopg2
import pytest
from databases import Databases
from postgres_servers import BIN, PostgresServer

from streaming.database import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

_number = itertools.count(1)
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - mkdtemp makes a private folder in it
_ENOUGH_MEMORY = 8 << 30


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """The URI of the server's own database: connect to it to make others."""
    # not under pytest's folder, whose mode a second test run beside this one would change
    folder = Path(tempfile.mkdtemp(prefix="stocketl-test-", dir=_in_memory()))
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
def database(databases: Databases) -> Iterator[str]:
    """The URI of a fresh empty database."""
    name = f"test_{next(_number)}"
    yield databases.create(name)
    databases.drop(name)


def _in_memory() -> str | None:
    """A folder in memory, if there is enough for it: a database is 300 files, and a test run makes hundreds of them."""
    with contextlib.suppress(FileNotFoundError):
        if min(shutil.disk_usage(_SHARED_MEMORY).free, psutil.virtual_memory().available) > _ENOUGH_MEMORY:
            return _SHARED_MEMORY
    return None


def _forget_the_disk(uri: str) -> None:
    """Nobody needs these databases after a power cut; waiting for the disk took a third of the tests' time."""
    with contextlib.closing(psycopg2.connect(uri)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute("ALTER SYSTEM SET fsync = off")
            cur.execute("SELECT pg_reload_conf()")
