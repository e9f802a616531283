"""The proxy of the database fault tests, against a real PostgreSQL."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import psycopg2
import pytest
from tcp_proxy import TcpProxy

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def proxy(database: str) -> Iterator[TcpProxy]:
    with TcpProxy(database) as running:
        yield running


def _numbers(uri: str) -> list[int]:
    connection = psycopg2.connect(uri)
    try:
        with connection, connection.cursor() as cur:
            cur.execute("SELECT n FROM numbers ORDER BY n")
            return [n for (n,) in cur.fetchall()]
    finally:
        connection.close()


def _insert(connection: psycopg2.extensions.connection, number: int) -> None:
    with connection, connection.cursor() as cur:
        cur.execute("CREATE TABLE IF NOT EXISTS numbers (n int)")
        cur.execute("INSERT INTO numbers VALUES (%s)", [number])


def test_the_answer_of_the_wanted_commit_is_lost_and_the_transaction_is_there(proxy: TcpProxy, database: str) -> None:
    """Only the transaction with the given text loses its answer; its client sees a cut connection, others go on."""
    proxy.lose_commit(b"VALUES (2)")
    connection = psycopg2.connect(proxy.uri)
    _insert(connection, 1)
    assert proxy.commits_lost == 0
    with pytest.raises(psycopg2.OperationalError):
        _insert(connection, 2)
    connection.close()
    assert proxy.commits_lost == 1
    again = psycopg2.connect(proxy.uri)
    _insert(again, 3)
    again.close()
    assert _numbers(database) == [1, 2, 3]


def test_a_refusing_proxy_cuts_what_is_open_and_lets_nobody_in(proxy: TcpProxy) -> None:
    """Both an open session and a new one fail, until it accepts again."""
    connection = psycopg2.connect(proxy.uri)
    cursor = connection.cursor()
    proxy.refuse()
    with pytest.raises(psycopg2.OperationalError):
        cursor.execute("SELECT 1")
    connection.close()
    with pytest.raises(psycopg2.OperationalError):
        psycopg2.connect(proxy.uri)
    proxy.accept()
    psycopg2.connect(proxy.uri).close()


def test_a_paused_proxy_holds_bytes_back_and_loses_none(proxy: TcpProxy, database: str) -> None:
    """A transaction begun while paused ends as soon as the proxy goes on."""
    connection = psycopg2.connect(proxy.uri)
    proxy.pause()
    work = threading.Thread(target=_insert, args=(connection, 1))
    work.start()
    work.join(0.3)
    assert work.is_alive()
    proxy.resume()
    work.join(10)
    connection.close()
    assert _numbers(database) == [1]
