"""What the home shows while a page is open."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from conditions import until

from streaming.home.sign import sign_of_life
from streaming.page.watch import Home, HomeWatch
from streaming.settings import load

if TYPE_CHECKING:
    from streaming.settings import Settings


def at(folder: Path) -> Settings:
    settings = load(environment=False, home=str(folder))
    Path(settings.input).mkdir(parents=True)
    return settings


def dropped(settings: Settings, name: str) -> None:
    (Path(settings.input) / name).write_text("date,id,price\n")


def test_a_home_shows_its_job_for_as_long_as_it_lives(tmp_path: Path) -> None:
    """The lock tells it, at each look."""
    settings = at(tmp_path)
    home = Home(settings)
    assert home.look()["job"] is None
    with sign_of_life(settings):
        until(lambda: (job := home.look()["job"]) is not None and job.alive)
    assert home.look()["job"].alive is False


def test_the_input_is_listed_now_and_then_and_after_a_batch(tmp_path: Path) -> None:
    """A look in between says what the last listing has found."""
    now = [0.0]
    settings = at(tmp_path)
    home = Home(settings, clock=lambda: now[0])
    assert home.look()["versions"] == []
    dropped(settings, "a.csv")
    assert home.look()["versions"] == []
    assert [version.key for version in home.look(fresh=True)["versions"]] == ["a.csv"]
    dropped(settings, "b.csv")
    now[0] = 2.0
    assert len(home.look()["versions"]) == 2


def test_what_has_changed_is_told_only_while_somebody_looks(tmp_path: Path) -> None:
    """A new file is told once; without an open page nothing is looked at."""
    settings, told, needed = at(tmp_path), [], [False]
    watch = HomeWatch(Home(settings), lambda: told.append(1), lambda: needed[0], lambda: False)
    watch.start()
    try:
        dropped(settings, "a.csv")
        needed[0] = True
        until(lambda: told)
        assert [version.key for version in watch.seen["versions"]] == ["a.csv"]
    finally:
        watch.end()
        watch.join()
    assert told == [1]
