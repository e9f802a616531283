"""`stocketl suspects`: cells and dates worth a look, from `stocketl.suspects`. Changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from psycopg2.extras import RealDictCursor
from rich.markup import escape
from rich.table import Table

from streaming.commands.explained import refuse_unless_kept
from streaming.home.database import reading
from streaming.screen import many, screen, shown

if TYPE_CHECKING:
    from streaming.screen import Facts
    from streaming.settings import Settings

NEWEST = 50
_SUSPECTS = "SELECT * FROM stocketl.suspects ORDER BY date DESC, id NULLS FIRST, kind LIMIT %s"
_KINDS = "SELECT kind, count(*)::integer AS count FROM stocketl.suspects GROUP BY kind ORDER BY kind"
_WHAT = {
    "jump": "a large move",
    "unit-slip": "a power of ten off",
    "split?": "a new level, like after a split",
    "spike": "back at the old level the next day",
    "swapped": "has the price of {swapped_with}",
    "stale": "the same since {level_date}",
    "repeated-date": "{prices} as on the date before",
    "future-date": "{prices} on a date to come",
}


def suspects(settings: Settings, *, every: bool) -> Facts:
    """The newest suspects or all, newest first, and how many there are of each kind. Raises DatabaseError."""
    with reading(settings) as connected:
        refuse_unless_kept(connected, "suspects")
        with connected.cursor(cursor_factory=RealDictCursor) as cur:
            cur.execute(_KINDS)
            kinds = {row["kind"]: row["count"] for row in cur.fetchall()}
            cur.execute(_SUSPECTS, (None if every else NEWEST,))
            return {"kinds": kinds, "suspects": [dict(row) for row in cur.fetchall()]}


def show(facts: Facts) -> None:
    """Prints them, one in a row."""
    console = screen()
    if not facts["suspects"]:
        console.print("nothing is suspect")
        return
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("date", no_wrap=True)
    table.add_column("ticker", overflow="fold")
    table.add_column("kind", no_wrap=True)
    for name in ("price", "beside", "ratio"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("why", overflow="fold")
    for row in facts["suspects"]:
        ticker = "all" if row["id"] is None else escape(shown(row["id"]))
        numbers = ("" if row[name] is None else f"{row[name]:.10g}" for name in ("price", "level"))
        ratio = "" if row["ratio"] is None else f"{row['ratio']:.4g}"
        why = escape(shown(_WHAT[row["kind"]].format(prices=many(row["cells"], "price"), **row)))
        table.add_row(str(row["date"]), ticker, row["kind"], *numbers, ratio, why)
    console.print(table)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts["kinds"].items())
    console.print(f"{many(sum(facts['kinds'].values()), 'suspect')}: {kinds}")
