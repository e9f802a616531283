"""`stocketl receipts [KEY]`: what became of a drop, from the ledger and its outbox of receipts. Changes nothing."""

from __future__ import annotations

import difflib
import json
from typing import TYPE_CHECKING

from psycopg2.extras import RealDictCursor
from rich.markup import escape
from rich.table import Table

from streaming.commands.advice import advice
from streaming.commands.status import last_drops, moved_to
from streaming.commands.status_screen import cells_told, drops_table, named_lines
from streaming.errors import StockETLError
from streaming.home.database import reading
from streaming.ledger.fates import FATE
from streaming.ledger.profiles import recorded_profiles
from streaming.screen import many, moment, screen, shown
from streaming.storage.entries import key_of
from streaming.ticks.told import said

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from streaming.screen import Facts
    from streaming.settings import Settings

LAST = 50

_OF_KEY = f"""
    SELECT d.*, {FATE}, r.body, r.written_at, r.moved_to, r.moved_at, b.cells AS batch_cells
    FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq)
    LEFT JOIN stocketl.batches b USING (checkpoint_id, batch_id) WHERE d.key = %s ORDER BY d.seq
"""  # noqa: S608 (constants)
_SAME_CONTENT = """
    SELECT seq, content, rows_loaded FROM stocketl.drops
    WHERE status = 'loaded' AND content = ANY(%s) ORDER BY seq
"""
_FROM_BODY = ("ignored", "reasons", "rejects", "unreadable_volumes", "first_conflicts")


class UnknownKeyError(StockETLError):
    """No drop ever had this key."""


def last(settings: Settings) -> list[Facts]:
    """The newest drops, newest first. Raises DatabaseError."""
    with reading(settings) as connected:
        return last_drops(connected, settings, LAST)


def show_last(drops: list[Facts]) -> None:
    """Prints them as a table."""
    console = screen()
    console.print(drops_table(drops) if drops else "no drop has been loaded yet")


def of_key(settings: Settings, key: str) -> list[Facts]:
    """Every drop of this key, oldest first: its row of the ledger, ignored columns, reasons, first rejects.

    A name that is not UTF-8 is taken as the key that it has in the ledger. Raises DatabaseError, and UnknownKeyError,
    which names similar keys.
    """
    if any(
        "\udc80" <= character <= "\udcff" for character in key
    ):  # how Python hands on such bytes of the command line
        key = key_of(key)
    with reading(settings) as connected:
        drops = _drops(connected, settings, key)
        if not drops:
            raise UnknownKeyError(_unknown(connected, key))
    return drops


def show_drops(drops: list[Facts]) -> None:
    """Prints one block for each drop."""
    console = screen()
    for drop in drops:
        console.print(named_lines(_lines(drop)))
        if drop["first_conflicts"]:
            console.print(_conflicts_table(drop))
        if drop["rejects"]:
            console.print(_rejects_table(drop["rejects"]))
            for told in dict.fromkeys(reject["expected"] for reject in drop["rejects"] if reject.get("expected")):
                console.print(f"  {escape(told)}", soft_wrap=True)
        console.print()


def _lines(drop: Facts) -> list[tuple[str, str]]:
    lines: list[tuple[str, str]] = [
        ("drop", f"{drop['seq']}: {drop['key']}"),
        ("fate", f"{drop['fate']}: {drop['reason']}" if drop["reason"] else drop["fate"]),
    ]
    if drop["same_as"] is not None:
        nothing = ", nothing changed" if _changed_nothing(drop) else ""
        lines.append(("content", f"same content as drop {drop['same_as']}{nothing}"))
    if drop["advice"]:
        lines.append(("what to do", drop["advice"]))
    lines += [
        ("file", f"{drop['size']:,} bytes, modified {moment(drop['last_modified'])}"),
        ("rows", _rows_line(drop)),
        *_cells_lines(drop),
    ]
    if drop["first_date"]:
        lines.append(("dates", f"{drop['first_date']} to {drop['last_date']}"))
    if drop["ignored"]:
        lines.append(("ignored columns", ", ".join(drop["ignored"])))
    if drop["reasons"]:
        lines.append(("rejected for", ", ".join(f"{reason}: {count:,}" for reason, count in drop["reasons"].items())))
    lines += _told_of_rows(drop)
    if drop["ended_at"]:
        ended = "loaded" if drop["fate"] == "success" else "failed"
        lines.append((ended, f"{moment(drop['ended_at'])} in batch {drop['batch_id']}"))
    lines.append(("receipt", f"written {moment(drop['written_at'])}" if drop["written_at"] else "not yet"))
    if drop["moved_at"] and drop["moved_to"]:
        lines.append(("moved to", drop["moved_to"]))
    return lines


