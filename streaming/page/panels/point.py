"""A click on the chart: where the value of a date and ticker comes from, as `stocketl explain --json` tells it.

Each question has a process of its own: the files of the drops may be large, and what was read of them goes with it.
"""

from __future__ import annotations

import shlex
import threading
from multiprocessing import get_context
from typing import TYPE_CHECKING

from streaming.database.days import day_of
from streaming.errors import StockETLError
from streaming.page.reader import AwayError

if TYPE_CHECKING:
    import datetime as dt
    from multiprocessing.connection import Connection

    from streaming.screen import Facts
    from streaming.settings import Settings

_LONGEST = 60.0
_one_at_a_time = threading.Lock()


def explained(settings: Settings, day: dt.date, ticker: str) -> Facts | None:
    """Both prices, the return, what drops gave for each and in which line; None: no such ticker. Raises AwayError."""
    context = get_context("spawn")
    here, there = context.Pipe(duplex=False)
    with _one_at_a_time, here:
        process = context.Process(target=_explain, args=(there, settings, day, ticker), daemon=True)
        process.start()
        there.close()
        try:
            told: Facts | str | None = here.recv() if here.poll(_LONGEST) else f"it takes longer than {_LONGEST:.0f} s"
        except EOFError:
            told = "it ended without an answer"
        finally:
            process.kill()
            process.join()
    if isinstance(told, str):
        msg = f"this value could not be explained: {told}. In a terminal: stocketl explain {day} {shlex.quote(ticker)}"
        raise AwayError(msg)
    return told


def _explain(answer: Connection, settings: Settings, day: dt.date, ticker: str) -> None:
    from streaming.explain.cell import explain, facts_of  # noqa: PLC0415 (only here: it brings pyarrow)
    from streaming.frames.names import UnknownTickerError  # noqa: PLC0415

    try:
        answer.send(facts_of(explain(settings, day_of(day), ticker)))
    except UnknownTickerError:
        answer.send(None)
    except StockETLError as error:
        answer.send(str(error))
