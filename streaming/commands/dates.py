"""`stocketl dates`: what each date has and what is missing, from `stocketl.dates`. Changes nothing."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

from psycopg2.extras import RealDictCursor
from rich.markup import escape
from rich.table import Table

from streaming.commands.explained import refuse_unless_kept
from streaming.errors import StockETLError
from streaming.home.database import reading
from streaming.screen import many, moment, screen, shown

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from streaming.screen import Facts
    from streaming.settings import Settings

NEWEST = 10
_COLORS = {"complete": "green", "short": "yellow", "partial": "red", "no-data": "red", "no-session": "yellow"}
_NUMBERS = ("tickers", "expected", "missing", "drops", "late_cells", "restated_cells")
_DATES = """
    WITH dates AS (
        SELECT d.*, row_number() OVER (ORDER BY d.date DESC) AS back,
               o.date IS NOT NULL AND o.done_at IS NULL AS overdue
          FROM stocketl.dates d LEFT JOIN stocketl.overdue_dates o USING (date)
    )
    SELECT * FROM dates WHERE back <= %s OR state <> 'complete' OR %s ORDER BY date
"""


def dates(settings: Settings, *, every: bool) -> Facts:
    """All dates that are not complete, and the newest ones; or every date. Raises DatabaseError."""
    with reading(settings) as connected:
        refuse_unless_kept(connected, "dates")
        with connected.cursor(cursor_factory=RealDictCursor) as cur:
            cur.execute(_DATES, (NEWEST, every))
            rows = [{name: value for name, value in row.items() if name != "back"} for row in cur.fetchall()]
            cur.execute("SELECT state, count(*)::integer AS count FROM stocketl.dates GROUP BY state ORDER BY state")
            states = {row["state"]: row["count"] for row in cur.fetchall()}
    return {"states": states, "dates": rows}


def missing(settings: Settings, date: str) -> Facts:
    """The tickers that were expected on a date and have no price; state: None if no price was expected on it at all.

    Raises DatabaseError.
    """
    try:
        day = dt.date.fromisoformat(date)
    except ValueError:
        msg = f"--missing: expected a date such as 2024-03-04, got {date!r}"
        raise StockETLError(msg) from None
    with reading(settings) as connected:
        refuse_unless_kept(connected, "dates")
        state = _state(connected, day)
        return {"date": day, "state": state, "missing": [] if state is None else _missing(connected, day)}


def show(facts: Facts) -> None:
    """Prints the dates, and how many there are of each state."""
    console = screen()
    if not facts["dates"]:
        console.print("no date has a price yet")
        return
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("date", no_wrap=True)
    table.add_column("state", no_wrap=True)
    for name in _NUMBERS:
        table.add_column(name.removesuffix("_cells"), justify="right", no_wrap=True)
    table.add_column("first load", overflow="fold")
    table.add_column("last load", overflow="fold")
    for row in facts["dates"]:
        state = f"[{_COLORS[row['state']]}]{row['state']}[/]" + (" overdue" if row["overdue"] else "")
        numbers = ("?" if row[name] is None else f"{row[name]:,}" for name in _NUMBERS)
        loads = ("" if row[name] is None else moment(row[name]) for name in ("first_load", "last_load"))
        table.add_row(str(row["date"]), state, *numbers, *loads)
    console.print(table)
    states = ", ".join(f"{count:,} {state}" for state, count in facts["states"].items())
    console.print(f"{many(sum(facts['states'].values()), 'date')}: {states}")


def show_missing(facts: Facts) -> None:
    """Prints one ticker a line."""
    console = screen()
    for ticker in facts["missing"]:
        console.print(escape(shown(ticker)))
    if facts["state"] in {None, "no-session"}:
        console.print(f"{facts['date']} is no session: no price is expected on it")
    elif not facts["missing"]:
        console.print(f"no ticker that was expected on {facts['date']} is missing")


def _state(connected: connection, day: dt.date) -> str | None:
    with connected.cursor() as cur:
        cur.execute("SELECT state FROM stocketl.dates WHERE date = %s", (day,))
        return next((state for (state,) in cur.fetchall()), None)


def _missing(connected: connection, day: dt.date) -> list[str]:
    with connected.cursor() as cur:
        cur.execute("SELECT stocketl.missing(%s)", (day,))
        return [ticker for (ticker,) in cur.fetchall()]
