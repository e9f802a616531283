"""The embedded server lives as long as somebody needs it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

import psutil
import psycopg2
import pytest

from streaming.database import embedded
from streaming.database.transactions import Transactions
from streaming.errors import DatabaseError, SettingsError
from streaming.home import database as home
from streaming.home.sign import sign_of_life
from streaming.ledger import batches, writer
from streaming.settings import Settings, load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.spark  # it starts servers of its own


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
        assert home.start_and_leave_up(settings) == (uri, False)
    with home.database(settings) as again:
        assert again.uri() == uri
    assert embedded.running(settings.postgres_data) == uri
    assert home.stop(settings)
    assert embedded.running(settings.postgres_data) is None
    assert not home.stop(settings)


def test_the_server_is_not_stopped_under_a_job(settings: Settings) -> None:
    """Neither under the job of the home nor under one of another home that uses its server; `--force` does it."""
    with sign_of_life(settings):
        uri, made = home.start_and_leave_up(settings)
        assert made
        with pytest.raises(DatabaseError, match=rf"process {os.getpid()} on .* uses this server; .*--force"):
            home.stop(settings)
    transactions = Transactions(uri, threading.Event())
    transactions.run(writer.create)
    writer.take_over(uri)
    transactions.close()
    with pytest.raises(DatabaseError, match=rf"process {os.getpid()} on "):
        home.stop(settings)
    assert embedded.running(settings.postgres_data) == uri
    assert home.stop(settings, force=True)


def test_a_server_that_breaks_down_under_a_job_is_started_again(settings: Settings) -> None:
    """Killed, or ended by itself on a full disk: the next transaction brings it up, and the job's end stops it."""
    with home.database(settings) as login:
        own = login.copy()
        transactions = Transactions(own, threading.Event())
        transactions.run(writer.create)
        server = psutil.Process(int((settings.postgres_data / "postmaster.pid").read_text().split()[0]))
        server.kill()
        psutil.wait_procs([server])
        assert transactions.run(batches.last_batch) is None
        transactions.close()
        assert embedded.running(settings.postgres_data) is not None
    assert embedded.running(settings.postgres_data) is None


def test_a_server_that_somebody_has_stopped_stays_down(settings: Settings) -> None:
    """That is what `database --stop --force` is for."""
    with home.database(settings) as login:
        assert home.stop(settings, force=True)
        login.uri()
        assert embedded.running(settings.postgres_data) is None


def test_an_input_that_is_not_there_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A job that watches says that it makes the folder; with --once, which would load nothing, it is an error."""
    there = load(environment=False, home=str(tmp_path / "home"), input=str(tmp_path / "in"))
    (tmp_path / "in").mkdir()
    home.tell_new_input(there.model_copy(update={"once": True}))
    assert caplog.text == ""
    typo = there.model_copy(update={"input": str(tmp_path / "tpyo")})
    home.tell_new_input(typo)
    assert f"there was no folder {tmp_path}/tpyo: it is made now and watched" in caplog.text
    for missing in (typo, load(environment=False, home=str(tmp_path / "tpyo"))):
        with pytest.raises(SettingsError, match="so --once has nothing to load"):
            home.tell_new_input(missing.model_copy(update={"once": True}))
    (tmp_path / "new").mkdir()
    home.tell_new_input(load(environment=False, home=str(tmp_path / "new"), once=True))


def test_a_file_is_no_home(tmp_path: Path) -> None:
    """Told as such, with --once and without, in the place of a folder in it that cannot be made."""
    (tmp_path / "file").touch()
    for once in (True, False):
        with pytest.raises(SettingsError, match=r"home: .*/file is not a folder"):
            home.tell_new_input(load(environment=False, home=str(tmp_path / "file"), once=once))


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
