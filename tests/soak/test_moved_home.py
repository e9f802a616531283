"""A home is a folder like any other: it may be moved, renamed and reached by a link, a batch open or not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from job_process import drop, kill_at, noise, run_once
from outcome import folders
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak

OPTIONS = ("--lake", "none")
HEADER = "date,id,price,trade_volume\n"


def test_a_home_that_was_moved_goes_on_with_its_open_batch(tmp_path: Path, database: str) -> None:
    """To a name with blanks and other letters, reached by a link; the old place is gone."""
    contents = [f"{HEADER}2024-01-{day:02d},A,{day},1\n".encode() for day in (2, 3, 4)]
    old, new, link = tmp_path / "old", tmp_path / "neuer Ort 株", tmp_path / "link"
    drop(old / "input", "0.csv", contents[0], 0)
    run_once(old, database, *OPTIONS)
    drop(old / "input", "1.csv", contents[1], 1)
    kill_at("published", tmp_path / "marker", old, database, *OPTIONS)
    old.rename(new)
    link.symlink_to(new)
    drop(new / "input", "2.csv", contents[2], 2)
    assert not noise(run_once(link, database, *OPTIONS))
    assert_same(stored(database), expected(contents))
    assert sorted(folders(new, "success").values()) == contents
    assert not old.exists()
