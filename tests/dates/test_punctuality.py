"""Deadlines against a real database and a real receiver, by a clock of the test's own."""

from __future__ import annotations

import datetime as dt
import json
import logging
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from explained_run import ExplainedRun
from hook_receiver import Receiver, receiver

from streaming.database.transactions import Transactions
from streaming.dates.punctuality import Punctuality
from streaming.errors import SupersededError
from streaming.ledger import writer
from streaming.settings import WEBHOOK_SECRET, load

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = ["A", "B", "C", "D"]
MONDAY = dt.date(2024, 7, 1)
DUE = dt.datetime(2024, 7, 3, 22, 30, tzinfo=dt.UTC)  # 18:30 in New York; the session of this day ends at 13:00
MINUTE = dt.timedelta(minutes=1)


class Desk:
    """A thread that is asked to look at given times, and what it has told."""

    def __init__(self, database: str, there: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv(WEBHOOK_SECRET, "s3cret")
        self.transactions = Transactions(database, threading.Event())
        self.transactions.run(writer.create)
        self.run = ExplainedRun(self.transactions)
        self.options: dict[str, Any] = {"calendar": "XNYS", "expect_by": "18:30 America/New_York", "webhook": there.url}
        self.there = there
        self.counts: list[int] = []
        self.seq = 0
        self.begin()

    def begin(self, epoch: int = 0) -> None:
        """A new job."""
        self._now = DUE
        settings = load(environment=False, **self.options)
        stop, told = threading.Event(), self.counts.append
        self.thread = Punctuality(settings, self.transactions, epoch, stop, told, "s3cret", lambda: self._now)

    def look(self, now: dt.datetime) -> None:
        self._now = now
        self.thread.look()

    def give(self, day: dt.date, names: list[str]) -> None:
        self.seq += 1
        date = day.toordinal() - dt.date(1970, 1, 1).toordinal()
        self.run.batch([(self.seq, [(date, name, 10.0 + self.seq, 5) for name in names])])

    @property
    def events(self) -> list[tuple[str, str, int]]:
        messages = [json.loads(body) for _, body in self.there.got]
        return [(message["event"], message["date"], message["missing"]) for message in messages]


@pytest.fixture
def desk(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    with receiver() as there:
        made = Desk(database, there, monkeypatch)
        with closing(made.transactions):
            made.give(MONDAY, NAMES)
            made.give(MONDAY + dt.timedelta(days=1), NAMES)
            yield made


def test_a_half_delivered_session_is_told_at_its_deadline_and_again_when_it_is_complete(desk: Desk) -> None:
    """Not before; once each; the day that ends early has the same deadline, the holiday after it has none."""
    desk.look(DUE - MINUTE)
    desk.give(dt.date(2024, 7, 3), ["A", "B"])
    desk.look(DUE - dt.timedelta(seconds=1))
    assert (desk.events, desk.counts) == ([], [0, 0])
    desk.look(DUE)
    desk.look(DUE + MINUTE)
    assert (desk.events, desk.counts) == ([("overdue", "2024-07-03", 2)], [0, 0, 1, 1])
    desk.give(dt.date(2024, 7, 3), ["C", "D"])
    desk.look(DUE + 2 * MINUTE)
    desk.look(DUE + dt.timedelta(days=1))  # 4 July
    assert (desk.events[1:], desk.counts[-1]) == ([("complete", "2024-07-03", 0)], 0)


def test_a_session_without_any_file_is_told_even_if_no_job_ran_at_its_deadline(desk: Desk) -> None:
    """The next start judges it; what was due before the first job with a deadline is not judged."""
    desk.look(DUE - MINUTE)
    desk.begin()
    desk.look(DUE + dt.timedelta(hours=9))
    assert desk.events == [("overdue", "2024-07-03", 4)]
    desk.look(DUE + dt.timedelta(days=11))
    assert ("given-up", "2024-07-03", 4) in desk.events
    assert desk.run.ask("SELECT date FROM stocketl.overdue_dates WHERE done_at IS NOT NULL") == [(dt.date(2024, 7, 3),)]


def test_a_complete_session_is_not_told(desk: Desk) -> None:
    """A ticker that was not seen in the last six sessions is not expected."""
    desk.look(DUE - MINUTE)
    desk.give(dt.date(2024, 7, 3), [*NAMES, "E"])
    desk.look(DUE + MINUTE)
    assert (desk.events, desk.counts) == ([], [0, 0])


def test_a_message_is_sent_again_until_it_is_taken(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    """After a pause, also by the next job; no log line holds the secret or the path of the address."""
    desk.look(DUE - MINUTE)
    desk.there.answers = [500, 503]
    with caplog.at_level(logging.INFO):
        desk.look(DUE)
        desk.look(DUE + MINUTE)  # the pause is not over by the clock that only goes forward
        assert len(desk.events) == 1
        desk.begin()
        desk.look(DUE + 2 * MINUTE)
        desk.begin()
        desk.look(DUE + 3 * MINUTE)
        desk.look(DUE + 4 * MINUTE)
    assert [event for event, _, _ in desk.events] == ["overdue"] * 3
    assert "waiting for the webhook on 127.0.0.1" in caplog.text
    assert "s3cret" not in caplog.text
    assert "t0ken" not in caplog.text


def test_without_a_deadline_nothing_is_overdue_any_more(desk: Desk) -> None:
    """A job without `--expect-by` closes what one with it has opened."""
    desk.look(DUE - MINUTE)
    desk.look(DUE)
    desk.options = {}
    desk.begin()
    desk.look(DUE + MINUTE)
    assert desk.run.ask("SELECT count(*) FROM stocketl.overdue_dates WHERE done_at IS NULL") == [(0,)]
    assert desk.run.ask("SELECT count(*) FROM stocketl.sessions") == [(0,)]


def test_an_older_job_judges_nothing_more(desk: Desk, database: str) -> None:
    """Each transaction asks for the epoch."""
    writer.take_over(database, threading.Event())
    with pytest.raises(SupersededError):
        desk.look(DUE)
