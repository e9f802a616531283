"""What would become of a file, as a person reads it; on narrow terminals too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from streaming.commands.advice import advice
from streaming.commands.status_screen import named_lines
from streaming.screen import many, screen, shown
from streaming.ticks.told import CONFLICT, UNREADABLE_VOLUME, said

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.explain.plan import Plan, PlannedCell, PlannedSuspect
    from streaming.packets import Note

ROWS = 10
WIDE = 90
"""Columns from which on volumes are shown, too."""


def show(found: Plan) -> bool:
    """Prints it; True if the file would be loaded."""
    console = screen()
    console.print(named_lines(_lines(found)))
    narrow = console.width < WIDE
    for title, table in (
        ("the first cells that would change", _cells([c for c in found.first if c.kind == "changed"], narrow=narrow)),
        ("the first new cells", _cells([c for c in found.first if c.kind == "new"], narrow=narrow)),
        ("the largest moves that would be written", _cells(found.moves, narrow=narrow)),
        ("the first suspects that would open", _suspects(found.suspects)),
        ("the first suspects that would close", _suspects(found.settled)),
        ("the first rejected rows", _rejects(found)),
        ("the first rows that a later one of their date and ticker replaces", _replaced(found)),
        ("the first of these that say something else", _conflicts(_of_kind(found, CONFLICT))),
    ):
        if table is not None:
            console.print(f"[bold]{title}[/]", soft_wrap=True)
            console.print(table)
    return found.parsed.failure is None


def _lines(found: Plan) -> list[tuple[str, str]]:
    parsed, counts = found.parsed, found.counts
    fate = "would be loaded" if parsed.failure is None else f"would fail: {parsed.failure}"
    lines = [("file", f"{found.file}, dropped as {found.key}"), ("fate", fate)]
    if parsed.failure is not None:
        lines.append(("what to do", advice(parsed.failure)))
    lines.append(("read by", "the built-in rules" if found.profile is None else f"profile {found.profile}"))
    fates = " + ".join(f"{getattr(parsed, f'rows_{name}'):,} {name}" for name in ("loaded", "duplicate", "rejected"))
    lines.append(("rows", f"{parsed.rows_read:,} read = {fates}"))
    lines += _told_of_rows(found)
    if parsed.failure is not None:
        return lines
    told = (f"{counts[f'cells_{name}']:,} {name}" for name in ("new", "changed", "same"))
    nothing = "" if len(found.foreseen.changes) else ": nothing would change"
    lines.append(("cells", ", ".join(told) + nothing))
    lines.append(("returns", f"{counts['returns_rewritten']:,} would be rewritten"))
    if any(found.doubts):
        raised, settled = found.doubts
        lines.append(("suspects", f"{raised:,} would open, {settled:,} would close"))
    if found.parsed.first_date is not None:
        lines.append(("dates", f"{found.parsed.first_date} to {found.parsed.last_date}"))
    if found.tickers_new:
        first = ", ".join(found.tickers_new[:ROWS]) + (" …" if len(found.tickers_new) > ROWS else "")
        lines.append(("new tickers", f"{len(found.tickers_new):,}: {first}"))
    lines += [("look at", f"{one} is new and differs from {other} only in case") for one, other in found.alike[:ROWS]]
    if found.tables_new:
        lines.append(("new tables", ", ".join(found.tables_new)))
    return lines


def _told_of_rows(found: Plan) -> list[tuple[str, str]]:
    parsed = found.parsed
    lines: list[tuple[str, str]] = []
    if parsed.reasons:
        lines.append(("rejected for", ", ".join(f"{reason}: {count:,}" for reason, count in parsed.reasons.items())))
    if parsed.rows_passed_over:
        lines.append(("passed over", f"{many(parsed.rows_passed_over, 'row')} that the profile does not want"))
    if parsed.volume_unreadable:
        first = ", ".join(str(note["line"]) for note in _of_kind(found, UNREADABLE_VOLUME)[:5])
        lines.append(("volumes", f"{many(parsed.volume_unreadable, 'volume')} that cannot be read: line {first}"))
    if parsed.ignored:
        lines.append(("ignored columns", ", ".join(parsed.ignored)))
    return lines


def _of_kind(found: Plan, kind: str) -> list[Note]:
    return [note for note in found.parsed.notes if note["kind"] == kind]


def _table(*columns: str) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    numbers = {"line", "price", "beside", "price now", "price then", "return then", "volume now", "volume then"}
    for name in columns:
        table.add_column(name, justify="right" if name in numbers else "left", overflow="fold")
    return table


def _cells(cells: Sequence[PlannedCell], *, narrow: bool) -> Table | None:
    if not cells:
        return None
    names = ["date", "ticker", "line", "price now", "price then", "return then", "volume now", "volume then"]
    table = _table(*(names[:-2] if narrow else names))
    for cell in cells[:ROWS]:
        values = (
            cell.date,
            escape(shown(cell.ticker)),
            "" if cell.line is None else str(cell.line),
            "" if cell.old_price is None else f"{cell.old_price:.12g}",
            f"{cell.price:.12g}",
            "" if cell.change is None else f"{cell.change:.6f}",
            "" if cell.old_volume is None else f"{cell.old_volume:,}",
            "" if cell.volume is None else f"{cell.volume:,}",
        )
        table.add_row(*(values[:-2] if narrow else values))
    return table


def _suspects(suspects: Sequence[PlannedSuspect]) -> Table | None:
    if not suspects:
        return None
    table = _table("date", "ticker", "line", "kind", "price", "beside")
    for one in suspects[:ROWS]:
        line = "" if one.line is None else str(one.line)
        ticker = f"{one.cells:,} prices" if one.ticker is None else escape(shown(one.ticker))
        numbers = ("" if value is None else f"{value:.12g}" for value in (one.price, one.beside))
        table.add_row(one.date, ticker, line, one.kind, *numbers)
    return table


def _rejects(found: Plan) -> Table | None:
    rejects = found.parsed.rejects
    if not len(rejects):
        return None
    table = _table("line", "reason", "text")
    for row in range(min(ROWS, len(rejects))):
        table.add_row(str(rejects.line[row]), rejects.reason[row], escape(shown(rejects.text[row])))
    return table


def _replaced(found: Plan) -> Table | None:
    if not found.replaced:
        return None
    table = _table("line", "date", "ticker", "price")
    for line, date, ticker, price in found.replaced[:ROWS]:
        table.add_row(str(line), date, escape(shown(ticker)), f"{price:.12g}")
    return table


def _conflicts(notes: Sequence[Note]) -> Table | None:
    if not notes:
        return None
    table = _table("lines", "date", "ticker", "earlier", "later")
    for note in notes[:ROWS]:
        lines = " and ".join(map(str, note["lines"]))
        table.add_row(lines, note["date"], escape(shown(note["id"])), said(note, 0), said(note, 1))
    return table
