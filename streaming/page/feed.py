"""What is pushed to the open pages, and the one connection that hears of each batch (`LISTEN stocketl`).

However many pages are open, one thread listens and each fact is asked for once. Nothing is asked while nothing happens.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import threading
from typing import TYPE_CHECKING

import psycopg2

from streaming.masking import first_line
from streaming.page.reader import AwayError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from psycopg2.extensions import connection

    from streaming.page.reader import Reader

_QUEUE = 200  # a page that is this far behind is asked to load everything again
_FIRST_PAUSE, _LONGEST_PAUSE = 0.25, 3.0
_LOOK_SECONDS = 1.0  # how soon the thread sees that it shall end

Event = tuple[str, str]
"""Its name and its data, as JSON."""


_END: Event = ("end", "")


class Feed:
    """Hands events to the open pages. `publish` is for any thread, the rest for that of the loop."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pages: set[asyncio.Queue[Event]] = set()

    def begin(self) -> None:
        """From now on this loop serves the pages."""
        self._loop = asyncio.get_running_loop()

    @property
    def watched(self) -> bool:
        """Whether any page is open."""
        return bool(self._pages)

    def publish(self, name: str, data: str) -> None:
        """To every open page."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
                self._loop.call_soon_threadsafe(self._hand_out, (name, data))

    def end(self) -> None:
        """Ends what each open page hears: the server ends, and would wait for them."""
        self.publish(*_END)

    async def events(self, first: Event, every: float) -> AsyncIterator[Event]:
        """`first`, then what is published; every: after so many seconds without an event, a `still` one."""
        page: asyncio.Queue[Event] = asyncio.Queue(_QUEUE)
        self._pages.add(page)
        try:
            yield first
            while True:
                try:
                    event = await asyncio.wait_for(page.get(), every)
                except TimeoutError:
                    event = ("still", "{}")
                if event == _END:
                    return
                yield event
        finally:
            self._pages.discard(page)

    def _hand_out(self, event: Event) -> None:
        for page in self._pages:
            if page.full():
                while not page.empty():
                    page.get_nowait()
                page.put_nowait(("reload", "{}"))
            else:
                page.put_nowait(event)


class Listener(threading.Thread):
    """Hears each batch. heard: gets the numbers of the batches; away: gets why the database cannot be heard, or None.

    Delivery: a batch that was committed while the connection was broken is not told, so after `away(None)` everything
    must be read again.
    """

    def __init__(self, reader: Reader, heard: Callable[[list[int]], None], away: Callable[[str | None], None]) -> None:
        super().__init__(name="listener", daemon=True)
        self._reader = reader
        self._heard = heard
        self._away = away
        self._ended = threading.Event()
        self.connected = False

    def run(self) -> None:
        """Listens until `end`; a connection that breaks is opened again."""
        pause = _FIRST_PAUSE
        while not self._ended.is_set():
            try:
                with contextlib.closing(self._reader.open(writer=True)) as opened:
                    with opened.cursor() as cur:
                        cur.execute("LISTEN stocketl")
                    self.connected = True
                    self._away(None)
                    pause = _FIRST_PAUSE
                    self._listen(opened)
            except (psycopg2.Error, AwayError) as error:
                self.connected = False
                self._away(first_line(error))
                self._ended.wait(pause)
                pause = min(pause * 2, _LONGEST_PAUSE)

    def end(self) -> None:
        """Asks the thread to end."""
        self._ended.set()

    def _listen(self, opened: connection) -> None:
        while not self._ended.is_set():
            if select.select([opened], [], [], _LOOK_SECONDS)[0]:
                opened.poll()
                numbers = [int(told.payload) for told in opened.notifies if told.payload.isdecimal()]
                opened.notifies.clear()
                if numbers:
                    self._heard(numbers)
