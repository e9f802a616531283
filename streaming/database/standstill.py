"""If a transaction stands still in the server, that is told too: nothing fails, so nothing else would tell it.

If a synchronous standby is gone, COMMIT waits for ever. A server or pooler may stop answering without closing the
connection. So while a transaction is under way, a second connection looks at it now and then.
"""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING

import psycopg2

from streaming.database.connect import connect
from streaming.database.sqlstates import state_of, told
from streaming.errors import StockETLError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from streaming.waiting import Waiting

LOOK_SECONDS = 30.0


@contextlib.contextmanager
def watched(uri: str, pid: int, waiting: Waiting) -> Iterator[None]:
    """While the session `pid` stands still, tells it to `waiting`. The caller says when it is over."""
    over, telling = threading.Event(), threading.Lock()

    def look() -> None:
        while not over.wait(LOOK_SECONDS):
            found = _standing_still(uri, pid)
            with telling:
                if found is not None and not over.is_set():
                    waiting.failed(*found)

    threading.Thread(target=look, name="standstill", daemon=True).start()
    try:
        yield
    finally:
        with telling:
            over.set()


def _standing_still(uri: str, pid: int) -> tuple[str, str] | None:
    """Why the session makes no progress, and what to do. None if it makes some, or if nobody can tell."""
    try:
        with contextlib.closing(connect(uri, read_only=True)) as opened, opened.cursor() as cur:
            cur.execute("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", (pid,))
            if cur.fetchall() == [("SyncRep",)]:
                return (
                    "COMMIT waits for a synchronous standby [SyncRep]",
                    "Bring the standby back, or take it out of synchronous_standby_names and reload.",
                )
    except psycopg2.Error as error:
        return None if state_of(error) else told(error)
    except StockETLError:
        return None
    return None
