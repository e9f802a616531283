"""Keeps the lake small: joins the files of many appends, removes what no reader can want any more.

What is due follows from the tables' own logs and a small record beside them, not from how long this process has lived.
So a job that starts every hour does as much as one that runs for months. No row is touched. After a crash at any point
the next call does the work again.
"""

from __future__ import annotations

import contextlib
import json
import time
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Protocol

from streaming.errors import SettingsError, StockETLError, StorageError
from streaming.lake.rows import TABLES
from streaming.masking import first_line
from streaming.storage.locations import open_place
from streaming.waiting import Waiting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

RECORD = "housekeeping.json"

_COMMITS = 100  # between two compactions of a table; half as many more if no moment is quiet
_DAY = 86_400.0
_FIRST_PAUSE, _LONGEST_PAUSE = 60.0, 3600.0
_ADVICE = "Rows still arrive; until then the lake only grows. logs/spark.log says more"


class LakeTables(Protocol):
    """What can be done to the tables of the lake."""

    def compact(self, name: str) -> None:
        """Joins the small files of a table."""

    def clean(self, name: str, retention: float) -> None:
        """Removes files and log entries that only versions older than `retention` seconds need."""


class LakeKeeping:
    """Knows what is to be done to the lake at `location`, and does it. For one thread; others may ask what is `due`.

    retention: seconds for which older versions of the tables stay readable; None: for ever. clock: seconds.
    """

    def __init__(
        self, tables: LakeTables, location: str, retention: float | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._tables = tables
        self._place = open_place(location)
        self._retention = retention
        self._clock = clock
        self._looked = False
        self._commits = dict.fromkeys(TABLES, 0)  # of each table so far; after a start, as of its log's last checkpoint
        self._compacted = dict(self._commits)
        self._cleaned: str | None = None
        self._clean_at = 0.0
        self._again_at, self._pause = clock(), _FIRST_PAUSE
        self._look_by = clock() + _FIRST_PAUSE
        self._wait = Waiting("the lake's housekeeping")

    def appended(self, names: Iterable[str]) -> None:
        """These tables have one more commit."""
        for name in names:
            self._commits[name] += 1

    @property
    def due(self) -> bool:
        """Whether there is something to do now."""
        return self._is_due(1.0)

    @property
    def overdue(self) -> bool:
        """Whether it has been due for so long that it must not wait for a quiet moment."""
        return self._is_due(1.5) and (self._looked or self._clock() >= self._look_by)

    def work(self, still_writer: Callable[[], None] = lambda: None) -> None:
        """Does what is due. If a part fails, tells it and tries again later; the rest is done all the same.

        still_writer: raises if a newer job has taken over; asked before each change.
        """
        if not self._looked and not self._succeeds(self._look):
            return
        tasks: list[Callable[[], None]] = [partial(self._compact, name) for name in self._to_compact(1.0)]
        if self._to_clean(1.0):
            tasks.append(self._clean)
        failed = 0
        for task in tasks:
            still_writer()
            failed += not self._succeeds(task)
        if not failed:
            self._wait.over()
            self._pause = _FIRST_PAUSE

    def _is_due(self, times: float) -> bool:
        if self._clock() < self._again_at:
            return False
        return not self._looked or bool(self._to_compact(times)) or self._to_clean(times)

    def _to_compact(self, times: float) -> list[str]:
        return [name for name, number in self._commits.items() if number - self._compacted[name] >= times * _COMMITS]

    def _to_clean(self, times: float) -> bool:
        return self._retention is not None and self._clock() >= self._clean_at + (times - 1.0) * _DAY

    def _look(self) -> None:
        """Takes up what this process or an earlier one has noted."""
        record = _parsed(self._place.get(RECORD))
        logs = {name: _parsed(self._place.get(f"{name}/_delta_log/_last_checkpoint")) for name in self._commits}
        done = record.get("compacted")
        for name, log in logs.items():
            self._commits[name] += _number(log, "version")
            self._compacted[name] = _number(done, name)
        noted = record.get("cleaned")
        age = _age(noted)
        if age is None:  # of a young lake there is nothing to be removed
            age = _DAY if any(self._commits.values()) else 0.0
        self._cleaned = noted if isinstance(noted, str) else None
        self._clean_at = self._clock() + _DAY - age
        self._looked = True

    def _compact(self, name: str) -> None:
        self._tables.compact(name)
        self._compacted[name] = self._commits[name]
        self._note()

    def _clean(self) -> None:
        for name in self._commits:
            self._tables.clean(name, self._retention or 0.0)
        self._clean_at = self._clock() + _DAY
        self._note(cleaned=True)

    def _note(self, *, cleaned: bool = False) -> None:
        if cleaned:
            self._cleaned = datetime.now(UTC).isoformat(timespec="seconds")
        self._place.put(RECORD, json.dumps({"compacted": self._compacted, "cleaned": self._cleaned}).encode())

    def _succeeds(self, task: Callable[[], None]) -> bool:
        try:
            task()
        except Exception as error:
            if isinstance(error, StockETLError) and not isinstance(error, StorageError | SettingsError):
                raise
            self._again_at = self._clock() + self._pause  # Spark's errors have no common class
            self._pause = min(2 * self._pause, _LONGEST_PAUSE)
            self._wait.failed(first_line(error), _ADVICE)
            return False
        return True


def _parsed(data: bytes | None) -> dict[str, object]:
    """A small document; one that is not there, or not whole, says nothing."""
    with contextlib.suppress(ValueError):
        found = json.loads(data or b"{}")
        return found if isinstance(found, dict) else {}
    return {}


def _number(document: object, key: str) -> int:
    found = document.get(key) if isinstance(document, dict) else None
    return found if isinstance(found, int) else 0


def _age(noted: object) -> float | None:
    """Seconds since a noted time. None: no time, or a wrong clock has put it into the future."""
    try:
        seconds = (datetime.now(UTC) - datetime.fromisoformat(str(noted))).total_seconds()
    except (ValueError, TypeError):
        return None
    return seconds if seconds >= 0 else None
