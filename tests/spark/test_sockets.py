"""The folder of Java's and Python's sockets: for one user, kept while its process lives, and no need for it."""

from __future__ import annotations

import contextlib
import os
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from streaming.spark import properties, sockets

if TYPE_CHECKING:
    from collections.abc import Iterator

_HOLDS = "from streaming.spark.sockets import socket_folder; print(socket_folder(), flush=True); input()"


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache folder of the test, with a short name; this process asks anew each time."""
    with tempfile.TemporaryDirectory() as short, contextlib.ExitStack() as held:
        monkeypatch.setenv("XDG_CACHE_HOME", short)
        monkeypatch.setattr(sockets, "_held", locks := [])
        monkeypatch.setattr(sockets, "socket_folder", anew := sockets.socket_folder.__wrapped__)
        monkeypatch.setattr(properties, "socket_folder", anew)
        held.callback(lambda: [os.close(lock) for lock in locks])
        yield Path(short) / "stocketl" / "sockets"


def test_only_its_user_can_enter_and_it_goes_after_its_process(cache: Path) -> None:
    """A folder of a process that lives stays, whoever starts; one of a process that was killed goes."""
    with subprocess.Popen([sys.executable, "-c", _HOLDS], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        other = process.stdout.readline().decode().strip()
        own = sockets.socket_folder()
        assert own is not None
        assert sorted(map(str, cache.iterdir())) == sorted([other, str(own)])
        assert stat.S_IMODE(own.stat().st_mode) == stat.S_IRWXU
        process.kill()
    latest = sockets.socket_folder()
    assert set(cache.iterdir()) == {own, latest}


def test_a_job_does_without_where_no_socket_can_be_made(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name of a socket has 107 bytes at most, and a home may have a long one; a cache may also be read-only."""
    name = "spark.python.unix.domain.socket"
    made = properties._local_properties(tmp_path, [])  # noqa: SLF001 (the rest needs Spark's jars)
    assert made[f"{name}.enabled"] == "true"
    assert made[f"{name}.dir"].startswith(f"{cache}/")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / ("long" * 20)))
    assert not [key for key in properties._local_properties(tmp_path, []) if key.startswith(name)]  # noqa: SLF001 (as above)
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert sockets.socket_folder() is None
