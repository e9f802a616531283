"""Looks at the files of the home while a page is open: the job's sign of life, the input, the batch under way.

A job that is killed tells nobody, so its lock is looked at every two seconds. The database is asked only if the job may
live elsewhere (another machine, a cluster): one small query every ten seconds, however many pages are open.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING

from streaming.commands.batch_under_way import batch_under_way
from streaming.commands.status import input_versions
from streaming.home import running
from streaming.storage.locations import is_s3

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.screen import Facts
    from streaming.settings import Settings
    from streaming.storage.place import Version

_EVERY_SECONDS = 2.0
_ELSEWHERE_SECONDS = 10.0
_REMOTE_SECONDS = 30.0
_QUICK_SECONDS = 0.02
_SHARE = 20  # a look at the input may take up to this part of the time


class Home:
    """What the home says now, remembered for as long as a new look would cost too much. For one thread at a time."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._settings = settings
        self._clock = clock
        self._listed: tuple[list[Version] | None, str | None] = (None, None)
        self._list_again = 0.0
        self._listing_took = 0.0
        self._beat: running.Job | None = None
        self._beat_again = 0.0

    def look(self, *, fresh: bool = False) -> Facts:
        """`job` and `beat` (its sign and its heartbeat), `under_way`, `versions` and `input_trouble` of the input.

        fresh: a batch has just changed the input, so it is listed again if that is quick.
        """
        job = running.of_home(self._settings.home)
        if job is not None and not job.fills(self._settings):
            job = None
        now = self._clock()
        if now >= self._beat_again:
            self._beat = running.of_heartbeat(self._settings)
            self._beat_again = now + _ELSEWHERE_SECONDS
        if now >= self._list_again or (fresh and self._listing_took < _QUICK_SECONDS):
            self._listed = input_versions(self._settings)
            took = self._listing_took = self._clock() - now
            pause = _REMOTE_SECONDS if is_s3(self._settings.input) else _EVERY_SECONDS
            self._list_again = now + max(pause * 0.9, took * _SHARE)
        alive = any(found is not None and found.alive for found in (job, self._beat))
        versions, trouble = self._listed
        under_way = batch_under_way(self._settings) if alive and not is_s3(self._settings.checkpoint) else None
        return {
            "job": job,
            "beat": self._beat,
            "under_way": under_way,
            "versions": versions,
            "input_trouble": trouble,
        }


class HomeWatch(threading.Thread):
    """Calls `changed` when a look at the home differs from the one before. needed: whether any page is open.

    must_ask: whether the database must be asked now and then, since the home does not show its job.
    """

    def __init__(
        self, home: Home, changed: Callable[[], None], needed: Callable[[], bool], must_ask: Callable[[], bool]
    ) -> None:
        super().__init__(name="home watch", daemon=True)
        self._home = home
        self._changed = changed
        self._needed = needed
        self._must_ask = must_ask
        self._ended = threading.Event()
        self._looking = threading.Lock()
        self.seen: Facts = home.look()

    def run(self) -> None:
        """Looks until `end`."""
        asked = time.monotonic()
        while not self._ended.wait(_EVERY_SECONDS):
            if not self._needed():
                continue
            before = _signature(self.seen)
            self.look_again()
            due = time.monotonic() - asked >= _ELSEWHERE_SECONDS and self._must_ask()
            if _signature(self.seen) != before or due:
                asked = time.monotonic()
                self._changed()

    def look_again(self, *, fresh: bool = False) -> None:
        """A look now. Out of turn for a page that has just been opened, and `fresh` after a batch."""
        with self._looking:
            self.seen = self._home.look(fresh=fresh)

    def end(self) -> None:
        """Asks the thread to end."""
        self._ended.set()


def _signature(seen: Facts) -> tuple[object, ...]:
    """What a reader would see of it: no ages."""
    job, beat, under_way = seen["job"], seen["beat"], seen["under_way"]
    return (
        *(found and (found.alive, found.silent, replace(found, seen_at=None, seen_seconds=None, waits=[]), _held(found))
          for found in (job, beat)),
        under_way and under_way["batch_id"],
        None if seen["versions"] is None else [(version.key, version.etag) for version in seen["versions"]],
        seen["input_trouble"],
    )  # fmt: skip


def _held(job: running.Job) -> list[object]:
    return [(held["what"], held["reason"]) for held in job.waits]
