"""`stocketl status`: what the ledger and the input say, on one screen or as JSON. Changes nothing."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg2 import sql
from psycopg2.extras import RealDictCursor
from rich.filesize import decimal
from rich.markup import escape
from rich.table import Table

from streaming.console import screen
from streaming.errors import StorageError
from streaming.home import NoDatabaseError, reading
from streaming.settings import is_s3
from streaming.storage import open_place

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from streaming.settings import Settings
    from streaming.storage import Version

Facts = dict[str, Any]

KINDS = ("prices", "returns", "volume")
LAST_DROPS = 10

_DROPS = """
    SELECT d.seq, d.key, d.status, d.reason, d.rows_read, d.rows_loaded, d.rows_duplicate, d.rows_rejected,
           d.loaded_at, r.moved_to
    FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq)
"""
_TOTALS = """
    SELECT count(*) FILTER (WHERE status = 'loading') AS loading, count(*) FILTER (WHERE status = 'loaded') AS loaded,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           coalesce(sum(rows_read), 0)::bigint AS rows_read, coalesce(sum(rows_loaded), 0)::bigint AS rows_loaded,
           coalesce(sum(rows_duplicate), 0)::bigint AS rows_duplicate,
           coalesce(sum(rows_rejected), 0)::bigint AS rows_rejected
    FROM stocketl.drops
"""
_LAST_BATCH = """
    SELECT batch_id, committed_at, drops, cells,
           extract(epoch FROM clock_timestamp() - committed_at)::float8 AS age_seconds
    FROM stocketl.batches WHERE committed_at IS NOT NULL ORDER BY committed_at DESC, batch_id DESC LIMIT 1
"""
_STILL_LYING = """
    SELECT d.key, d.etag, d.version_id FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq)
    WHERE r.moved_at IS NULL AND d.key = ANY(%s)