def _told_of_rows(drop: Facts) -> list[tuple[str, str]]:
    """What is said beside the counts of every drop."""
    lines: list[tuple[str, str]] = []
    if drop.get("rows_passed_over"):
        lines.append(("passed over", f"{many(drop['rows_passed_over'], 'row')} that the profile does not want"))
    if drop.get("volume_unreadable"):
        first = ", ".join(str(note["line"]) for note in drop["unreadable_volumes"][:5])
        told = f"{many(drop['volume_unreadable'], 'volume')} that cannot be read, kept as unknown: line {first}"
        lines.append(("volumes", f"{told} …" if drop["volume_unreadable"] > 5 else told))
    if drop.get("profile"):
        lines.append(("read by", f"profile {drop['profile']}"))
    return lines


def _rows_line(drop: Facts) -> str:
    fates = " + ".join(f"{drop[f'rows_{name}']:,} {name}" for name in ("loaded", "duplicate", "rejected"))
    return f"{drop['rows_read']:,} read = {fates}"


def _cells_lines(drop: Facts) -> list[tuple[str, str]]:
    if "cells_new" not in drop or not drop["rows_loaded"]:
        return []
    if drop["cells_new"] is None:
        return [("cells", "not known: the drop is older than these counts, see `stocketl fill`")]
    nothing = ": nothing changed" if _changed_nothing(drop) and drop["same_as"] is None else ""
    tickers = f", {many(drop['tickers_new'], 'new ticker')}" if drop["tickers_new"] else ""
    return [("cells", f"{cells_told(drop)}{tickers}{nothing}")]


def _changed_nothing(drop: Facts) -> bool:
    """Whether all of its cells were there already; of a drop older than these counts, whether its batch wrote none."""
    if drop.get("cells_new") is None:
        return bool(drop["batch_cells"] == 0)
    changed: int = drop["cells_new"] + drop["cells_changed"]
    return changed == 0


def _conflicts_table(drop: Facts) -> Table:
    count = many(drop["conflicts"], "row")
    verb = "differs" if drop["conflicts"] == 1 else "differ"
    title = f"{count} that {verb} from a later one of the same date and ticker, which counts; the first of them:"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), header_style="bold")
    for name in ("lines", "date", "ticker", "earlier", "later"):
        table.add_column(name, overflow="fold")
    for note in drop["first_conflicts"]:
        lines = " and ".join(map(str, note["lines"]))
        table.add_row(lines, note["date"], escape(shown(note["id"])), said(note, 0), said(note, 1))
    return table


def _rejects_table(rejects: list[Facts]) -> Table:
    table = Table(title="first rejected rows", title_justify="left", box=None, padding=(0, 1), header_style="bold")
    table.add_column("line", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("text", overflow="fold", ratio=1)
    for reject in rejects:
        table.add_row(str(reject["line"]), reject["reason"], escape(shown(reject["text"])))
    return table


def _drops(connected: connection, settings: Settings, key: str) -> list[Facts]:
    with connected.cursor(cursor_factory=RealDictCursor) as cur:
        cur.execute(_OF_KEY, (key,))
        drops = [dict(row) for row in cur.fetchall()]
    for drop in drops:
        body = drop.pop("body") or {}
        drop |= {name: body.get(name) or ({} if name == "reasons" else []) for name in _FROM_BODY}
        drop["ended_at"] = drop.pop("loaded_at")
        del drop["status"]
        drop["moved_to"] = moved_to(drop, settings)
        drop["same_as"] = None
        drop["advice"] = advice(drop["reason"]) if drop["reason"] else None
    _name_profiles(connected, drops)
    _find_same(connected, drops)
    return drops


def _name_profiles(connected: connection, drops: list[Facts]) -> None:
    """Notes in `profile` the name of the profile that read a drop, None if none did."""
    with connected.cursor() as cur:
        profiles = recorded_profiles(cur)
    for drop in drops:
        found = profiles.get(drop.get("reading", ""))
        drop["profile"] = None if found is None else json.loads(found)["name"]


def _find_same(connected: connection, drops: list[Facts]) -> None:
    """Notes in `same_as` the newest earlier drop that gave the same ticks, whatever its name."""
    wanted = [drop["content"] for drop in drops if drop.get("content") and drop["rows_loaded"]]
    if not wanted:  # or the ledger is of an older version, which does not know the content
        return
    with connected.cursor() as cur:
        cur.execute(_SAME_CONTENT, (wanted,))
        known = cur.fetchall()
    for drop in drops:
        same = (drop.get("content"), drop["rows_loaded"])
        if drop["fate"] == "success" and drop["rows_loaded"]:
            before = [seq for seq, *content in known if seq < drop["seq"] and tuple(content) == same]
            drop["same_as"] = before[-1] if before else None


def _unknown(connected: connection, key: str) -> str:
    with connected.cursor() as cur:
        cur.execute("SELECT DISTINCT key FROM stocketl.drops")
        keys = [str(known) for (known,) in cur.fetchall()]
    near = difflib.get_close_matches(key, keys, 3, 0.5) or [known for known in keys if known.endswith("/" + key)][:3]
    hint = (
        f"did you mean {' or '.join(shown(name) for name in near)}?"
        if near
        else "`stocketl receipts` lists the last ones."
    )
    return f"no drop has the key {key!r}; {hint} A file that still waits in the input has no receipt."
