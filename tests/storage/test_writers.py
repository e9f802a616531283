"""A file that somebody has open for writing is not read, however long its writer pauses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from streaming.storage.folder import Folder
from streaming.storage.writers import is_being_written

if TYPE_CHECKING:
    from pathlib import Path


def test_the_kernel_says_who_writes(tmp_path: Path) -> None:
    """While it is open for writing, and not while it is only read."""
    path = tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("half")
        file.flush()
        assert is_being_written(str(path))
    with path.open():
        assert not is_being_written(str(path))
    assert not is_being_written(str(tmp_path / "gone.csv"))


def test_half_a_file_is_claimed_only_once_its_writer_has_closed_it(tmp_path: Path) -> None:
    """It is neither loaded nor failed meanwhile; after a minute it is told why it waits."""
    place, path = Folder(str(tmp_path)), tmp_path / "a.csv"
    with path.open("w") as file:
        file.write("date,id,price\n")
        file.flush()
        os.utime(path, (1_700_000_000, 1_700_000_000))
        (version,) = place.versions()
        assert (place.claim(version, 1), place.held_back()) == (None, {"a.csv": "a process has it open for writing"})
    (version,) = place.versions()
    assert (place.claim(version, 1), place.held_back()) == (version, {})
