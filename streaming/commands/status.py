"""`stocketl status`: whether a job runs, what the ledger and the input say, what needs a look. Changes nothing."""

from __future__ import annotations

import contextlib
import shlex
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg2 import sql
from psycopg2.extras import RealDictCursor

from streaming.commands.batch_under_way import batch_under_way
from streaming.commands.verdict import judged
from streaming.corrections import NAMES
from streaming.errors import DatabaseError, StockETLError
from streaming.home import running
from streaming.home.database import NoDatabaseError, reading
from streaming.ledger.fates import FATE
from streaming.ledger.tickers import wide_name
from streaming.storage.locations import is_s3, open_place

if TYPE_CHECKING:
    from psycopg2.extensions import connection

    from streaming.home.running import Job
    from streaming.screen import Facts
    from streaming.settings import Settings
    from streaming.storage.place import Version

KINDS = ("prices", "returns", "volume")
LAST_DROPS = 10
_FIRST_KEYS = 3

# through JSON, since an older ledger lacks the columns
_OF_DROP = ", ".join(f"(to_jsonb(d) ->> '{name}')::bigint AS {name}" for name in NAMES)
_DROPS = f"""
    SELECT d.seq, d.key, {FATE}, d.reason, d.rows_read, d.rows_loaded, d.rows_duplicate, d.rows_rejected,
           {_OF_DROP}, d.loaded_at AS ended_at, r.moved_to
    FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq)
"""  # noqa: S608 (constants)
_TOTALS = """
    SELECT count(*) FILTER (WHERE status = 'loading') AS loading, count(*) FILTER (WHERE status = 'loaded') AS success,
           count(*) FILTER (WHERE status = 'failed') AS failed,
           coalesce(sum(rows_read), 0)::bigint AS rows_read, coalesce(sum(rows_loaded), 0)::bigint AS rows_loaded,
           coalesce(sum(rows_duplicate), 0)::bigint AS rows_duplicate,
           coalesce(sum(rows_rejected), 0)::bigint AS rows_rejected
    FROM stocketl.drops
"""
_CELLS = f"""
    SELECT {", ".join(f"coalesce(sum({name}), 0)::bigint AS {name}" for name in NAMES)},
           count(*) FILTER (WHERE cells_new IS NULL) AS unknown
    FROM stocketl.drops
"""  # noqa: S608 (constants)
# failed within a day, and no later drop of this key was loaded
_FAILED_LATELY = """
    SELECT count(*) AS count, min(d.loaded_at) AS first FROM stocketl.drops d
    WHERE d.status = 'failed' AND d.loaded_at > clock_timestamp() - interval '1 day' AND NOT EXISTS
        (SELECT FROM stocketl.drops later WHERE later.key = d.key AND later.seq > d.seq AND later.status = 'loaded')
"""
_LAST_BATCH = """
    SELECT batch_id, committed_at, drops, cells,
           extract(epoch FROM clock_timestamp() - committed_at)::float8 AS age_seconds
    FROM stocketl.batches WHERE committed_at IS NOT NULL ORDER BY epoch DESC, batch_id DESC LIMIT 1
"""
_STILL_LYING = """
    SELECT d.key, d.etag, d.version_id FROM stocketl.drops d LEFT JOIN stocketl.receipts r USING (seq)
    WHERE r.moved_at IS NULL AND d.key = ANY(%s)
"""
# drops that go on: how far the first and the last of their batches so far have come, and when
_LOADING = """
    SELECT d.seq, d.key, d.size, (r.body->>'first_end')::bigint AS first_end, (r.body->>'end')::bigint AS done,
           f.committed_at AS first_at, l.committed_at AS last_at,
           extract(epoch FROM l.committed_at - f.committed_at)::float8 AS took_seconds,
           extract(epoch FROM clock_timestamp() - l.committed_at)::float8 AS since_seconds
    FROM stocketl.drops d JOIN stocketl.receipts r USING (seq)
    JOIN stocketl.batches l ON l.checkpoint_id = d.checkpoint_id AND l.batch_id = d.batch_id
    JOIN stocketl.batches f ON f.checkpoint_id = d.checkpoint_id
     AND f.batch_id = (SELECT min(key::bigint) FROM jsonb_object_keys(r.lines) key)
    WHERE d.status = 'loading' ORDER BY d.seq
"""


