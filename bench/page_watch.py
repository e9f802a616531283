"""Watches the live page: a drop is given, the tables show it, then the page; and what that costs the database."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from job_process import clean_environment

from bench import data, processes
from bench.backends import Backends, spent
from bench.drip import await_seen, observer
from bench.memory import Sampler, cpu_seconds
from bench.ours import COMMAND
from bench.page_drops import events
from bench.viewers import templates
from bench.windows import MUST_SHOW, Windows, load

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path
    from typing import Any

    from playwright.sync_api import Browser

    from bench.drip import Target
    from bench.figures import Figures
    from bench.ours import Ours
    from bench.page_drops import Event
    from bench.place import Bench, Room
    from bench.viewers import Questions

WINDOWS = 3
LOADS = 5
WARM_UP = 3
_REST_SECONDS = 6.0  # a window asks for its calendar every five seconds at most: so each event has its whole cost
_LATER_PANELS = ("movers", "calendar")


@dataclass(frozen=True)
class Served:
    """`stocketl page` as a process of its own. start: the seconds until it told its address."""

    url: str
    pid: int
    start: float


@dataclass(frozen=True)
class Viewers:
    """Those without a browser, as one process."""

    process: subprocess.Popen[str]
    log: Path

    def await_answers(self) -> float:
        """Waits until each has its answers to the next event; the seconds of the last. Raises RuntimeError."""
        line = self.process.stdout.readline() if self.process.stdout is not None else ""
        if not line:
            msg = f"a viewer has ended: {self.log.read_text(errors='replace')[-2000:]}"
            raise RuntimeError(msg)
        return float(json.loads(line)["seconds"])


@dataclass(frozen=True)
class Watched:
    """What is looked at while events come. viewers: those without a browser. rest: seconds that each event gets."""

    target: Target
    page: Served
    windows: Windows
    backends: Backends
    viewers: Viewers | None = None
    rest: float = _REST_SECONDS


def measure(bench: Bench, room: Room, job: Ours, browser: Browser, *, viewers: int, number: int) -> None:
    """First paints; then events with three windows, and the same number with so many viewers in all."""
    dates, names = bench.sizes.many_dates, data.tickers(bench.sizes.many)
    first_paints(bench, job, browser)
    apart = names[1 :: max(1, len(names) // 5)][:5]  # of different tables
    views = [f"#t={names[0]}", "", "#" + "&".join(f"t={name}" for name in apart)]
    with (
        served(job.home, job.uri) as page,
        Windows(browser, page.url, views) as windows,
        Backends(job.uri) as backends,
    ):
        watched = Watched(job, page, windows, backends)
        for name, others in (("three", 0), ("all", viewers - WINDOWS)):
            given = events(bench, room, job.uri, [names[0], *apart], first=dates, number=number + WARM_UP)
            dates += sum(event.dates for event in given)
            asked = windows.asked()
            with viewing(room.folder, page.url, asked, others) if others else contextlib.nullcontext() as opened:
                with Sampler(page.pid) as sampler:
                    watch(bench.figures, name, given, replace(watched, viewers=opened), WARM_UP)
                bench.figures.add(f"{name}.memory", sampler.peak.bytes)
                bench.figures.add(f"{name}.listens", sum(backends.sessions().values()))
                bench.figures.add(f"{name}.sessions", len(backends.sessions()))
            bench.say(f"{name}: {len(given)} events, a new date after {bench.figures.value(f'{name}.day.page'):.3f} s")


def first_paints(bench: Bench, job: Ours, browser: Browser) -> None:
    """Loads the page some times, each time from a server that has just started and has nothing in its cache."""
    for _ in range(LOADS):
        with served(job.home, job.uri) as page:
            seen = load(browser, page.url)
        bench.figures.add("start", page.start)
        bench.figures.add("paint", seen.paint)
        bench.figures.add("chart", seen.chart)
    paint, chart = (bench.figures.value(name) for name in ("paint", "chart"))
    bench.say(f"first paint after {paint:.3f} s, the chart after {chart:.3f} s")


def watch(figures: Figures, name: str, given: Sequence[Event], watched: Watched, warm_up: int = 0) -> None:
    """One event after the other. Those after the first `warm_up` ones add to the figures `<name>.<kind>.…`.

    In seconds: `drop` (until the tables show it), `page` (from then until the last window has painted drop and chart),
    `movers` and `calendar` (from then, too), `database` and `process` (of processor: the page's sessions, and the
    page), `answers` (from the event until the last viewer has all that it asked for).
    """
    with observer(watched.target.uri) as seen:
        for number, event in enumerate(given):
            found = _one(event, watched, seen)
            if number >= warm_up:
                for what, seconds in found.items():
                    figures.add(f"{name}.{event.kind}.{what}", seconds)


def _one(event: Event, watched: Watched, seen: Callable[[str, tuple[Any, ...]], bool]) -> dict[str, float]:
    target, windows, page = watched.target, watched.windows, watched.page
    points = [number + event.dates for number in windows.points()]
    put = target.prepare(event.drop.path)
    windows.forget()
    before, process = watched.backends.seconds(), cpu_seconds(page.pid)
    given = time.time()
    put()
    await_seen(seen, event.drop, target)
    visible = time.time()
    time.sleep(watched.rest)
    shown = windows.await_shown(event.drop.path.name, points)
    found = {
        "drop": visible - given,
        "page": max(one[panel] for one in shown for panel in MUST_SHOW) - visible,
        "database": spent(before, watched.backends.seconds()),
        "process": cpu_seconds(page.pid) - process,
    }
    later = [panel for panel in _LATER_PANELS if all(panel in one for one in shown)]
    found |= {panel: max(one[panel] for one in shown) - visible for panel in later}
    if watched.viewers is not None:
        found["answers"] = watched.viewers.await_answers()
    target.settle()
    return found


@contextlib.contextmanager
def served(home: Path, uri: str) -> Iterator[Served]:
    """The page of a home, killed in the end. Raises RuntimeError if it does not start."""
    command = [str(COMMAND), "page", "--listen", "127.0.0.1:0", "--home", str(home), "--database", uri]
    begun = time.perf_counter()
    with processes.started(command, environment=clean_environment()) as process:
        url = process.stdout.readline().strip() if process.stdout is not None else ""
        if not url.startswith("http"):
            msg = f"the page did not start: {url!r}"
            raise RuntimeError(msg)
        yield Served(url, process.pid, time.perf_counter() - begun)


@contextlib.contextmanager
def viewing(folder: Path, url: str, asked: Sequence[Questions], number: int) -> Iterator[Viewers]:
    """So many viewers without a browser, each of which asks what one of the windows has asked after an event."""
    file = folder / "questions.json"
    file.write_text(json.dumps([templates(asked[at % len(asked)]) for at in range(number)]))
    command, log = [sys.executable, "-m", "bench.viewers", url, str(file)], folder / "viewers.log"
    with processes.following(command, log) as process:
        yield Viewers(process, log)