"""


def status(settings: Settings) -> Facts:
    """All that the screen shows; `state` is `no-database`, `no-batch` or `ready`. Raises DatabaseError."""
    found: Facts = {"home": str(settings.home), "database": settings.shown_database, "input": settings.input}
    versions, trouble = _versions(settings)
    try:
        with reading(settings) as connected:
            facts = found | _ledger(connected)
            waiting = None if versions is None else _waiting(connected, versions)
    except NoDatabaseError as error:
        return found | {
            "state": "no-database",
            "said": str(error),
            "drops": {"waiting": None if versions is None else len(versions)},
            "input_trouble": trouble,
        }
    facts["drops"] = {"waiting": waiting} | facts["drops"]
    facts["input_trouble"] = trouble
    return facts


def show(facts: Facts) -> None:
    """Prints the screen."""
    console = screen()
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in _lines(facts):
        table.add_row(name, escape(text))
    console.print(table)
    if facts.get("last_drops"):
        console.print(drops_table(facts["last_drops"]))


def last_drops(connected: connection, count: int = LAST_DROPS) -> list[Facts]:
    """The newest drops, newest first."""
    return _rows(connected, _DROPS + "ORDER BY d.seq DESC LIMIT %s", (count,))


def drops_table(drops: list[Facts]) -> Table:
    """Drops with their fate, one a row."""
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    table.add_column("drop", justify="right")
    table.add_column("key", overflow="fold", ratio=2)
    table.add_column("fate", no_wrap=True)
    table.add_column("loaded", justify="right", no_wrap=True)
    table.add_column("rejected", justify="right", no_wrap=True)
    table.add_column("reason", overflow="fold", ratio=3)
    for drop in drops:
        numbers = (f"{drop['rows_loaded']:,}", f"{drop['rows_rejected']:,}")
        color = {"loaded": "green", "failed": "red"}.get(drop["status"], "yellow")
        fate = f"[{color}]{drop['status']}[/]"
        table.add_row(str(drop["seq"]), escape(shown(drop["key"])), fate, *numbers, escape(shown(drop["reason"] or "")))
    return table


def shown(text: str) -> str:
    """Foreign text without the characters that would move a terminal's cursor."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def age(seconds: float) -> str:
    """`3 s`, `5 min`, `2 h`, `4 days`."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def _lines(facts: Facts) -> list[tuple[str, str]]:
    drops = facts["drops"]
    waiting = facts["input_trouble"] or f"{drops['waiting']:,} waiting in {facts['input']}"
    if facts["state"] == "no-database":
        return [("database", facts["said"]), ("drops", waiting)]
    counts = ", ".join(
        f"{drops[name]:,} {name}" for name in ("loaded", "failed", "loading") if drops[name] or name != "loading"
    )
    lines = [
        ("database", facts["database"]),
        ("last batch", _batch_line(facts["last_batch"])),
        ("drops", f"{counts}, {waiting}"),
    ]
    rows, dates = facts["rows"], facts["dates"]
    fates = ", ".join(f"{rows[name]:,} {name}" for name in ("loaded", "duplicate", "rejected"))
    lines.append(("rows", f"{rows['read']:,} read: {fates}"))
    span = f", {dates['first']} to {dates['last']}" if dates["count"] else ""
    lines.append(("tables", f"{_many(facts['tickers'], 'ticker')}, {_many(dates['count'], 'date')}{span}"))
    for kind in KINDS:
        parts = [table for table in facts["tables"] if table["kind"] == kind]
        more = f" in {len(parts)} tables" if len(parts) > 1 else ""
        lines.append((f"  {kind}", decimal(sum(table["bytes"] for table in parts)) + more))
    return lines


def _batch_line(batch: Facts | None) -> str:
    if batch is None:
        return "none yet"
    when = batch["committed_at"].astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    brought = f"{_many(batch['drops'], 'drop')}, {_many(batch['cells'] or 0, 'cell')}"
    return f"{batch['batch_id']}, {age(batch['age_seconds'])} ago ({when}): {brought}"


def _many(number: int, thing: str) -> str:
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def _ledger(connected: connection) -> Facts:
    totals = _rows(connected, _TOTALS)[0]
    batch = next(iter(_rows(connected, _LAST_BATCH)), None)
    tables = _tables(connected)
    return {
        "state": "ready" if batch else "no-batch",
        "last_batch": batch,
        "drops": {name: totals[name] for name in ("loading", "loaded", "failed")},
        "rows": {name: totals[f"rows_{name}"] for name in ("read", "loaded", "duplicate", "rejected")},
        "tickers": _rows(connected, "SELECT count(*) AS n FROM stocketl.tickers")[0]["n"],
        "dates": _dates(connected, tables),
        "tables": [{"name": table["name"], "kind": table["kind"], "bytes": table["bytes"]} for table in tables],
        "last_drops": last_drops(connected),
    }


def _tables(connected: connection) -> list[Facts]:
    """The wide tables that are there: name, kind, schema and bytes with their indexes."""
    numbers = [row["table_no"] for row in _rows(connected, "SELECT DISTINCT table_no FROM stocketl.tickers ORDER BY 1")]
    names = [(kind, kind if number == 1 else f"{kind}_{number}") for number in numbers or [1] for kind in KINDS]
    query = """
        SELECT n.name, n.kind, w.wide_schema AS schema, pg_total_relation_size(c.oid) AS bytes
        FROM unnest(%s, %s) WITH ORDINALITY AS n (name, kind, place), stocketl.writer w
        JOIN pg_namespace s ON s.nspname = w.wide_schema
        JOIN pg_class c ON c.relnamespace = s.oid
        WHERE c.relname = n.name AND c.relkind IN ('r', 'p') ORDER BY n.place
    """
    return _rows(connected, query, ([name for _, name in names], [kind for kind, _ in names]))


def _dates(connected: connection, tables: list[Facts]) -> Facts:
    prices = [sql.Identifier(table["schema"], table["name"]) for table in tables if table["kind"] == "prices"]
    if not prices:
        return {"count": 0, "first": None, "last": None}
    union = sql.SQL(" UNION ").join(sql.SQL("SELECT date FROM {}").format(table) for table in prices)
    query = sql.SQL("SELECT count(*) AS count, min(date) AS first, max(date) AS last FROM ({}) AS d").format(union)
    return _rows(connected, query)[0]


def _versions(settings: Settings) -> tuple[list[Version] | None, str | None]:
    if not is_s3(settings.input) and not Path(settings.input).exists():
        return [], None  # the job makes it
    try:
        return open_place(settings.input).versions(), None
    except StorageError as error:
        return None, f"the input {settings.input} cannot be listed: {error}"


def _waiting(connected: connection, versions: list[Version]) -> int:
    """Versions in the input that are no drop of the ledger; one that was moved away and lies there again is new."""
    keys = sorted({version.key for version in versions})
    known = {(row["key"], row["etag"], row["version_id"]) for row in _rows(connected, _STILL_LYING, (keys,))}
    return sum((version.key, version.etag, version.version) not in known for version in versions)


def _rows(connected: connection, query: str | sql.Composable, values: tuple[Any, ...] = ()) -> list[Facts]:
    with connected.cursor(cursor_factory=RealDictCursor) as cur:
        cur.execute(query, values)
        return [dict(row) for row in cur.fetchall()]