def status(settings: Settings) -> Facts:
    """All that the screen shows. `state` is `no-database`, `no-batch`, `ready` or `unreachable`; `said` is the error.

    `verdict` and `exit_code` say how the job is, and `look_at` says why.
    """
    found: Facts = {"home": str(settings.home), "database": settings.shown_database, "input": settings.input}
    versions, trouble = input_versions(settings)
    at_home = running.of_home(settings.home)
    if at_home is not None and not at_home.fills(settings):
        at_home = None  # its job fills another database
    seen = [at_home, running.of_heartbeat(settings)]
    facts: Facts = {"drops": {}, "said": None}
    waiting = versions
    try:
        with reading(settings) as connected:
            facts |= _ledger(connected)
            with connected.cursor() as cur:
                seen.append(running.of_ledger(cur))
            facts["last_drops"] = last_drops(connected, settings)
            waiting = None if versions is None else still_waiting(connected, versions)
    except NoDatabaseError as error:
        facts |= {"state": "no-database", "said": str(error)}
    except (DatabaseError, OSError) as error:
        facts |= {"state": "unreachable", "said": str(error)}
        waiting = None
    facts["drops"] = {"waiting": None if waiting is None else len(waiting)} | facts["drops"]
    found |= _passed_over(settings, trouble)
    facts["oldest_waiting_seconds"] = oldest_waiting(settings, waiting)
    facts["input_trouble"] = trouble
    job = running.most_alive(*seen)
    facts["under_way"] = batch_under_way(settings) if job is not None and job.alive else None
    return judged(found | {"job": told_job(job, settings)} | facts)


def last_drops(connected: connection, settings: Settings, count: int = LAST_DROPS) -> list[Facts]:
    """The newest drops, newest first."""
    drops = _rows(connected, _DROPS + "ORDER BY d.seq DESC LIMIT %s", (count,))
    return [drop | {"moved_to": moved_to(drop, settings)} for drop in drops]


def moved_to(drop: Facts, settings: Settings) -> str | None:
    """Where a drop's file lies now, with its folder or bucket; None if it was not moved, or not by the job."""
    place = settings.success if drop["fate"] == "success" else settings.failed
    return None if drop["moved_to"] is None else f"{place}/{drop['moved_to']}"


def failed_lately(connected: connection) -> Facts:
    """How many drops have failed within a day, with no later one of the same key loaded: `count` and `first`."""
    return _rows(connected, _FAILED_LATELY)[0]


def loading_drops(connected: connection) -> list[Facts]:
    """The drops that go on over several batches: bytes done and in all, and the seconds left."""
    return [_progress(drop) for drop in _rows(connected, _LOADING)]


def told_job(job: Job | None, settings: Settings) -> Facts:
    """What is known of the job, and the command that starts one."""
    start = f"stocketl run --home {shlex.quote(str(settings.home))}"
    options = None if job is None else job.options
    if options:
        start += f" {' '.join(options)}" + (" (… as before)" if any(one.endswith("…") for one in options) else "")
    elif options is None and (not settings.embedded or is_s3(settings.input)):
        start += " … (with the same options as before)"
    told: Facts = {"running": False, "silent": False, "why": "no job has run here yet"}
    if job is not None:
        told = {"running": job.alive, "silent": job.silent} | asdict(job)
        del told["alive"]
    return told | {"start": start}


def _ledger(connected: connection) -> Facts:
    totals = _rows(connected, _TOTALS)[0]
    batch = next(iter(_rows(connected, _LAST_BATCH)), None)
    tables = _tables(connected)
    return {
        "state": "ready" if batch else "no-batch",
        "last_batch": batch,
        "audit": newest_audit(connected),
        "overdue": _overdue(connected),
        "drops": {name: totals[name] for name in ("loading", "success", "failed")},
        "failed_lately": failed_lately(connected),
        "loading": loading_drops(connected),
        "rows": {name: totals[f"rows_{name}"] for name in ("read", "loaded", "duplicate", "rejected")},
        "cells": _cells(connected),
        "tickers": _rows(connected, "SELECT count(*) AS n FROM stocketl.tickers")[0]["n"],
        "dates": _dates(connected, tables),
        "tables": [{"name": table["name"], "kind": table["kind"], "bytes": table["bytes"]} for table in tables],
    }


