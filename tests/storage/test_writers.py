"""A file that somebody has open for writing is not read, however long its writer pauses."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

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


WRITERS = {
    "a browser (Firefox)": "a.csv.part",
    "a browser (Chrome)": "a.csv.crdownload",
    "a browser (Safari)": "a.csv.download/a.csv",
    "WinSCP": "a.csv.filepart",
    "aws s3 cp": "a.csv.6eF5b5dA",
    "gsutil": "a.csv_.gstmp",
    "rsync": ".a.csv.Xy12Qz",
    "hadoop fs -put": "a.csv._COPYING_",
    "cp": "a.csv",
    "scp": "a.csv",
}
"""Under which name each one writes until it has finished."""


@pytest.mark.parametrize("writer", WRITERS)
def test_a_writer_that_pauses_in_the_middle_loses_nothing(writer: str, tmp_path: Path) -> None:
    """Its half file is neither listed nor claimed however long it lies there; the whole one is, once it is closed."""
    place, half, whole = Folder(str(tmp_path), settle=1.0), tmp_path / WRITERS[writer], tmp_path / "a.csv"
    half.parent.mkdir(exist_ok=True)
    with half.open("w") as file:
        file.write("date,id,price\n2024-03-04,A,")
        file.flush()
        os.utime(half, (1_700_000_000, 1_700_000_000))  # so it has lain there for years
        assert [place.claim(version, 1) for version in place.versions() if version] in ([], [None])
        file.write("1.5\n")
    half.rename(whole)
    os.utime(whole, (1_700_000_000, 1_700_000_000))
    (version,) = place.versions()
    assert (version.key, place.claim(version, 1)) == ("a.csv", version)
    assert place.read(version, 1) == b"date,id,price\n2024-03-04,A,1.5\n"
