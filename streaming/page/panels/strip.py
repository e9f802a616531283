"""The strip at the top: what the ledger says of drops and batches, what the home says of the job, and the verdict."""

from __future__ import annotations

import statistics
import threading
from typing import TYPE_CHECKING

from psycopg2.extras import RealDictCursor

from streaming.commands.status import (
    failed_lately,
    loading_drops,
    newest_audit,
    oldest_waiting,
    still_waiting,
    told_job,
)
from streaming.commands.verdict import judged
from streaming.home import running

if TYPE_CHECKING:
    from psycopg2.extensions import cursor

    from streaming.home.running import Job
    from streaming.screen import Facts
    from streaming.settings import Settings
    from streaming.storage.place import Version

BATCHES = 50
_COPIED_SECONDS = 3600.0
"""A file that is older than this when it is loaded was copied with its old time, so its wait is not known."""

_COUNTS = """
    SELECT coalesce(max(seq), 0) AS seq, count(*) FILTER (WHERE status = 'loaded') AS success,
           count(*) FILTER (WHERE status = 'failed') AS failed, min(seq) FILTER (WHERE status = 'loading') AS open
      FROM stocketl.drops WHERE seq > %s
"""
_BATCHES = """
    WITH last AS (
        SELECT * FROM stocketl.batches
         WHERE checkpoint_id = (SELECT checkpoint_id FROM stocketl.drops ORDER BY seq DESC LIMIT 1)
           AND committed_at IS NOT NULL
         ORDER BY batch_id DESC LIMIT %s
    )
    SELECT l.batch_id, l.committed_at, l.drops, l.cells,
           extract(epoch FROM clock_timestamp() - l.committed_at)::float8 AS age_seconds,
           (SELECT max(extract(epoch FROM l.committed_at - d.last_modified))::float8 FROM stocketl.drops d
             WHERE d.checkpoint_id = l.checkpoint_id AND d.batch_id = l.batch_id
               AND l.committed_at - d.last_modified < make_interval(secs => %s)) AS seconds
      FROM last l ORDER BY l.batch_id DESC
"""
_NEWEST = "SELECT max(date) AS newest_date, count(*) AS tickers FROM stocketl.latest"


class Ledger:
    """What the ledger says. Drops that are finished are counted once, so a batch costs no look at the older ones."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._epoch: int | None = None
        self._counted = {"seq": 0, "success": 0, "failed": 0}

    def facts(self, cur: cursor, versions: list[Version] | None) -> Facts:
        """versions: what lies in the input, None if that is not known."""
        connected = cur.connection
        batches = _rows(cur, _BATCHES, (BATCHES, _COPIED_SECONDS))
        waiting = still_waiting(connected, versions) if versions else versions
        counts = self._counts(cur)
        waits = [max(batch["seconds"], 0.0) for batch in reversed(batches) if batch["seconds"] is not None]
        return {
            "job": running.of_ledger(cur),
            "last_batch": batches[0] if batches else None,
            "audit": newest_audit(connected),
            "failed_lately": failed_lately(connected),
            "loading": loading_drops(connected),
            "counts": counts | {"waiting": None if waiting is None else len(waiting)},
            "oldest_waiting_seconds": oldest_waiting(self._settings, waiting),
            "visible": {"seconds": waits, "median": statistics.median(waits) if waits else None},
            **_rows(cur, _NEWEST)[0],
        }

    def _counts(self, cur: cursor) -> Facts:
        cur.execute("SELECT epoch FROM stocketl.writer")
        epoch = next((found for (found,) in cur.fetchall()), None)
        with self._lock:
            if epoch != self._epoch:  # a rebuild begins a new ledger
                self._epoch, self._counted = epoch, {"seq": 0, "success": 0, "failed": 0}
            before = self._counted
            new = _rows(cur, _COUNTS, (before["seq"],))[0]
            counts = {name: before[name] + new[name] for name in ("success", "failed")}
            if new["open"] is None:
                self._counted = counts | {"seq": max(new["seq"], before["seq"])}
        return counts


def strip(settings: Settings, ledger: Facts, home: Facts) -> Facts:
    """As the page shows it. ledger: of `Ledger.facts`; home: of `streaming.page.watch`."""
    seen: list[Job | None] = [home["job"], home["beat"], ledger["job"]]
    job = running.most_alive(*seen)
    under_way = home["under_way"] if job is not None and job.alive else None
    judge = {name: ledger[name] for name in ("last_batch", "audit", "failed_lately", "oldest_waiting_seconds")}
    told = told_job(job, settings)
    facts = judged(judge | {"job": told, "input_trouble": home["input_trouble"], "state": "ready"})
    busy = bool(under_way or ledger["loading"] or ledger["counts"]["waiting"])
    state = {True: "running" if busy else "idle", False: "not-running", None: "unknown"}[told["running"]]
    if state in {"running", "idle"} and told["silent"]:
        state = "silent"
    batch = ledger["last_batch"]
    since = {
        "running": told.get("started_at"),
        "idle": max(filter(None, (told.get("started_at"), batch and batch["committed_at"])), default=None),
    }.get(state, told.get("seen_at"))
    return {
        "job": {"state": state, "since": since, "where": job.where if job else None, "why": told["why"]}
        | {"start": told["start"], "waits": told.get("waits", [])},
        "look_at": facts["look_at"],
        "verdict": facts["verdict"],
        "under_way": under_way,
        **{name: ledger[name] for name in ("counts", "loading", "newest_date", "tickers", "visible")},
        "last_batch": batch and {name: batch[name] for name in ("batch_id", "committed_at", "drops", "cells")},
    }


def _rows(cur: cursor, query: str, values: tuple[object, ...] = ()) -> list[Facts]:
    with cur.connection.cursor(cursor_factory=RealDictCursor) as named:
        named.execute(query, values)
        return [dict(row) for row in named.fetchall()]