def _cells(connected: connection) -> Facts | None:
    """What all drops did, and of how many that is not known; None in a ledger that is older than these counts."""
    if _lacks(connected, "stocketl.corrections"):
        return None
    return _rows(connected, _CELLS)[0]


def _lacks(connected: connection, table: str) -> bool:
    return bool(_rows(connected, f"SELECT to_regclass('{table}') IS NULL AS missing")[0]["missing"])


def newest_audit(connected: connection) -> Facts | None:
    """The newest audit; None before the first, and in a ledger that is older than audits."""
    if _lacks(connected, "stocketl.audits"):
        return None
    query = "SELECT audited_at, cells, problem FROM stocketl.audits ORDER BY audited_at DESC LIMIT 1"
    return next(iter(_rows(connected, query)), None)


def _overdue(connected: connection) -> list[Facts]:
    """Dates that were not complete by their deadline and still are not; none in a ledger that is older than that."""
    if _rows(connected, "SELECT to_regclass('stocketl.overdue_dates') IS NULL AS missing")[0]["missing"]:
        return []
    return _rows(connected, "SELECT date, due_at FROM stocketl.overdue_dates WHERE done_at IS NULL ORDER BY date")


def _progress(drop: Facts) -> Facts:
    """Bytes done and in all, and the seconds left at the pace of its batches so far (None before the second)."""
    done, took = drop["done"], drop["took_seconds"] or 0.0
    left = None
    if done is not None and took > 0 and done > drop["first_end"]:
        per_byte = took / (done - drop["first_end"])
        left = max(per_byte * (drop["size"] - done) - drop["since_seconds"], 0.0)
    return {name: drop[name] for name in ("seq", "key", "size", "done")} | {"seconds_left": left}


def _tables(connected: connection) -> list[Facts]:
    """The wide tables that are there: name, kind, schema and bytes with their indexes."""
    numbers = [row["table_no"] for row in _rows(connected, "SELECT DISTINCT table_no FROM stocketl.tickers ORDER BY 1")]
    names = [(kind, wide_name(kind, number)) for number in numbers or [1] for kind in KINDS]
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


def input_versions(settings: Settings) -> tuple[list[Version] | None, str | None]:
    """What lies in the input, or None and why it cannot be listed."""
    try:
        if not is_s3(settings.input) and not Path(settings.input).exists():
            if settings.home.exists():
                return [], None  # the job makes it
            return None, f"there is no folder {settings.input} on this machine; name the job's --home or --input"
        return open_place(settings.input).versions(), None
    except (StockETLError, OSError) as error:
        return None, f"the input {settings.input} cannot be listed: {error}"


def _passed_over(settings: Settings, trouble: str | None) -> Facts:
    """Files in the input that are no drops by their names: how many, and the first ones."""
    keys: list[str] = []
    if trouble is None and (is_s3(settings.input) or Path(settings.input).exists()):
        with contextlib.suppress(StockETLError, OSError):  # told by what lists the drops
            keys = open_place(settings.input).passed_over()
    return {"passed_over": {"count": len(keys), "first": keys[:_FIRST_KEYS]}}


def still_waiting(connected: connection, versions: list[Version]) -> list[Version]:
    """Versions in the input that the ledger does not know. A file that was moved away and put back is new."""
    keys = sorted({version.key for version in versions})
    known = {(row["key"], row["etag"], row["version_id"]) for row in _rows(connected, _STILL_LYING, (keys,))}
    return [version for version in versions if (version.key, version.etag, version.version) not in known]


def oldest_waiting(settings: Settings, waiting: list[Version] | None) -> float | None:
    """For how many seconds the oldest drop has waited. In a folder its arrival counts: the file may be older."""
    if not waiting:
        return None
    since = [_came(settings, version) for version in waiting[:100]]  # in order of their times
    return max((datetime.now(UTC) - min(since)).total_seconds(), 0.0)


def _came(settings: Settings, version: Version) -> datetime:
    if is_s3(settings.input):
        return version.modified
    try:
        changed = (Path(settings.input) / version.key).lstat().st_ctime
    except OSError:
        return version.modified
    return max(version.modified, datetime.fromtimestamp(changed, UTC))


def _rows(connected: connection, query: str | sql.Composable, values: tuple[object, ...] = ()) -> list[Facts]:
    with connected.cursor(cursor_factory=RealDictCursor) as cur:
        cur.execute(query, values)
        return [dict(row) for row in cur.fetchall()]
