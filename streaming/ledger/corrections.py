"""`stocketl.corrections`: a row for each cell that a drop changed, written in the transaction that changes the tables.

If a drop comes in several batches, its rows are those of the whole drop: a later part replaces rows of an earlier one,
and removes those of cells that it has changed back.

It is a view. Where a drop changes many dates of a ticker, their cells are kept as arrays (`correction_runs`): a row and
a key for each would take longer to write than the prices. The others lie in `stocketl.correction_cells`.
"""

from __future__ import annotations

import io
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import csv

from streaming.corrections import Corrections
from streaming.ledger import correction_runs

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from datetime import datetime

    from psycopg2.extensions import cursor

_STAGED = "pg_temp.stocketl_corrections"
_AT = pa.timestamp("us", "UTC")
_REMOVE_STAGED = f"""
    DELETE FROM stocketl.correction_cells c USING {_STAGED} s
     WHERE c.seq = s.seq AND c.date = s.date AND c.id = s.id RETURNING c.seq
"""  # noqa: S608 (constants)
_COUNT = """
    UPDATE stocketl.drops d SET corrections = (SELECT count(*) FROM stocketl.corrections c WHERE c.seq = d.seq)
     WHERE d.seq = ANY(%s)
"""


class Changed(NamedTuple):
    """Cells that the drops of a batch changed.

    rows: with the columns of `corrections.SCHEMA`; runs: others, of drops that begin and end in the batch, with the
    columns of `correction_runs.SCHEMA`.
    """

    rows: pa.Table
    runs: pa.Table

    @classmethod
    def of(cls, cells: Corrections, apart: Collection[int] = ()) -> Changed:
        """apart: drops that have begun earlier or go on in the next batch."""
        single, runs, starts = correction_runs.split(cells, apart)
        return cls(single.to_table(), correction_runs.encoded(runs, starts))

    @classmethod
    def join(cls, parts: Sequence[Changed]) -> Changed:
        """Those of different tickers, at least one part."""
        rows = pa.concat_tables([part.rows for part in parts]).unify_dictionaries()
        return cls(rows, pa.concat_tables([part.runs for part in parts]))


def record(cur: cursor, changed: Changed, *, of: Collection[int], begun: Collection[int]) -> Counter[int]:
    """Writes the rows of these drops; by seq, how many more there are than before, with those of `write_runs`.

    of: all drops of the runs are among them, other drops are left out; begun: drops of which earlier batches may have
    written rows.
    """
    added: Counter[int] = Counter()
    for counted in changed.runs.group_by("seq").aggregate([("cells", "sum")]).to_pylist():
        added[counted["seq"]] += counted["cells_sum"]
    rows = _of(changed.rows, of)
    if not rows.num_rows:
        return added
    again = _of(rows, begun)
    if again.num_rows:
        cur.execute(
            "CREATE TEMPORARY TABLE stocketl_corrections (LIKE stocketl.correction_cells INCLUDING DEFAULTS)"
            " ON COMMIT DROP"
        )
        _copy(cur, _STAGED, again)
        correction_runs.spread(cur, _STAGED)
        cur.execute(_REMOVE_STAGED)
        added.subtract(seq for (seq,) in cur.fetchall())
        rows = rows.filter(pc.or_(pc.invert(_one_of(rows, begun)), _differs(rows)))
    _insert(cur, rows)
    for counted in rows["seq"].value_counts():
        added[counted["values"].as_py()] += counted["counts"].as_py()
    return added


def write_runs(cur: cursor, changed: Changed) -> None:
    """Writes the runs, at any moment of the transaction that calls `record`."""
    if changed.runs.num_rows:
        correction_runs.copy(cur, changed.runs)


def fill(cur: cursor, rows: pa.Table, seqs: Collection[int]) -> None:
    """Writes the rows of drops that ended long ago and have none, as if they had been written then."""
    if not seqs:
        return
    forget(cur, seqs)
    rows = _of(rows, seqs)
    cur.execute("SELECT seq, loaded_at FROM stocketl.drops WHERE seq = ANY(%s)", (sorted(seqs),))
    ended = cur.fetchall()
    _insert(cur, rows, ended)
    cur.execute(_COUNT, (sorted(seqs),))


def forget(cur: cursor, seqs: Collection[int]) -> None:
    """Removes the rows of these drops."""
    if seqs:
        for table in ("correction_cells", "correction_runs"):
            cur.execute(f"DELETE FROM stocketl.{table} WHERE seq = ANY(%s)", (sorted(seqs),))  # noqa: S608 (constants)


def _insert(cur: cursor, rows: pa.Table, ended: Sequence[tuple[int, datetime]] | None = None) -> None:
    """ended: when each drop has ended, if that is not now."""
    if not rows.num_rows:
        return
    single, runs, starts = correction_runs.split(Corrections.of_table(rows))
    if len(single):
        table = single.to_table()
        _copy(
            cur, "stocketl.correction_cells", table if ended is None else table.append_column("at", _at(table, ended))
        )
    if len(runs):
        at = None if ended is None else _at(runs.take(starts[:-1]).to_table(), ended).cast(pa.int64()).to_numpy()
        correction_runs.copy(cur, correction_runs.encoded(runs, starts, at), with_at=at is not None)


def _at(rows: pa.Table, ended: Sequence[tuple[int, datetime]]) -> pa.ChunkedArray:
    """When the drop of each row has ended."""
    place = pc.index_in(rows["seq"], pa.array([seq for seq, _ in ended], pa.int64()))
    return pa.chunked_array([pa.array([at for _, at in ended], _AT)]).take(place)


def _copy(cur: cursor, table: str, rows: pa.Table) -> None:
    # Arrow writes the shortest text that reads as the same number, and a missing value as nothing
    written = io.BytesIO()
    plain = rows.set_column(rows.schema.get_field_index("id"), "id", rows["id"].cast(pa.string()))
    # if the first chunk of a table has no rows, pyarrow 25 writes bytes of no meaning for those of the others
    csv.write_csv(plain.combine_chunks(), written, csv.WriteOptions(include_header=False))
    written.seek(0)
    cur.copy_expert(f"COPY {table} ({', '.join(plain.column_names)}) FROM STDIN (FORMAT csv)", written)


def _of(rows: pa.Table, seqs: Collection[int]) -> pa.Table:
    chosen = _one_of(rows, seqs)
    return rows if pc.all(chosen).as_py() else rows.filter(chosen)


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
