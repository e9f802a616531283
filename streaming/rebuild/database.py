"""The database's part of `stocketl rebuild`: tells what was loaded in which order, sets tables and ledger aside.

Nothing is dropped. In one transaction the ledger's schema gets another name and takes the wide tables with it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from psycopg2 import errors, sql

from streaming.errors import DatabaseError
from streaming.home.rebuild_journal import schema_aside
from streaming.ledger.drops import storable
from streaming.ledger.fates import FATE

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor

LEDGER = "stocketl"

_WIDE = """
    SELECT c.oid, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p') AND c.relname ~ '^(prices|returns|volume)(_[0-9]+)?$'
      AND NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
                      AND a.attname <> 'date' AND left(a.attname, 4) <> 'stk_')
    ORDER BY c.relname
"""
_FIRST_SCHEMA = """
    SELECT coalesce((SELECT s FROM unnest(current_schemas(false)) s WHERE s <> 'stocketl' LIMIT 1), 'public')
"""
_VIEWS = """
    SELECT DISTINCT v.oid::regclass::text FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
      JOIN pg_class v ON v.oid = r.ev_class
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refobjid = ANY(%s)
      AND v.relnamespace IS DISTINCT FROM to_regnamespace('stocketl') -- these go along
    ORDER BY 1
"""
_GRANTS = """
    SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE r.rolname END, a.privilege_type
    FROM pg_namespace n, aclexplode(n.nspacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE n.nspname = %s AND a.grantee <> n.nspowner AND a.privilege_type IN ('USAGE', 'CREATE')
"""


@dataclass(frozen=True)
class LoadedDrop:
    """A drop of the ledger.

    etag: that of a folder, which holds mtime and size. reading: how the drop was read.
    """

    seq: int
    key: str
    etag: str
    fate: str
    rows_loaded: int
    moved_to: str | None
    moved: bool
    reading: str


@dataclass(frozen=True)
class Tables:
    """What is in the database: the ledger's schema, the schema of the wide tables, their names, views on them."""

    ledger: bool
    wide_schema: str
    wide: list[str]
    views: list[str]


def drops(cur: cursor, stamp: str) -> list[LoadedDrop] | None:
    """What was loaded, in order of seq, by the ledger, whether it is set aside or not. None if there is no ledger."""
    for schema in (schema_aside(stamp), LEDGER):
        if not _has_ledger(cur, schema):
            continue
        query = sql.SQL(
            "SELECT d.seq, d.key, d.etag, {}, d.rows_loaded, r.moved_to, r.moved_at IS NOT NULL,"
            # the ledger that was set aside may be older than the readings
            " coalesce(to_jsonb(d)->>'reading', '1')"
            " FROM {}.drops d LEFT JOIN {}.receipts r USING (seq) ORDER BY d.seq"
        )
        cur.execute(query.format(sql.SQL(FATE), *[sql.Identifier(schema)] * 2))
        return [LoadedDrop(*row) for row in cur.fetchall()]
    return None


def profiles(cur: cursor, stamp: str) -> dict[str, str]:
    """What the profiles of these drops say, as JSON, by digest; none if the ledger is older than profiles."""
    for schema in (schema_aside(stamp), LEDGER):
        if _has_ledger(cur, schema):
            cur.execute("SELECT to_regclass(%s) IS NULL", (f"{schema}.profiles",))
            if cur.fetchall() == [(True,)]:
                return {}
            cur.execute(sql.SQL("SELECT digest, profile::text FROM {}.profiles").format(sql.Identifier(schema)))
            return dict(cur.fetchall())
    return {}


def changed(cur: cursor, stamp: str, names: Mapping[int, str]) -> list[str]:
    """Files that no longer hold what was loaded from them the first time.

    names: the name under which a drop was loaded again, by the seq that it had. If the content was not noted, by an
    older version, the drop passes.
    """
    if not names or not _has_ledger(cur, aside := schema_aside(stamp)):
        return []
    query = sql.SQL("SELECT seq, body->>'content' FROM {}.receipts WHERE seq = ANY(%s)")
    cur.execute(query.format(sql.Identifier(aside)), (list(names),))
    first = {storable(names[seq]): content for seq, content in cur.fetchall() if content is not None}
    cur.execute("SELECT key, content FROM stocketl.drops ORDER BY seq")
    return [key for key, content in cur.fetchall() if first.get(key, content) != content]


def tables(cur: cursor) -> Tables:
    """What is there now and would be set aside."""
    has_ledger = _has_ledger(cur, LEDGER)
    if has_ledger:
        cur.execute("SELECT wide_schema FROM stocketl.writer")
    else:
        cur.execute(
            "SELECT coalesce((SELECT s FROM unnest(current_schemas(false)) s WHERE s <> 'stocketl' LIMIT 1), 'public')"
        )
    (wide_schema,), *_ = cur.fetchall()
    cur.execute(_WIDE, (wide_schema,))
    found = cur.fetchall()
    cur.execute(_VIEWS, ([oid for oid, _ in found],))
    return Tables(has_ledger, wide_schema, [name for _, name in found], [view for (view,) in cur.fetchall()])


def set_aside(cur: cursor, stamp: str) -> None:
    """Moves ledger and wide tables to the schema of this stamp, unless that has been done.

    An empty schema `stocketl` with the old one's grants takes its place. If this role may not, raises DatabaseError,
    which says what the owner of the database has to do.
    """
    aside = schema_aside(stamp)
    cur.execute("SELECT to_regnamespace(%s) IS NOT NULL", (aside,))
    if cur.fetchall() == [(True,)]:
        return
    found = tables(cur)
    cur.execute("SELECT to_regnamespace('stocketl') IS NOT NULL")
    ((schema_exists,),) = cur.fetchall()
    cur.execute(_GRANTS, (LEDGER,))
    grants = cur.fetchall()
    names = {"ledger": sql.Identifier(LEDGER), "aside": sql.Identifier(aside)}
    try:
        cur.execute("SET LOCAL lock_timeout = '10s'")
        if schema_exists:
            cur.execute(sql.SQL("ALTER SCHEMA {ledger} RENAME TO {aside}").format(**names))
            cur.execute(sql.SQL("CREATE SCHEMA {ledger}").format(**names))
            for role, privilege in grants:
                to = sql.SQL("PUBLIC") if role is None else sql.Identifier(role)
                grant = sql.SQL("GRANT {} ON SCHEMA {} TO {}").format(sql.SQL(privilege), names["ledger"], to)
                cur.execute(grant)
        else:
            cur.execute(sql.SQL("CREATE SCHEMA {aside}").format(**names))
        for table in found.wide:
            move = sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(
                sql.Identifier(found.wide_schema, table), names["aside"]
            )
            cur.execute(move)
    except errors.InsufficientPrivilege as error:
        raise DatabaseError(_for_the_owner(cur, str(error), found, aside)) from None
    except errors.LockNotAvailable:
        msg = (
            "other sessions use the tables, so they cannot be set aside: end them (who they are: SELECT pid, usename, "
            "application_name, state FROM pg_stat_activity), then run `stocketl rebuild` again. Nothing was changed."
        )
        raise DatabaseError(msg) from None


def _for_the_owner(cur: cursor, said: str, found: Tables, aside: str) -> str:
    cur.connection.rollback()
    cur.execute("SELECT current_user")
    ((role,),) = cur.fetchall()
    moves = "".join(f" ALTER TABLE {found.wide_schema}.{table} SET SCHEMA {aside};" for table in found.wide)
    return (
        f"this role may not set the tables aside ({said.strip()}). Nothing was changed. Let the owner of the database "
        f"do it, then run `stocketl rebuild` again: ALTER SCHEMA {LEDGER} RENAME TO {aside};{moves} "
        f"CREATE SCHEMA {LEDGER} AUTHORIZATION {role};"
    )


def _has_ledger(cur: cursor, schema: str) -> bool:
    cur.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{schema}.receipts",))
    return cur.fetchall() == [(True,)]
