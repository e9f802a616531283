"""The embedded server lives as long as somebody needs it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg2
import pytest

from streaming import embedded, home
from streaming.errors import DatabaseError
from streaming.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def settings(tmp_path: Path) -> Iterator[Settings]:
    made = load(environment=False, home=str(tmp_path / "home"))
    yield made
    home.stop(made)


def test_the_last_user_stops_the_server_that_a_command_started(settings: Settings) -> None:
    """Whoever started it: it ends when the last command that uses it ends."""
    first = home.database(settings)
    uri = first.__enter__().uri()
    second = home.database(settings)
    assert second.__enter__().uri() == uri
    first.__exit__(None, None, None)
    assert embedded.running(settings.postgres_data) == uri
    second.__exit__(None, None, None)
    assert embedded.running(settings.postgres_data) is None


def test_a_server_that_was_asked_for_stays_up(settings: Settings) -> None:
    """`stocketl database` leaves it up, also when it was a command that had started it; `--stop` ends it."""
    with home.database(settings) as login:
        uri = login.uri()
        assert home.start_and_leave_up(settings) == uri
    with home.database(settings) as again:
        assert again.uri() == uri
    assert embedded.running(settings.postgres_data) == uri
    assert home.stop(settings)
    assert embedded.running(settings.postgres_data) is None
    assert not home.stop(settings)


def test_reading_sees_one_moment_and_writes_nothing(database: str, tmp_path: Path) -> None:
    """A screen is consistent while a job writes, and cannot change a thing."""
    settings = load(environment=False, home=str(tmp_path), database=database)
    writer = psycopg2.connect(database)
    with writer, writer.cursor() as cur:
        cur.execute("CREATE SCHEMA stocketl; CREATE TABLE stocketl.receipts (seq int)")
    with home.reading(settings) as connected, connected.cursor() as seen:
        with writer, writer.cursor() as cur:
            cur.execute("INSERT INTO stocketl.receipts VALUES (1)")
        seen.execute("SELECT count(*) FROM stocketl.receipts")
        assert seen.fetchall() == [(0,)]
        with pytest.raises(psycopg2.errors.ReadOnlySqlTransaction):
            seen.execute("DELETE FROM stocketl.receipts")
    writer.close()


def test_a_server_that_cannot_be_reached_is_a_plain_error(tmp_path: Path) -> None:
    """No traceback, no password."""
    uri = "postgresql://me:secret@127.0.0.1:1/db"
    settings = load(environment=False, home=str(tmp_path), database=uri)
    with pytest.raises(DatabaseError, match="Connection refused") as caught, home.reading(settings):
        raise AssertionError
    assert "secret" not in str(caught.value)
