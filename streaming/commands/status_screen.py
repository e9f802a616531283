"""The facts of `status`, and lists of drops, as a person reads them; on narrow terminals too."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from streaming.screen import age, many, moment, screen, shown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming.screen import Facts

_COLORS = {"success": "green", "failed": "red"}
_WIDE = 80
_KINDS = ("prices", "returns", "volume")


def show(facts: Facts) -> None:
    """Prints the screen."""
    console = screen()
    console.print(named_lines(_lines(facts)))
    if facts.get("last_drops"):
        console.print(drops_table(facts["last_drops"]))


def named_lines(lines: Iterable[tuple[str, str]]) -> Table:
    """Lines of foreign text, each behind its name."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in lines:
        table.add_row(name, escape(shown(text)))
    return table


def drops_table(drops: list[Facts]) -> Table:
    """Drops with their fate, one in a row; how many cells they changed only if there is room."""
    counts = ["rows_loaded", *(["cells_changed"] if screen().width >= _WIDE else []), "rows_rejected"]
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("drop", justify="right")
    table.add_column("key", overflow="fold", ratio=2)
    table.add_column("fate", no_wrap=True)
    for count in counts:
        table.add_column(count.removeprefix("rows_").removeprefix("cells_"), justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=3)
    for drop in drops:
        numbers = ("?" if drop[count] is None else f"{drop[count]:,}" for count in counts)
        fate = f"[{_COLORS.get(drop['fate'], 'yellow')}]{drop['fate']}[/]"
        table.add_row(str(drop["seq"]), escape(shown(drop["key"])), fate, *numbers, escape(shown(drop["reason"] or "")))
    return table


def _lines(facts: Facts) -> list[tuple[str, str]]:
    lines = [("job", _job_line(facts["job"]))]
    lines += [
        ("  waits for", f"{held['what']} for {age(held['seconds'])} ({held['tries']} tries): {held['reason']}")
        for held in facts["job"].get("waits", [])
    ]
    lines += [("  at work on", _under_way_line(facts["under_way"]))] if facts["under_way"] else []
    lines += [("  look at", sentence) for sentence in facts["look_at"] if not sentence.startswith("no job is running")]
    drops = facts["drops"]
    waiting = "waiting: not known" if drops["waiting"] is None else f"{drops['waiting']:,} waiting"
    waiting = f"{waiting} in {facts['input']}"
    passed = _passed_over_lines(facts["passed_over"])
    if facts["state"] in {"no-database", "unreachable"}:
        said = facts["said"] if facts["state"] == "no-database" else "cannot be read"
        return [*lines, ("database", said), ("drops", waiting), *passed]
    counts = ", ".join(
        f"{drops[name]:,} {name}" for name in ("success", "failed", "loading") if drops[name] or name != "loading"
    )
    lines += [
        ("database", facts["database"]),
        ("last batch", _batch_line(facts["last_batch"])),
        ("drops", f"{counts}, {waiting}"),
        *passed,
    ]
    if (audit := facts["audit"]) is not None:
        found = "something differs" if audit["problem"] else f"{many(audit['cells'], 'cell')} agree"
        lines.append(("audit", f"{moment(audit['audited_at'])}: {found}"))
    lines += [("  loading", _loading_line(drop)) for drop in facts["loading"]]
    return lines + _table_lines(facts)


def _passed_over_lines(passed: Facts) -> list[tuple[str, str]]:
    if not passed["count"]:
        return []
    more = f" and {passed['count'] - len(passed['first']):,} more" if passed["count"] > len(passed["first"]) else ""
    names = ", ".join(passed["first"])
    return [("  left alone", f"{many(passed['count'], 'file')} that no drop is called like: {names}{more}")]


def _table_lines(facts: Facts) -> list[tuple[str, str]]:
    rows, dates = facts["rows"], facts["dates"]
    fates = ", ".join(f"{rows[name]:,} {name}" for name in ("loaded", "duplicate", "rejected"))
    span = f", {dates['first']} to {dates['last']}" if dates["count"] else ""
    lines = [
        ("rows", f"{rows['read']:,} read: {fates}"),
        *_cells_lines(facts["cells"]),
        ("tables", f"{many(facts['tickers'], 'ticker')}, {many(dates['count'], 'date')}{span}"),
    ]
    for kind in _KINDS:
        parts = [table for table in facts["tables"] if table["kind"] == kind]
        more = f" in {len(parts)} tables" if len(parts) > 1 else ""
        lines.append((f"  {kind}", decimal(sum(table["bytes"] for table in parts)) + more))
    return lines


def _cells_lines(cells: Facts | None) -> list[tuple[str, str]]:
    if cells is None:
        return []
    older = f"; not known of {many(cells['unknown'], 'drop')}, see `stocketl fill`" if cells["unknown"] else ""
    return [("cells", f"{cells_told(cells)}{older}")]


def cells_told(did: Facts) -> str:
    """What one or many drops did to the cells."""
    counts = ", ".join(f"{did[f'cells_{name}']:,} {name}" for name in ("new", "changed", "same"))
    return f"{counts}; {many(did['returns_rewritten'], 'return')} rewritten"


def _job_line(job: Facts) -> str:
    process = job.get("process_id")
    host = f" on {job['host']}" if job.get("host") else ""
    who = (f"process {process}" if process else "a process") + host
    if job["running"]:
        since = f" since {moment(job['started_at'])}" if isinstance(job.get("started_at"), datetime) else ""
        home = f", home {job['home']}" if job.get("home") else ""
        return f"running: {who}{since}{home}"
    seen = job.get("seen_seconds")
    last = f", last seen {age(seen)} ago ({who})" if seen is not None else f": {job['why']}"
    if job["running"] is None:
        return f"not known whether one is running: {job['why']}" + (last if seen is not None else "")
    return f"NOT running{last}; start it: {job['start']}"


def _batch_line(batch: Facts | None) -> str:
    if batch is None:
        return "none yet"
    brought = f"{many(batch['drops'], 'drop')}, {many(batch['cells'] or 0, 'cell')}"
    return f"{batch['batch_id']}, {age(batch['age_seconds'])} ago ({moment(batch['committed_at'])}): {brought}"


def _under_way_line(batch: Facts) -> str:
    more = " …" if batch["drops"] > len(batch["first_keys"]) else ""
    brings = f"{many(batch['drops'], 'drop')}, {decimal(batch['bytes'])}"
    keys = ", ".join(batch["first_keys"])
    return f"batch {batch['batch_id']} for {age(batch['seconds'])}: {brings} ({keys}{more})"


def _loading_line(drop: Facts) -> str:
    done = "some" if drop["done"] is None else decimal(drop["done"])
    left = "" if drop["seconds_left"] is None else f", about {age(drop['seconds_left'])} left"
    return f"{drop['key']}: {done} of {decimal(drop['size'])}{left}"
