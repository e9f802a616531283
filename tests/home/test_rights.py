"""Every command on a home that it may not or cannot use: one plain line, exit code 1."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# the latter here already: another user may not be able to read the packages
from streaming import cli
from streaming.commands import psql, status, status_screen, verify
from streaming.commands import receipts as receipt_view
from streaming.database import embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

LOADED = (embedded, psql, receipt_view, status, status_screen, verify)
COMMANDS = [
    "status",
    "status --json",
    "receipts",
    "receipts a.csv",
    "verify",
    "psql -c TABLE",
    "database",
    "database --stop",
]
_STRANGER = 54_321


@contextlib.contextmanager
def another_user() -> Iterator[None]:
    """As somebody else; for a user who cannot become one, what is locked with mode 0 is as good."""
    if os.geteuid() != 0:
        yield
        return
    groups = os.getgroups()
    os.setgroups([])
    os.setegid(_STRANGER)
    os.seteuid(_STRANGER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that every user may enter, which those of pytest are not."""
    made = Path(tempfile.mkdtemp(prefix="stocketl-test-"))
    made.chmod(0o755)
    yield made
    for path in (made / "home", made / "home" / "postgres"):
        path.chmod(0o755)
    shutil.rmtree(made)


def made_home(home: Path) -> None:
    """A home whose database has only its outlines."""
    data = home / "postgres"
    data.mkdir(parents=True)
    (home / "input").mkdir()
    (data / "PG_VERSION").write_text("18\n")


def closed_home(home: Path) -> None:
    home.chmod(0)


def closed_database(home: Path) -> None:
    (home / "postgres").chmod(0)


def closed_pid_file(home: Path) -> None:
    (home / "postgres" / "postmaster.pid").write_text("1\n")
    (home / "postgres" / "postmaster.pid").chmod(0)


def unwritable_home(home: Path) -> None:
    home.chmod(0o555)


def other_version(home: Path) -> None:
    (home / "postgres" / "PG_VERSION").write_text("13\n")


def binary_version(home: Path) -> None:
    (home / "postgres" / "PG_VERSION").write_bytes(b"\xff\xfe\x00")


def folder_for_version(home: Path) -> None:
    (home / "postgres" / "PG_VERSION").unlink()
    (home / "postgres" / "PG_VERSION").mkdir()


def folder_for_pid_file(home: Path) -> None:
    (home / "postgres" / "postmaster.pid").mkdir()


def pid_file_of_garbage(home: Path) -> None:
    (home / "postgres" / "postmaster.pid").write_bytes(b"\xff\x00" * 50)


def pid_file_with_a_number_of_no_process(home: Path) -> None:
    (home / "postgres" / "postmaster.pid").write_text("9" * 30 + "\n")


def folder_for_lock(home: Path) -> None:
    (home / ".postgres.users").mkdir()


def file_for_database(home: Path) -> None:
    (home / "postgres" / "PG_VERSION").unlink()
    (home / "postgres").rmdir()
    (home / "postgres").write_text("a file")


SITUATIONS = [
    closed_home,
    closed_database,
    closed_pid_file,
    unwritable_home,
    other_version,
    binary_version,
    folder_for_version,
    folder_for_pid_file,
    pid_file_of_garbage,
    pid_file_with_a_number_of_no_process,
    folder_for_lock,
    file_for_database,
]
_FOR_STRANGERS = {closed_home, closed_database, closed_pid_file, unwritable_home}
# a server that is not up is no error for `--stop`
_STOPS = {other_version, binary_version, folder_for_version, pid_file_of_garbage, unwritable_home, folder_for_lock}
_STOPS |= {pid_file_with_a_number_of_no_process}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda situation: situation.__name__)
def test_a_home_that_cannot_be_used_is_one_plain_line(
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    command: str,
    situation: Callable[[Path], None],
) -> None:
    """Another user's home, a read-only one, one that is damaged or of another version: told with a way out."""
    home = place / "home"
    made_home(home)
    situation(home)
    name, *options = command.split()
    monkeypatch.setattr(sys, "argv", ["stocketl", name, "--home", str(home), *options])
    stranger = another_user() if situation in _FOR_STRANGERS else contextlib.nullcontext()
    with stranger, pytest.raises(SystemExit) as ended:
        cli.main()
    told = capfd.readouterr()
    if command == "database --stop" and situation in _STOPS:
        assert (ended.value.code, told.out, told.err) == (0, f"no server is up in {home}/postgres\n", "")
        return
    errors = [line for line in told.err.splitlines() if "running as root" not in line]
    assert (ended.value.code, len(errors)) == (1, 1), told
    assert errors[0].startswith("stocketl: ")
    assert "Traceback" not in told.out + told.err
