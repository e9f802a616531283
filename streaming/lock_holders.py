"""Who holds what the job waits for: sessions with locks on StockETL's tables, for the line of a wait.

PostgreSQL names the holders of a lock (`pg_blocking_pids`) only while somebody waits. After a lock time-out the
sessions that still hold something there are asked for: those that exclude writers first, then the oldest.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg2

from streaming.connect import begin

if TYPE_CHECKING:
    from psycopg2.extensions import connection

_NAMED = 3

# What a role may not see of other sessions (state, xact_start) is NULL; pid, user and application_name never are.
_HOLDERS = """
    SELECT concat('pid ', held.pid, ' (', concat_ws(', ', 'user ' || a.usename,
                      'application ' || nullif(a.application_name, ''), a.state,
                      'since ' || to_char(a.xact_start, 'YYYY-MM-DD HH24:MI:SS TZ')), '): ', held.what)
      FROM (SELECT l.pid, string_agg(DISTINCT l.mode || ' on ' || c.oid::regclass, ', ') AS what,
                   bool_or(l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock'))
                   AS excludes
              FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
             WHERE l.granted AND l.locktype = 'relation' AND l.pid <> pg_backend_pid() AND c.relkind = 'r'
               AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND (c.relnamespace = to_regnamespace('stocketl')::oid
                    OR c.relname ~ '^(prices|returns|volume)(_[0-9]+)?$')
             GROUP BY l.pid) held
      LEFT JOIN pg_stat_activity a USING (pid)
     ORDER BY held.excludes DESC, a.xact_start NULLS LAST, held.pid
     LIMIT %s
"""


def told(opened: connection) -> str:
    """A sentence that names the holders; empty if there is none any more. `opened` is outside a transaction."""
    with contextlib.suppress(psycopg2.Error):
        with opened.cursor() as cur:
            begin(cur)
            cur.execute(_HOLDERS, (_NAMED,))
            holders = [holder for (holder,) in cur.fetchall()]
        opened.rollback()
        if holders:
            return f"Held by {'; '.join(holders)}. If one hangs: SELECT pg_terminate_backend(<pid>)."
    return ""
