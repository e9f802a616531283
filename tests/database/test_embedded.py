"""The embedded server of a home: started once, by anybody, wherever the home is and whatever was left behind."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import psycopg2
import pytest

from streaming.database import embedded
from streaming.errors import DatabaseError

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.spark  # it starts servers of its own


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder with a short name, whose servers are stopped in the end."""
    with tempfile.TemporaryDirectory(prefix="home-") as folder:
        yield Path(folder)
        for pid_file in Path(folder).rglob("postmaster.pid"):
            embedded.stop(pid_file.parent)


def ask(uri: str, statement: str = "SELECT 1") -> object:
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement)
        return cur.fetchall() if cur.description else None


def postmaster(data: Path) -> psutil.Process:
    return psutil.Process(int((data / "postmaster.pid").read_text().split()[0]))


def test_a_home_may_be_moved_while_its_server_is_up(home: Path) -> None:
    """`stocketl database` leaves it up; it still names the place where it was started."""
    uri = embedded.start(home / "a" / "postgres")
    ask(uri, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    data = (home / "a").rename(home / "b") / "postgres"
    moved = embedded.running(data)
    assert moved not in {None, uri}
    assert embedded.start(data) == moved
    assert ask(str(moved), "SELECT n FROM kept") == [(7,)]
    embedded.stop(data)
    assert embedded.running(data) is None
    assert ask(embedded.start(data), "SELECT n FROM kept") == [(7,)]


def test_a_copy_that_has_lost_owner_and_mode_starts(home: Path) -> None:
    """A home that was restored by `cp -r`, or from an archive."""
    data = home / "postgres"
    ask(embedded.start(data), "CREATE TABLE kept AS SELECT 7 AS n")
    embedded.stop(data)
    shutil.copytree(data, home / "copy" / "postgres")  # as root: all of it root's
    (home / "copy" / "postgres").chmod(0o755)
    assert ask(embedded.start(home / "copy" / "postgres"), "SELECT n FROM kept") == [(7,)]


def test_what_an_earlier_start_has_logged_is_not_told_as_the_reason(home: Path) -> None:
    """A program that cannot even begin writes no log."""
    data = home / "postgres"
    embedded.start(data)
    embedded.stop(data)
    (data / "server.log").write_text("2026-01-01 10:00:00.000 UTC [1] LOG:  database system is shut down\n")
    (data / "PG_VERSION").unlink()
    with pytest.raises(DatabaseError) as caught:
        embedded._run(data, embedded._account(data), "pg_ctl", "-w", "-t", "5", "start")  # noqa: SLF001
    assert "database system is shut down" not in str(caught.value)
    assert "is not a database cluster directory" in str(caught.value)


def test_it_starts_stops_and_keeps_its_data(home: Path) -> None:
    """start gives a URI, running the same; after stop there is none; the next start finds the data."""
    data = home / "deep" / "postgres"
    assert embedded.running(data) is None
    embedded.stop(data)
    uri = embedded.start(data)
    assert (embedded.start(data), embedded.running(data)) == (uri, uri)
    assert ask(uri, "SHOW server_encoding") == [("UTF8",)]
    assert ask(uri, "SHOW listen_addresses") == [("",)]
    ask(uri, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    embedded.stop(data)
    assert embedded.running(data) is None
    assert ask(embedded.start(data), "SELECT n FROM kept") == [(7,)]


def test_a_log_that_has_grown_long_is_begun_anew_at_a_start(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one before is kept: two files at most, whatever the number of starts."""
    data = home / "postgres"
    monkeypatch.setattr(embedded, "LONGEST_LOG", 100)
    for _ in range(3):
        embedded.start(data)
        embedded.stop(data)
    assert sorted(path.name for path in data.glob("server*")) == ["server.log", "server.old.log"]
    assert (data / "server.log").read_text().count("starting PostgreSQL") == 1


def test_psql_opens_the_uri(home: Path) -> None:
    """The psql that comes with it takes the URI as it is."""
    uri = embedded.start(home / "postgres")
    said = subprocess.run(
        [embedded.psql_path(), uri, "-Atc", "SELECT 6 * 7"], capture_output=True, text=True, check=True
    )
    assert said.stdout == "42\n"


def test_nobody_else_can_reach_it(home: Path) -> None:
    """There is no password: the directory of its socket is closed to others."""
    data = home / "postgres"
    uri = embedded.start(data)
    sockets = Path(uri.partition("host=")[2].partition("&")[0])
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700


def test_it_outlives_the_process_that_started_it(home: Path) -> None:
    """Also when that one is killed with its whole group, as by Ctrl-C or a closed terminal."""
    data = home / "postgres"
    program = f"from streaming.database import embedded; print(embedded.start({str(data)!r}), flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        cwd=Path(__file__).parents[2],
    ) as starter:
        assert starter.stdout is not None
        uri = starter.stdout.readline().strip()
        children = psutil.Process(starter.pid).children(recursive=True)
        os.killpg(starter.pid, signal.SIGKILL)
    assert starter.returncode == -signal.SIGKILL
    assert children == []
    assert ask(uri) == [(1,)]
    assert embedded.running(data) == uri


def test_many_starts_at_once_make_one_server(home: Path) -> None:
    """All get the same URI, also when the data directory is not there yet."""
    data = home / "postgres"
    with ThreadPoolExecutor(5) as pool:
        uris = set(pool.map(lambda _: embedded.start(data), range(5)))
    assert len(uris) == 1
    assert ask(uris.pop()) == [(1,)]


def test_it_starts_again_after_kill_9(home: Path) -> None:
    """The files of the killed server are in nobody's way, its backends included, and what was committed is there."""
    data = home / "postgres"
    uri = embedded.start(data)
    ask(uri, "CREATE TABLE kept (n int); INSERT INTO kept VALUES (7)")
    with contextlib.closing(psycopg2.connect(uri)):
        server = postmaster(data)
        server.kill()
        psutil.wait_procs([server], 10)
        assert embedded.running(data) is None
        assert ask(embedded.start(data), "SELECT n FROM kept") == [(7,)]


def test_a_process_id_that_now_belongs_to_another_program_is_not_the_server(home: Path) -> None:
    """After a reboot the number in postmaster.pid may be anybody's: not taken for the server, and never signalled."""
    data = home / "postgres"
    embedded.start(data)
    lines = (data / "postmaster.pid").read_text().splitlines()
    server = postmaster(data)
    server.kill()
    psutil.wait_procs([server], 10)
    with subprocess.Popen(["/bin/sleep", "60"]) as other:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            (data / name).write_text("\n".join([str(other.pid), *lines[1:]]) + "\n")
        assert embedded.running(data) is None
        embedded.stop(data)
        assert ask(embedded.start(data)) == [(1,)]
        assert other.poll() is None
        other.kill()


def test_a_torn_pid_file_is_no_server(home: Path) -> None:
    """A disk that was full, or a crash while it was written."""
    data = home / "postgres"
    embedded.start(data)
    embedded.stop(data)
    for content in ("", "abc\n", "999999999\n/x\n"):
        (data / "postmaster.pid").write_text(content)
        assert embedded.running(data) is None
    assert ask(embedded.start(data)) == [(1,)]


@pytest.mark.parametrize("name", ["x" * 120, "my home, 'the' \"new\" $HOME `id` %s &?#é"])
def test_any_name_of_a_home_will_do(home: Path, name: str) -> None:
    """Longer than a socket's path may be, or full of what shells, URIs and PostgreSQL's lists treat as special."""
    data = home / name / "postgres"
    uri = embedded.start(data)
    assert (ask(uri), embedded.running(data)) == ([(1,)], uri)
    said = subprocess.run([embedded.psql_path(), uri, "-Atc", "SELECT 1"], capture_output=True, text=True, check=True)
    assert said.stdout == "1\n"
    embedded.stop(data)
    assert embedded.start(data) == uri


def test_an_interrupted_initialisation_is_begun_anew(home: Path) -> None:
    """What initdb left half-done is not taken for a data directory."""
    half = home / ".postgres.new"
    half.mkdir()
    (half / "PG_VERSION").write_text("18\n")
    assert ask(embedded.start(home / "postgres")) == [(1,)]
    assert not half.exists()


def test_a_directory_that_holds_something_else_is_left_alone(home: Path) -> None:
    """Not empty and no data directory, or of another version: a message, no file touched."""
    (home / "photos").mkdir()
    (home / "photos" / "a.jpg").write_bytes(b"x")
    with pytest.raises(DatabaseError, match="photos is not empty and is no PostgreSQL data directory"):
        embedded.start(home / "photos")
    (home / "old").mkdir()
    (home / "old" / "PG_VERSION").write_text("9.6\n")
    with pytest.raises(DatabaseError, match=r"was made by PostgreSQL '9.6', expected 18"):
        embedded.start(home / "old")
    assert [path.name for path in sorted(home.rglob("*")) if path.is_file()] == [
        ".old.lock",
        ".photos.lock",
        "PG_VERSION",
        "a.jpg",
    ]


def test_a_server_that_cannot_start_shows_its_log(home: Path) -> None:
    """The reason is in the message, not in a file to be searched for."""
    data = home / "postgres"
    embedded.start(data)
    embedded.stop(data)
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write("no_such_setting = 1\n")
    with pytest.raises(DatabaseError, match=r"pg_ctl failed.*no_such_setting"):
        embedded.start(data)
