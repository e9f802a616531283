"""The bench of the live page: on a small home without Spark, with the real page and the real browser."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
import pytest
from chromium import chromium
from loaded_home import LoadedHome

from bench import data
from bench.backends import Backends, spent
from bench.drip import Drop
from bench.figures import Figures
from bench.page import lines, targets
from bench.page_drops import CELL, DAY, Event, price_query
from bench.page_watch import Watched, served, viewing, watch
from bench.targets import MB, results
from bench.viewers import templates
from bench.windows import Windows, load
from streaming.settings import load as settings_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from databases import Databases

TICKERS, DATES = 3, 8


@dataclass
class HomeWithoutSpark:
    """What takes the drops in the place of the job."""

    home: LoadedHome
    uri: str
    rest: float = 0.0
    look: float = 0.001
    leader: int = 0

    def prepare(self, path: Path) -> Callable[[], object]:
        return lambda: self.home.load(path.name, path.read_text())

    def alive(self) -> bool:
        return True

    def settle(self) -> None:
        """Each drop has its receipt before `load` returns."""


def test_each_viewer_sees_each_event_and_its_cost_is_found(databases: Databases, tmp_path: Path) -> None:
    """A new date and a correction, two windows and two viewers; the first event only warms up."""
    uri = databases.create("bench_page")
    home = LoadedHome(settings_of(environment=False, home=str(tmp_path / "home"), database=uri))
    for number in range(DATES):
        home.load(f"{number}.csv", data.one_day(tmp_path / f"{number}.csv", 1, TICKERS, number).read_text())
    days = [data.one_day(tmp_path / f"new-{number}.csv", 1, TICKERS, number) for number in (DATES, DATES + 1)]
    corrected = data.correction(tmp_path / "cell.csv", 1, TICKERS, DATES, "S00002")
    on_date = "SELECT 1 FROM returns WHERE date = %s"
    given = [
        Event(DAY, Drop(days[0], on_date, (data.day(DATES),))),
        Event(CELL, Drop(tmp_path / "cell.csv", price_query(uri, "S00002"), corrected)),
        Event(DAY, Drop(days[1], on_date, (data.day(DATES + 1),))),
    ]
    figures = Figures()
    with (
        contextlib.closing(home),
        chromium() as browser,
        served(home.settings.home, uri) as page,
        Backends(uri) as backends,
    ):
        seen = load(browser, page.url)
        assert 0 < seen.paint < seen.chart
        with Windows(browser, page.url, ["#t=S00001", "#t=S00002&t=S00003"]) as windows:
            assert windows.points() == [DATES, DATES]
            with viewing(tmp_path, page.url, windows.asked(), 2) as viewers:
                watched = Watched(HomeWithoutSpark(home, uri), page, windows, backends, viewers, rest=1.0)
                watch(figures, "two", given, watched, warm_up=1)
            assert windows.points() == [DATES + 2, DATES + 2]
            assert sorted(backends.sessions().values()) == [False, False, False, True]
    found = {"drop", "page", "movers", "database", "process", "answers"}
    names = {f"two.{kind}.{what}" for kind in (DAY, CELL) for what in found}
    assert figures.samples.keys() - {f"two.{kind}.calendar" for kind in (DAY, CELL)} == names
    assert all(len(samples) == 1 for samples in figures.samples.values())
    for kind in (DAY, CELL):
        assert 0 < figures.samples[f"two.{kind}.database"][0] < 5
        assert figures.samples[f"two.{kind}.page"][0] < figures.samples[f"two.{kind}.movers"][0]


def test_the_questions_of_a_window_are_those_of_any_batch() -> None:
    """The server is left out, and the dates of the batch are filled in."""
    asked = [
        (0.0, "http://127.0.0.1:1/api/series?id=A%7B&first=2024-01-02&last=2024-01-03"),
        (0.25, "http://h/api/movers?"),
    ]
    assert templates(asked) == [(0.0, "/api/series?id=A%7B&first={first}&last={last}"), (0.25, "/api/movers?")]


def test_a_viewer_that_gets_no_answer_ends_the_measurement(databases: Databases, tmp_path: Path) -> None:
    """The error says what was asked and what came."""
    uri = databases.create("bench_page_refused")
    home = LoadedHome(settings_of(environment=False, home=str(tmp_path / "home"), database=uri))
    first, second = (data.one_day(tmp_path / f"{n}.csv", 1, TICKERS, n).read_text() for n in range(2))
    home.load("0.csv", first)
    asked = [[(0.0, "http://h/api/missing?date=nonsense")]]
    with (
        contextlib.closing(home),
        served(home.settings.home, uri) as page,
        viewing(tmp_path, page.url, asked, 1) as two,
    ):
        home.load("1.csv", second)
        with pytest.raises(
            RuntimeError, match=r"/api/missing\?date=nonsense .* expected 200, got 400: b'expected date="
        ):
            two.await_answers()


def test_the_processor_time_is_that_of_the_sessions_with_the_name(databases: Databases) -> None:
    """Others on the same database do not count, and one that is new counts from its start."""
    uri = databases.create("bench_backends")
    with (
        Backends(uri) as backends,
        contextlib.closing(psycopg2.connect(uri, application_name="stocketl page")) as page,
        contextlib.closing(psycopg2.connect(uri, application_name="stocketl")) as other,
    ):
        page.autocommit = True
        before = backends.seconds()
        assert [*before] == [page.info.backend_pid]
        for connection in (page, other):
            with connection.cursor() as cur:
                cur.execute("SELECT count(*) FROM generate_series(1, 2000000)")
        with page.cursor() as cur:
            cur.execute("LISTEN stocketl")
        after = backends.seconds()
        assert backends.sessions() == {page.info.backend_pid: True}
        assert [*after] == [*before]
        used = spent(before, after)
        assert 0.01 < used < 10
        assert spent({}, after) == pytest.approx(used + sum(before.values()))


def test_a_row_shows_its_target_what_was_found_and_whether_it_is_kept() -> None:
    """What was not measured is no row; a row without a target has no verdict."""
    figures = Figures({"paint": [0.2, 1.4, 1.6], "chart": [2.0], "three.memory": [151.0 * MB], "all.listens": [1.0]})
    assert lines(results(figures, targets(7))) == [
        ("first paint", "1.50 s", "1.40 s", "kept"),
        ("first paint: the chart is there", "", "2.00 s", ""),
        ("3 viewers: memory of the page", "150 MB", "151 MB", "missed"),
        ("7 viewers: sessions that listen", "1.00", "1.00", "kept"),
    ]


def test_a_correction_of_a_ticker_is_one_new_price_of_its_past(tmp_path: Path) -> None:
    """The row is the ticker's, and its date is one of those that are there."""
    day, price = data.correction(tmp_path / "cell.csv", 1, 5, 4, "S00003")
    assert (tmp_path / "cell.csv").read_text().splitlines()[1].startswith(f"{day},S00003,{price}")
    assert data.day(0) <= day <= data.day(3)
    assert round(price, 2) != price
