"""What the log says of batches: the line of each, and signs of life of one that takes long."""

from __future__ import annotations

import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import ledger_rows
import pytest

from streaming.checkpoint.checkpoint import open_checkpoint
from streaming.checkpoint.offset import Offset, Span
from streaming.storage.place import Version
from streaming.telemetry.batch_log import BatchLog, names, size
from streaming.telemetry.observer import Published, Written

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.packets import Fact

MB = 1_000_000


class Clock:
    """Seconds that the test lets pass."""

    def __init__(self) -> None:
        self.now = 50.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(autouse=True)
def _heard(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")


def batch_log(tmp_path: Path, clock: Clock, *batches: list[Span], bar: Bar | None = None) -> BatchLog:
    """Of a checkpoint that has planned these batches."""
    checkpoint = open_checkpoint(str(tmp_path), buckets=1, text_ids=False)
    for number, spans in enumerate(batches):
        offset = Offset(1, tuple(spans), {}).to_json()
        (tmp_path / "offsets").mkdir(exist_ok=True)
        (tmp_path / "offsets" / str(number)).write_text(f"v1\n{{}}\n{json.dumps(offset)}")
    return BatchLog(checkpoint, threading.Event(), clock=clock, bar=bar)  # type: ignore[arg-type]


def span(key: str, of: int, start: int = 0, end: int | None = None, seq: int = 1) -> Span:
    """A part of a drop of so many bytes."""
    version = Version(key, "etag", None, of, datetime(2026, 1, 2, tzinfo=UTC))
    return Span(seq, version, start, of if end is None else end, whole=end is None)


def fact(part: Span, rows: int) -> Fact:
    """What became of it."""
    ends = {"start": part.start, "end": part.end, "size": part.version.size, "last": part.last}
    return ledger_rows.fact(part.seq, key=part.version.key, loaded=rows - 1, rejected=1, **ends)


def done(batch_id: int, facts: list[Fact], seconds: dict[str, float], cells: int) -> Published:
    """A batch that was written."""
    return Published(batch_id, facts, Written(cells, []), seconds, datetime(2026, 1, 2, tzinfo=UTC), [])


def test_the_line_of_a_batch_has_names_and_the_time_that_passed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Reading, the tables and the lake together: not the transaction alone."""
    seconds = {"collect": 100.0, "transaction": 19.71, "lake": 1.0}
    facts = [fact(span(f"{number}.csv", 9, seq=number), 1000) for number in (2, 1, 3, 4, 5)]
    batch_log(tmp_path, Clock()).published(done(7, facts, seconds, 4000))
    (line,) = caplog.messages
    assert line == "batch 7: 5 drops (1.csv, 2.csv, 3.csv and 2 more), 5,000 rows, 5 rejected, 4,000 cells in 120.71 s"


def test_a_batch_that_takes_long_says_what_it_reads_then_once_a_minute(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A short one says nothing before it is done."""
    clock = Clock()
    log = batch_log(tmp_path, clock, [span("a.csv", 5 * MB), span("b.csv", 7 * MB, seq=2)])
    log.begins(0)
    for _ in range(130):
        clock.now += 1
        log.look()
    reads = "reading 2 drops (a.csv, b.csv), 12 MB"
    assert caplog.messages == [f"batch 0: under way for {seconds} s, {reads}" for seconds in (3, 63, 123)]
    log.breaks_off()
    clock.now += 100
    log.look()
    assert len(caplog.messages) == 3


def test_a_large_drop_says_how_far_it_is_and_what_is_left(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """By the pace of its batches so far; nothing is left to say with the last one."""
    clock = Clock()
    parts = [span("big.csv", 500 * MB, start * MB, (start + 100) * MB) for start in range(0, 500, 100)]
    log = batch_log(tmp_path, clock, *([part] for part in parts))
    for number, part in enumerate(parts):
        log.begins(number)
        clock.now += 60
        log.published(done(number, [fact(part, 9)], {"collect": 60.0}, 9))
    assert [line.partition("; ")[2] for line in caplog.messages] == [
        "big.csv: 100 of 500 MB, about 4 min left",
        "big.csv: 200 of 500 MB, about 3 min left",
        "big.csv: 300 of 500 MB, about 2 min left",
        "big.csv: 400 of 500 MB, about 60 s left",
        "",
    ]


class Bar:
    """What a terminal is told to show."""

    def __init__(self, *, in_front: bool = True) -> None:
        self.in_front = in_front
        self.shown: list[tuple[str, int, int | None, str] | None] = []

    def show(self, what: str, *, done: int, of: int | None, far: str = "") -> None:
        """Keeps it."""
        self.shown.append((what, done, of, far))

    def hide(self) -> None:
        """Keeps that too."""
        self.shown.append(None)


def test_on_a_terminal_a_bar_stands_for_the_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of a drop in parts it knows how far it is, and it stays between two of them; it goes with the end of the drop."""
    clock, bar = Clock(), Bar()
    parts = [span("big.csv", 200 * MB, 0, 100 * MB), span("big.csv", 200 * MB, 100 * MB, 200 * MB)]
    log = batch_log(tmp_path, clock, *([part] for part in parts), [span("a.csv", 5 * MB, seq=2)], bar=bar)
    for number, part in enumerate(parts):
        log.begins(number)
        clock.now += 60
        log.look()
        log.published(done(number, [fact(part, 9)], {"collect": 60.0}, 9))
    log.begins(2)
    clock.now += 2
    log.look()
    clock.now += 2
    log.look()
    log.breaks_off()
    assert bar.shown == [
        ("batch 0 for 60 s: big.csv", 0, 200 * MB, "0 of 200 MB"),
        ("batch 1 for 60 s: big.csv", 100 * MB, 200 * MB, "100 of 200 MB, about 2 min left"),
        None,
        ("batch 2 for 4 s: reading a.csv, 5 MB", 0, None, ""),
        None,
    ]
    assert not [line for line in caplog.messages if "under way" in line]


def test_a_job_in_the_background_of_a_terminal_tells_lines(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A bar would overwrite what its user types; the one that was there when it went there is taken away."""
    clock, bar = Clock(), Bar()
    log = batch_log(tmp_path, clock, [span("a.csv", 5 * MB)], bar=bar)
    log.begins(0)
    clock.now += 4
    log.look()
    bar.in_front = False
    log.look()
    assert bar.shown == [("batch 0 for 4 s: reading a.csv, 5 MB", 0, None, ""), None]
    assert caplog.messages == ["batch 0: under way for 4 s, reading a.csv, 5 MB"]


def test_an_append_to_the_lake_that_takes_long_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing waits for it, but `--once` and a stop do."""
    clock = Clock()
    checkpoint = open_checkpoint(str(tmp_path), buckets=1, text_ids=False)
    log = BatchLog(checkpoint, threading.Event(), lake_since=lambda: 50.0, clock=clock)
    for _ in range(30):
        clock.now += 1
        log.look()
    assert caplog.messages == ["writing the lake for 10 s"]


def test_sizes_and_names_are_said_as_people_say_them() -> None:
    """Two thousand names are no line."""
    assert [size(count) for count in (0, 900, 12_345, 12 * MB, 4000 * MB)] == [
        "0 bytes", "900 bytes", "12 kB", "12 MB", "4,000 MB",
    ]  # fmt: skip
    assert (names([]), names(["a.csv"]), names(["a", "b"])) == ("no drop", "a.csv", "2 drops (a, b)")
