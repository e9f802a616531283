"""What is done to the lake and when: by the tables and the record beside them, not by how long a process has lived."""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING

import pytest

from streaming.errors import SettingsError, StorageError, SupersededError
from streaming.lake.keeping import RECORD, LakeKeeping
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from pathlib import Path

WEEK = 7 * 86_400.0
DAY = 86_400.0


class Tables:
    """Writes down what is asked of it; what it was told to fails."""

    def __init__(self, *failing: str) -> None:
        self.done: list[tuple[str, str]] = []
        self.failing = set(failing)

    def compact(self, name: str) -> None:
        self._do("compact", name)

    def clean(self, name: str, retention: float) -> None:
        assert retention == WEEK
        self._do("clean", name)

    def _do(self, what: str, name: str) -> None:
        self.done.append((what, name))
        if what in self.failing:
            msg = "FileNotFoundException\nat org.apache.spark"
            raise RuntimeError(msg)


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def keeping(tables: Tables, lake: Path, clock: Clock | None = None, retention: float | None = WEEK) -> LakeKeeping:
    made = LakeKeeping(tables, str(lake), retention, clock=clock or Clock())
    made.work()
    return made


def log_at(lake: Path, version: int, name: str = "ticks") -> None:
    """The last checkpoint of a table's log."""
    open_place(str(lake)).put(f"{name}/_delta_log/_last_checkpoint", json.dumps({"version": version}).encode())


def test_a_young_lake_is_left_alone_until_it_has_a_hundred_commits(tmp_path: Path) -> None:
    """Each table by itself, and then for the next hundred."""
    tables = Tables()
    kept = keeping(tables, tmp_path)
    for _ in range(99):
        kept.appended(["ticks"])
    assert not kept.due
    kept.appended(["ticks", "rejects"])
    assert kept.due
    kept.work()
    assert tables.done == [("compact", "ticks")]
    assert not kept.due
    assert list(tmp_path.iterdir()) == [tmp_path / RECORD]


def test_a_job_that_starts_every_hour_compacts_as_often_as_one_that_stays(tmp_path: Path) -> None:
    """The counter of a process began at 0 at each start: such a job never joined anything."""
    tables, commits = Tables(), 0
    for _ in range(50):
        if commits >= 100:
            log_at(tmp_path, commits // 100 * 100)
        kept = keeping(tables, tmp_path)
        for _ in range(8):
            kept.appended(["ticks"])
            commits += 1
            kept.work()
    assert tables.done.count(("compact", "ticks")) in {3, 4}


def test_a_lake_from_before_is_cleaned_at_once_and_then_once_a_day_over_all_starts(tmp_path: Path) -> None:
    """By a monotonic clock within a process, by the record between them."""
    log_at(tmp_path, 99)
    tables, clock = Tables(), Clock()
    kept = keeping(tables, tmp_path, clock)
    assert tables.done == [("clean", "ticks"), ("clean", "rejects"), ("clean", "duplicates")]
    keeping(tables, tmp_path, clock)
    clock.now += DAY - 1
    assert not kept.due
    clock.now += 2
    assert kept.due
    assert not kept.overdue
    clock.now += DAY / 2
    assert kept.overdue
    kept.work()
    assert len(tables.done) == 6
    assert not kept.due


@pytest.mark.parametrize("days", [-1.5, 1000.0, None], ids=["long ago", "in the future", "damaged"])
def test_what_the_record_says_of_another_time_is_no_reason_to_wait(tmp_path: Path, days: float | None) -> None:
    """A clock was wrong, or the file was cut."""
    log_at(tmp_path, 99)
    then = dt.datetime.now(dt.UTC) + dt.timedelta(days=days or 0)
    record = json.dumps({"compacted": {"ticks": 50}, "cleaned": then.isoformat()})
    (tmp_path / RECORD).write_text(record[:-9] if days is None else record)
    tables = Tables()
    keeping(tables, tmp_path)
    assert ("clean", "ticks") in tables.done


def test_what_fails_is_told_in_one_line_and_tried_again_later(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With growing pauses; meanwhile nothing is due, so that a drained job can end."""
    tables, clock = Tables("compact"), Clock()
    kept = keeping(tables, tmp_path, clock)
    for _ in range(100):
        kept.appended(["ticks"])
    kept.work()
    assert (
        "waiting for the lake's housekeeping, nothing is lost: FileNotFoundException. Rows still arrive" in caplog.text
    )
    assert not kept.due
    clock.now += 61
    assert kept.due
    kept.work()
    clock.now += 61
    assert not kept.due
    tables.failing.clear()
    clock.now += 61
    kept.work()
    assert tables.done == [("compact", "ticks")] * 3
    assert "the lake's housekeeping is back" in caplog.text


def test_a_table_that_cannot_be_joined_is_cleaned_all_the_same(tmp_path: Path) -> None:
    """One damaged file would keep all old ones for ever."""
    log_at(tmp_path, 500)
    tables = Tables("compact")
    keeping(tables, tmp_path)
    assert tables.done == [("compact", "ticks"), ("clean", "ticks"), ("clean", "rejects"), ("clean", "duplicates")]


@pytest.mark.parametrize("record", ['{"compacted": {"ticks": "x"}, "cleaned": 5}', '{"compacted": [1]}', "[]", "\0"])
def test_a_record_that_makes_no_sense_says_nothing(tmp_path: Path, record: str) -> None:
    """Then everything is due that the tables' logs say."""
    log_at(tmp_path, 500)
    (tmp_path / RECORD).write_text(record)
    tables = Tables()
    keeping(tables, tmp_path)
    assert tables.done == [("compact", "ticks"), ("clean", "ticks"), ("clean", "rejects"), ("clean", "duplicates")]


def test_an_older_job_changes_nothing(tmp_path: Path) -> None:
    """Asked before each change."""
    log_at(tmp_path, 500)
    tables = Tables()

    def superseded() -> None:
        msg = "a newer job took over"
        raise SupersededError(msg)

    kept = LakeKeeping(tables, str(tmp_path), WEEK)
    with pytest.raises(SupersededError):
        kept.work(superseded)
    assert tables.done == []


def test_without_a_retention_nothing_is_removed(tmp_path: Path) -> None:
    """`--lake-retention none`; small files are joined all the same."""
    log_at(tmp_path, 100)
    tables = Tables()
    keeping(tables, tmp_path, retention=None)
    assert tables.done == [("compact", "ticks")]


@pytest.mark.parametrize("refusal", [StorageError, SettingsError])
def test_a_record_that_cannot_be_read_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusal: type[Exception]
) -> None:
    """The storage is away, or the right to it."""

    def refuse(*_: object) -> None:
        msg = "AccessDenied"
        raise refusal(msg)

    clock = Clock()
    with monkeypatch.context() as patched:
        patched.setattr("streaming.storage.folder.Folder.get", refuse)
        kept = keeping(Tables(), tmp_path, clock)
        assert not kept.due
    clock.now += 61
    assert kept.due
    kept.work()
    assert not kept.due
