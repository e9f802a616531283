"""Who holds a table that the job needs: what a person must know to find that session and end it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from psycopg2.extensions import cursor

_SHOWN, _QUERY_SHOWN = 3, 80

# A session's workers count as the session. A prepared transaction has no session: it is found by its locked id.
_HOLDERS = """
    SELECT DISTINCT ON (since, holder, p.gid) coalesce(a.leader_pid, l.pid) AS holder, a.usename, a.application_name,
           a.state, coalesce(a.xact_start, p.prepared) AS since, CASE WHEN a.state IS NOT NULL THEN a.query END,
           p.gid, p.owner
      FROM pg_locks l
      LEFT JOIN pg_stat_activity a ON a.pid = l.pid
      LEFT JOIN pg_locks x ON l.pid IS NULL AND x.pid IS NULL AND x.locktype = 'transactionid'
                          AND x.virtualtransaction = l.virtualtransaction
      LEFT JOIN pg_prepared_xacts p ON p.transaction = x.transactionid
     WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()
       AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND {}
     ORDER BY since, holder, p.gid
"""

_ANY = """
    l.mode <> 'AccessShareLock' AND l.relation IN (
        SELECT oid FROM pg_class WHERE relkind = 'r' AND (relnamespace = to_regnamespace('stocketl')::oid
                                                           OR relname ~ '^(prices|returns|volume)(_[0-9]+)?$'))
"""


@dataclass(frozen=True, slots=True)
class Holders:
    """told: who they are, in one line; ending: the statement that ends the oldest, empty if there is none."""

    told: str
    ending: str


def holders(cur: cursor, table: str) -> Holders:
    """Everybody else who has a lock on the table (a quoted name), the oldest transaction first.

    Everybody sees process and role of a session. Only members of pg_read_all_stats see what another role does.
    """
    return _found(cur, "l.relation = to_regclass(%s)", [table])


def holders_of_any(cur: cursor) -> Holders:
    """Everybody else who has a lock on a table of StockETL, or on rows in it, that keeps writers out."""
    return _found(cur, _ANY, [])


def _found(cur: cursor, condition: str, values: list[str]) -> Holders:
    cur.execute(_HOLDERS.format(condition), values)
    rows = cur.fetchall()
    if not rows:
        return Holders("the session that held it has just let it go", "")
    told = [_prepared(row[6], row[7], row[4]) if row[0] is None else _session(*row[:6]) for row in rows[:_SHOWN]]
    more = [f"{len(rows) - _SHOWN} more"] if len(rows) > _SHOWN else []
    pid, user, *_, gid, _ = rows[0]  # the others may have come just now
    return Holders(" and ".join([*told, *more]), _end(pid, user, gid))


def _session(  # noqa: PLR0917 - the columns of the query, in order
    pid: int, user: str | None, application: str | None, state: str | None, since: datetime | None, query: str | None
) -> str:
    if user is None:
        return f"process {pid} (autovacuum, or another one of the server itself)"
    who = f"process {pid} ({application or 'without application_name'}, role {user}"
    if state is None:
        return f"{who}; to see what it does, grant pg_read_all_stats to this role)"
    begun = f" since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
    shown = " ".join((query or "").split())
    shown = shown if len(shown) <= _QUERY_SHOWN else f"{shown[:_QUERY_SHOWN]}…"
    return f"{who}, {state}, in this transaction{begun}, last statement: {shown})"


def _prepared(gid: str | None, owner: str | None, since: datetime | None) -> str:
    if gid is None or since is None:
        return "a prepared transaction"
    return f"the prepared transaction {gid!r} of role {owner} since {since:%Y-%m-%d %H:%M:%S %Z}"


def _end(pid: int | None, user: str | None, gid: str | None) -> str:
    if pid is None:
        return "ROLLBACK PREPARED '{}'".format(gid.replace("'", "''")) if gid else ""
    return f"SELECT pg_terminate_backend({pid})" if user else ""
