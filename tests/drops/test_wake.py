"""A file that arrives ends the wait; nothing else does."""

from __future__ import annotations

import contextlib
import os
import shutil
import threading
import time
from typing import TYPE_CHECKING

import pytest

from streaming.drops.wake import Wake
from streaming.storage.folder import Folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

LONG, SHORT = 60.0, 0.05


@pytest.fixture
def wake(tmp_path: Path) -> Iterator[Wake]:
    (tmp_path / "input").mkdir()
    with contextlib.closing(Wake(str(tmp_path / "input"))) as watching:
        yield watching


def renamed(folder: Path) -> None:
    hidden = folder / ".a.tmp"
    hidden.write_text("x")
    hidden.rename(folder / "a.csv")


def written_in_place(folder: Path) -> None:
    (folder / "a.csv").write_text("x")


def in_a_new_folder(folder: Path) -> None:
    (folder / "2024" / "01").mkdir(parents=True)
    (folder / "2024" / "01" / "a.csv").write_text("x")


def moved_in_with_its_folder(folder: Path) -> None:
    aside = folder.parent / "aside"
    aside.mkdir()
    (aside / "a.csv").write_text("x")
    aside.rename(folder / "2024")


def linked(folder: Path) -> None:
    (folder.parent / "a.csv").write_text("x")
    (folder / ".link").symlink_to(folder.parent / "a.csv")
    (folder / ".link").rename(folder / "a.csv")


@pytest.mark.parametrize("arrive", [renamed, written_in_place, in_a_new_folder, moved_in_with_its_folder, linked])
def test_whatever_way_a_file_arrives_the_wait_ends(wake: Wake, tmp_path: Path, arrive: Callable[[Path], None]) -> None:
    """Also if it arrives while nobody waits, as during a batch."""
    arrive(tmp_path / "input")
    assert wake.wait(LONG)


def test_a_file_that_arrives_during_the_wait_ends_it(wake: Wake, tmp_path: Path) -> None:
    """And the next wait takes its time again."""
    later = threading.Timer(SHORT, renamed, [tmp_path / "input"])
    later.start()
    assert wake.wait(LONG)
    later.join()
    assert not wake.wait(SHORT)


@pytest.fixture
def listened(tmp_path: Path) -> Iterator[tuple[Wake, Folder]]:
    """A folder in which files must settle for long, and what hears of those that need not."""
    (tmp_path / "input").mkdir()
    place = Folder(str(tmp_path / "input"), settle=3600.0)
    with contextlib.closing(Wake(place.url, place.take_for_whole)) as watching:
        yield watching, place


@pytest.mark.parametrize("arrive", [renamed, written_in_place])
def test_a_file_that_its_writer_has_closed_or_renamed_is_a_drop_at_once(
    listened: tuple[Wake, Folder], tmp_path: Path, arrive: Callable[[Path], None]
) -> None:
    """It stays one until it is taken away; another one under its name must be heard of again."""
    wake, place = listened
    arrive(tmp_path / "input")
    assert wake.wait(LONG)
    (found,) = place.versions()
    assert place.versions() == [found]
    (tmp_path / "input" / found.key).unlink()
    assert place.versions() == []
    os.link(__file__, tmp_path / "input" / "a.csv")
    os.utime(tmp_path / "input" / "a.csv")
    assert place.versions() == []


def test_a_file_that_is_empty_or_still_open_is_none_yet(listened: tuple[Wake, Folder], tmp_path: Path) -> None:
    """An empty one may be the first of two openings; one that is written again waits for that writer too."""
    wake, place = listened
    file = tmp_path / "input" / "a.csv"
    file.write_text("")
    assert wake.wait(LONG)
    assert place.versions() == []
    with file.open("w") as writer:
        writer.write("date,id,price,trade_volume\n")
        writer.flush()
        (found,) = place.versions()
        assert place.claim(found, 1) is None
    (found,) = place.versions()
    assert place.claim(found, 1) is not None


def test_what_is_no_drop_wakes_nobody(wake: Wake, tmp_path: Path) -> None:
    """Unfinished names, claims, files that are read, moved away or removed."""
    folder = tmp_path / "input"
    (folder / ".claims").mkdir()
    (folder / ".claims" / "1").write_text("x")
    (folder / "a.csv.part").write_text("x")
    (folder / "a.csv.part").unlink()
    assert not wake.wait(SHORT)


def test_a_wait_takes_its_time(wake: Wake) -> None:
    """Not more, and hardly less."""
    began = time.monotonic()
    assert not wake.wait(0.2)
    assert time.monotonic() - began >= 0.2


def test_it_is_quiet_once_nothing_more_arrives(wake: Wake, tmp_path: Path) -> None:
    """Whether anything has arrived is told; what never ends is waited for no longer than allowed."""
    assert not wake.until_quiet(SHORT, LONG)
    renamed(tmp_path / "input")
    assert wake.until_quiet(SHORT, LONG)
    assert not wake.until_quiet(SHORT, LONG)
    over = threading.Event()

    def write() -> None:
        while not over.is_set():
            written_in_place(tmp_path / "input")

    writing = threading.Thread(target=write)
    writing.start()
    assert wake.until_quiet(LONG, SHORT)
    over.set()
    writing.join()


def test_a_folder_that_is_made_anew_is_watched_again(wake: Wake, tmp_path: Path) -> None:
    """Somebody has removed the input under the job."""
    shutil.rmtree(tmp_path / "input")
    assert not wake.wait(SHORT)
    (tmp_path / "input").mkdir()
    assert not wake.wait(SHORT)
    renamed(tmp_path / "input")
    assert wake.wait(LONG)


def test_without_watches_every_wait_takes_its_time(wake: Wake, tmp_path: Path) -> None:
    """As on a file system of which the kernel says nothing."""
    wake.close()
    renamed(tmp_path / "input")
    assert not wake.wait(SHORT)
