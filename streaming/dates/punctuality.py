"""A thread that keeps the sessions of the calendar, and tells of dates that are not complete by their deadline.

Delivery: at least once. What must be told stands in `stocketl.overdue_dates` until the receiver has taken it. If a
receiver does not answer, that holds up nothing but this thread, for a few seconds.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import time
from functools import partial
from typing import TYPE_CHECKING

from streaming.dates import overdue
from streaming.dates.calendar import check_calendar, keep_sessions
from streaming.dates.webhook import Webhook, WebhookError
from streaming.deadline import ExpectBy
from streaming.follower import Follower
from streaming.ledger.writer import check_epoch
from streaming.settings import WEBHOOK_SECRET
from streaming.waiting import Waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from psycopg2.extensions import cursor

    from streaming.database.transactions import Transactions
    from streaming.settings import Settings

log = logging.getLogger(__name__)

LOOK_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 300.0


def check_dates(settings: Settings) -> None:
    """Raises SettingsError if there is no calendar of the name that is given."""
    if settings.calendar is not None:
        check_calendar(settings.calendar)


def watch_dates(
    settings: Settings,
    transactions: Transactions,
    epoch: int,
    stop: threading.Event,
    told: Callable[[int], None],
) -> Punctuality:
    """The follower of a job, with the secret of its webhook. told: see `Punctuality`."""
    return Punctuality(settings, transactions, epoch, stop, told, os.environ.get(WEBHOOK_SECRET, ""))


class Punctuality(Follower):
    """Looks every few seconds. told: gets the number of dates that are overdue; secret: of the webhook; now: the clock.

    Each transaction asks for the epoch, so that of two jobs the newer one tells.
    """

    def __init__(  # noqa: PLR0917 (what it works with, and whom it tells)
        self,
        settings: Settings,
        transactions: Transactions,
        epoch: int,
        stop: threading.Event,
        told: Callable[[int], None],
        secret: str,
        now: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        super().__init__("punctuality", stop, daemon=True)  # a slow receiver must not keep an ended job alive
        self._calendar = settings.calendar
        self._by = None if settings.expect_by is None else ExpectBy.of(settings.expect_by)
        self._transactions = transactions
        self._epoch = epoch
        self._told = told
        self._now = now
        self._webhook = Webhook(settings.webhook, secret) if settings.webhook else None
        self._waiting = Waiting(f"the webhook on {self._webhook.host}" if self._webhook else "the webhook")
        self._pause, self._next_try = _FIRST_PAUSE, 0.0

    def follow(self) -> None:
        """Until the stop event; raises what waiting does not mend."""
        while True:
            self.look()
            nothing_to_do = self._calendar is None and self._by is None
            if nothing_to_do:
                self._transactions.close()
            if self._stop_event.wait(None if nothing_to_do else LOOK_SECONDS):
                break

    def look(self) -> None:
        """One look: the calendar, the deadlines, and at most one try for each message that waits."""
        self._transactions.run(self._keep_sessions)
        if self._by is None:
            self._transactions.run(self._forget)
            return
        new, done = self._transactions.run(partial(self._judge, self._by))
        for date in new:
            log.warning("%s is not complete by %s: `stocketl dates --missing %s`", date, self._by.text, date)
        for date in done:
            log.info("the date %s is no longer overdue", date)
        self._told(self._transactions.run(overdue.open_dates))
        if self._webhook is not None and time.monotonic() >= self._next_try:
            self._tell(self._webhook)

    def _keep_sessions(self, cur: cursor) -> None:
        check_epoch(cur, self._epoch)
        keep_sessions(cur, self._calendar, self._now().date())

    def _forget(self, cur: cursor) -> None:
        check_epoch(cur, self._epoch)
        overdue.forget(cur)

    def _judge(self, by: ExpectBy, cur: cursor) -> tuple[list[dt.date], list[dt.date]]:
        check_epoch(cur, self._epoch)
        return overdue.judge(cur, by, self._now())

    def _tell(self, webhook: Webhook) -> None:
        for message in self._transactions.run(lambda cur: overdue.to_tell(cur, self._now())):
            try:
                webhook.post(message)
            except WebhookError as error:
                advice = "It is tried again and again; the job goes on meanwhile"
                self._waiting.failed(str(error), advice)
                self._next_try = time.monotonic() + self._pause
                self._pause = min(2 * self._pause, _LONGEST_PAUSE)
                return
            self._waiting.over()
            self._pause = _FIRST_PAUSE
            self._transactions.run(partial(overdue.note_told, message))
