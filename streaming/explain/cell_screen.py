"""Where a value comes from, as a person reads it; on narrow terminals too."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.table import Table

from streaming.commands.status_screen import named_lines
from streaming.explain.given import counting
from streaming.packets import UNKNOWN_VOLUME
from streaming.screen import many, moment, screen, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.explain.cell import ExplainedCell
    from streaming.explain.given import GivenValue

REJECTS = 20
WIDE = 90
"""Columns from which on values stand in a table."""


def show(found: ExplainedCell) -> bool:
    """Prints it; True if the tables hold a price."""
    console, now = screen(), found.now
    console.print(f"[bold]{escape(shown(now.ticker))} on {now.date}[/]", soft_wrap=True)
    console.print(named_lines(_lines(found)))
    for date, values in ((now.date, found.given), (now.before_date, found.given_before)):
        if values:
            console.print(f"[bold]given for {date}[/], the last one counts", soft_wrap=True)
            console.print(_given(found, values) if console.width >= WIDE else named_lines(_given_lines(found, values)))
    for seq, why in found.gone.items():
        told = f"drop {seq} ({found.drops[seq].key}): {why}"
        console.print(f"[yellow]line not known:[/] {escape(shown(told))}", soft_wrap=True)
    if found.rejects:
        console.print(_title_of_rejects(len(found.rejects)), soft_wrap=True)
        console.print(_rejects(found))
    for note in found.notes:
        console.print(f"[yellow]look at this:[/] {escape(shown(note))}", soft_wrap=True)
    return now.price is not None


def _lines(found: ExplainedCell) -> list[tuple[str, str]]:
    now = found.now
    if now.price is None:
        nearest = f"before it {now.before_date or 'none'}, after it {now.next_date or 'none'}"
        return [("price", "there is none"), ("nearest", nearest)]
    price, volume = counting(found.given)
    before, _ = counting(found.given_before)
    lines = [("price", f"{now.price!r}{_from(found, found.given, price)}")]
    if now.volume is None:
        lines.append(("volume", "not known"))
    else:
        lines.append(("volume", f"{now.volume:,}{_from(found, found.given, volume)}"))
    if now.before_price is None:
        lines.append(("return", "there is none: this is the ticker's first date"))
    else:
        lines.append(("return", f"{now.change!r} = {now.price!r} / {now.before_price!r} - 1"))
        lines.append(
            ("  before", f"{now.before_price!r} on {now.before_date}{_from(found, found.given_before, before)}")
        )
    if price is not None and (drop := found.drops.get(found.given[price].seq)) is not None:
        lines.insert(1, ("  file", drop.place))
    if now.next_date is not None:
        lines.append(("  after", f"the return of {now.next_date} is made from this price, too"))
    return lines


def _from(found: ExplainedCell, values: Sequence[GivenValue], place: int | None) -> str:
    """`, from drop 3, a.csv line 12, loaded …`."""
    if place is None:
        return ""
    value = values[place]
    return f", from drop {value.seq}, {_where(found, value)}"


def _where(found: ExplainedCell, value: GivenValue) -> str:
    drop = found.drops.get(value.seq)
    line = "" if value.line is None else f" line {value.line}"
    return f"{drop.key if drop else 'a file'}{line}, loaded {_loaded(found, value)}"


def _loaded(found: ExplainedCell, value: GivenValue) -> str:
    drop = found.drops.get(value.seq)
    return moment(drop.committed_at) if drop and isinstance(drop.committed_at, datetime) else "at a time unknown"


def _counts(values: Sequence[GivenValue]) -> list[str]:
    """What counts of each value."""
    price, volume = counting(values)
    named = [
        " and ".join(name for name, one in (("price", price), ("volume", volume)) if one == place)
        for place in range(len(values))
    ]
    return [name or "replaced" for name in named]


def _given_lines(found: ExplainedCell, values: Sequence[GivenValue]) -> list[tuple[str, str]]:
    lines = []
    for value, counts in zip(values, _counts(values), strict=True):
        volume = "" if value.volume == UNKNOWN_VOLUME else f", volume {value.volume:,}"
        lines.append((f"drop {value.seq}", f"{value.price!r}{volume}: {counts}; {_where(found, value)}"))
    return lines


def _given(found: ExplainedCell, values: Sequence[GivenValue]) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    for name in ("drop", "line", "price", "volume"):
        table.add_column(name, justify="right", overflow="fold")
    table.add_column("counts", no_wrap=True)
    table.add_column("loaded", no_wrap=True)
    table.add_column("file", overflow="fold")
    for value, counts in zip(values, _counts(values), strict=True):
        drop = found.drops.get(value.seq)
        table.add_row(
            str(value.seq),
            "?" if value.line is None else str(value.line),
            repr(value.price),
            "" if value.volume == UNKNOWN_VOLUME else f"{value.volume:,}",
            counts,
            _loaded(found, value),
            escape(shown(drop.key if drop else "")),
        )
    return table


def _title_of_rejects(count: int) -> str:
    more = ", the first of them" if count > REJECTS else ""
    return f"[bold]{many(count, 'rejected row')}[/] that may have been meant for it{more}"


def _rejects(found: ExplainedCell) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    for name in ("drop", "line"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold")
    table.add_column("text", overflow="fold", ratio=1)
    for one in found.rejects[:REJECTS]:
        table.add_row(str(one.seq), str(one.line), one.reason, escape(shown(one.text)))
    return table
