"""`stocketl.corrections`: a row for each cell that a drop changed, written in the transaction that changes the tables.

If a drop comes in several batches, its rows are those of the whole drop: a later part replaces rows of an earlier one,
and removes those of cells that it has changed back.
"""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from streaming.corrections import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Collection

    from psycopg2.extensions import cursor

_COLUMNS = ", ".join(SCHEMA.names)
_STAGED = "pg_temp.stocketl_corrections"
_LIKE_IT = f"SELECT {_COLUMNS} FROM stocketl.corrections WITH NO DATA"  # noqa: S608 (constants)
_TAKE_STAGED = f"""
    INSERT INTO stocketl.corrections ({_COLUMNS}, at)
    SELECT {", ".join(f"s.{name}" for name in SCHEMA.names)}, d.loaded_at
      FROM {_STAGED} s JOIN stocketl.drops d USING (seq) ORDER BY s.seq
"""  # noqa: S608 (constants)
_COUNT = """
    UPDATE stocketl.drops d SET corrections = (SELECT count(*) FROM stocketl.corrections c WHERE c.seq = d.seq)
     WHERE d.seq = ANY(%s)
"""
_REMOVE_STAGED = f"""
    DELETE FROM stocketl.corrections c USING {_STAGED} s
     WHERE c.seq = s.seq AND c.date = s.date AND c.id = s.id RETURNING c.seq
"""  # noqa: S608 (constants)


def record(cur: cursor, rows: pa.Table, *, of: Collection[int], begun: Collection[int]) -> Counter[int]:
    """Writes the rows of these drops; by seq, how many more there are than before.

    rows: with the columns of `corrections.SCHEMA`, other drops are left out; begun: drops of which earlier batches may
    have written rows.
    """
    rows = _of(rows, of)
    again = _of(rows, begun)
    added: Counter[int] = Counter()
    if again.num_rows:
        _copy_staged(cur, again)
        cur.execute(_REMOVE_STAGED)
        added.subtract(seq for (seq,) in cur.fetchall())
        rows = rows.filter(pc.or_(pc.invert(_one_of(rows, begun)), _differs(rows)))
    if rows.num_rows:
        _copy(cur, "stocketl.corrections", rows)
        added.update(rows["seq"].to_pylist())
    return added


def fill(cur: cursor, rows: pa.Table, seqs: Collection[int]) -> None:
    """Writes the rows of drops that ended long ago and have none, as if they had been written then."""
    if not seqs:
        return
    forget(cur, seqs)
    _copy_staged(cur, _of(rows, seqs))
    cur.execute(_TAKE_STAGED)
    cur.execute(_COUNT, (sorted(seqs),))
    cur.execute(f"DROP TABLE {_STAGED}")


def forget(cur: cursor, seqs: Collection[int]) -> None:
    """Removes the rows of these drops."""
    if seqs:
        cur.execute("DELETE FROM stocketl.corrections WHERE seq = ANY(%s)", (sorted(seqs),))


def _copy_staged(cur: cursor, rows: pa.Table) -> None:
    cur.execute(f"CREATE TEMPORARY TABLE stocketl_corrections ON COMMIT DROP AS {_LIKE_IT}")
    _copy(cur, _STAGED, rows)


def _copy(cur: cursor, table: str, rows: pa.Table) -> None:
    # Arrow writes the shortest text that reads as the same number, and a missing value as nothing
    written = io.BytesIO()
    csv.write_csv(rows, written, csv.WriteOptions(include_header=False))
    written.seek(0)
    cur.copy_expert(f"COPY {table} ({_COLUMNS}) FROM STDIN (FORMAT csv)", written)


def _of(rows: pa.Table, seqs: Collection[int]) -> pa.Table:
    return rows.filter(_one_of(rows, seqs)) if rows.num_rows else rows


def _one_of(rows: pa.Table, seqs: Collection[int]) -> pa.ChunkedArray:
    return pc.is_in(rows["seq"], pa.array(sorted(seqs), pa.int64()))


def _differs(rows: pa.Table) -> pa.ChunkedArray:
    """Whether a row says that anything has changed."""
    same = None
    for name in ("price", "volume", "return"):
        one, other = rows[f"{name}_before"], rows[f"{name}_after"]
        both = pc.and_(pc.is_null(one), pc.is_null(other))
        alike = pc.or_(pc.fill_null(pc.equal(one, other), False), both)  # noqa: FBT003 (Arrow's)
        same = alike if same is None else pc.and_(same, alike)
    return pc.invert(same)
