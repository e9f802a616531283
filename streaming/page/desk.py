"""What the page knows and tells: it answers each question once, however many pages ask it, and pushes what is new."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import threading
from typing import TYPE_CHECKING, TypeVar

from streaming.page.feed import Feed, Listener
from streaming.page.panels.completeness import CountedDates
from streaming.page.panels.drops import dates_of_batches, drops_of_batches
from streaming.page.panels.point import explained
from streaming.page.panels.strip import Ledger, strip
from streaming.page.reader import AwayError
from streaming.page.watch import Home, HomeWatch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Hashable

    from psycopg2.extensions import cursor

    from streaming.page.feed import Event
    from streaming.page.reader import Reader
    from streaming.screen import Facts
    from streaming.settings import Settings

T = TypeVar("T")

STILL_SECONDS = 15.0
_ANSWERS = 128


def text_of(facts: object) -> str:
    """JSON for a browser: moments in UTC, no NaN."""
    return json.dumps(facts, default=_iso, allow_nan=False, separators=(",", ":"))


class Desk:
    """One for the server. `begin` and `answer` are for the loop of the server, the rest is for threads."""

    def __init__(self, settings: Settings, reader: Reader) -> None:
        self.settings = settings
        self._reader = reader
        self.feed = Feed()
        self.completeness = CountedDates()
        self._ledger = Ledger(settings)
        self._ledger_facts: Facts | None = None
        self._refreshing = threading.Lock()
        self._said: str | None = "not connected yet"
        self._version = 0
        self._answers: dict[Hashable, tuple[int, asyncio.Future[str]]] = {}
        self._watch = HomeWatch(Home(settings), self._home_changed, lambda: self.feed.watched, self._must_ask)
        self._listener = Listener(reader, self._heard, self._away)

    def begin(self) -> None:
        """Starts the threads."""
        self.feed.begin()
        self._listener.start()
        self._watch.start()

    def end(self) -> None:
        """Asks the threads to end."""
        self._listener.end()
        self._watch.end()

    async def events(self) -> AsyncIterator[Event]:
        """What one page gets: first all that the strip shows, then what is new."""
        await asyncio.to_thread(self._catch_up)
        first = ("hello", text_of({"away": self._said, "strip": self._strip()}))
        async for event in self.feed.events(first, STILL_SECONDS):
            yield event

    async def answer(self, key: Hashable, work: Callable[[cursor], Facts | list[Facts] | None]) -> str:
        """The JSON of what `work` reads. Until the next batch the same key has the same answer. Raises AwayError."""
        return await self._once(key, lambda: self._reader.run(work))

    async def explained(self, day: dt.date, ticker: str) -> str:
        """The JSON of where a value comes from. Raises AwayError."""
        return await self._once(("explained", day, ticker), lambda: explained(self.settings, day, ticker))

    async def _once(self, key: Hashable, ask: Callable[[], object]) -> str:
        known = self._answers.get(key)
        if known is None or known[0] != self._version:
            while len(self._answers) >= _ANSWERS:
                del self._answers[next(iter(self._answers))]
            task = asyncio.ensure_future(asyncio.to_thread(lambda: text_of(ask())))
            known = (self._version, task)
            self._answers[key] = known
        try:
            return await asyncio.shield(known[1])
        except AwayError:
            if self._answers.get(key) is known:
                del self._answers[key]
            raise

    def _heard(self, batch_ids: list[int]) -> None:
        """A batch can be seen in the tables."""
        if self.feed.watched:
            self._watch.look_again(fresh=True)
        try:
            with self._refreshing:
                found = self._reader.run(lambda cur: self._of_batches(cur, batch_ids))
        except AwayError as error:
            self._away(str(error))
            return
        drops, dates = found
        if dates["first"] is not None:
            self.completeness.touched(dates["first"], dates["last"], new=dates["new"])
        self._version += 1
        self.feed.publish("batch", text_of({"drops": drops, "dates": dates, "strip": self._strip()}))
        if self._said is not None:  # the first batch of a new database
            self._away(None)

    def _of_batches(self, cur: cursor, batch_ids: list[int]) -> tuple[list[Facts], Facts]:
        self._ledger_facts = self._ledger.facts(cur, self._watch.seen["versions"])
        return drops_of_batches(cur, batch_ids), dates_of_batches(cur, batch_ids)

    def _away(self, said: str | None) -> None:
        """The database is away, and why; or it is back, and batches may have been missed."""
        before, self._said = self._said, said
        if said is None:
            self._version += 1
            self.completeness.touched(dt.date.min, dt.date.max)
            try:
                self._refresh()
            except AwayError as error:
                self._said = str(error)
                return
        if said != before:
            self.feed.publish("database", text_of({"away": said, "strip": self._strip()}))

    def _home_changed(self) -> None:
        """Also while the database could be heard but not read: then it is asked again."""
        if self._listener.connected:
            try:
                self._refresh()
            except AwayError as error:
                self._away(str(error))
                return
            if self._said is not None:
                self._away(None)
                return
        self.feed.publish("strip", text_of(self._strip()))

    def _catch_up(self) -> None:
        """While no page was open, nobody looked at the home."""
        if not self.feed.watched:
            self._watch.look_again()
        if self._said is None:
            try:
                self._refresh()
            except AwayError as error:
                self._away(str(error))

    def _refresh(self) -> None:
        with self._refreshing:
            versions = self._watch.seen["versions"]
            self._ledger_facts = self._reader.run(lambda cur: self._ledger.facts(cur, versions))

    def _strip(self) -> Facts | None:
        return None if self._ledger_facts is None else strip(self.settings, self._ledger_facts, self._watch.seen)

    def _must_ask(self) -> bool:
        if self._said is not None:
            return self._listener.connected
        job = self._watch.seen["job"]
        return not self.settings.embedded and (job is None or not job.alive)


def _iso(value: object) -> str:
    if isinstance(value, dt.datetime):
        return value.astimezone(dt.UTC).isoformat(timespec="milliseconds")
    return str(value)
