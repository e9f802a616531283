"""A drop of which only a part was loaded at a moment, though the lake keeps what it gave in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from streaming.explain.drop_files import DropFiles, FileGoneError, drops_named
from streaming.home.database import reading
from streaming.lake.reading import read_rows
from streaming.lake.rows import DUPLICATES, SCHEMAS, TICKS
from streaming.packets import Loaded, Ticks
from streaming.screen import many
from streaming.ticks.dedup import last_rows

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.explain.moment import Moment
    from streaming.settings import Settings
    from streaming.ticks.located import Located


def as_it_was(
    settings: Settings, moment: Moment, rows: pa.Table, tickers: Sequence[str], last: int | None
) -> tuple[pa.Table, list[str]]:
    """The rows of the lake by a moment, and what must be said of them.

    If a drop was open then and gave a cell again in a later batch, the lake has only the later row. Its file has both.
    tickers, last: what the rows were cut to; none, None: to nothing.
    """
    seq = moment.open_seq
    if seq is None or moment.batch_id is None or settings.lake is None:
        return rows, []
    later = (ds.field("seq") == seq) & (ds.field("batch_id") > moment.batch_id)
    again = read_rows(settings.lake, DUPLICATES, columns=["id"], where=later).num_rows
    if not again:
        return rows, []
    with reading(settings) as connected:
        (drop,) = drops_named(connected, settings, [seq])
        files = DropFiles.of(settings, connected)
    try:
        found = files.rows(drop, tickers[0] if len(tickers) == 1 else None)
    except FileGoneError as error:
        note = (
            f"drop {seq} ({drop.key}) was being loaded then. {many(again, 'row')} of it were given again later in it, "
            f"and what they replaced cannot be told: {error}"
        )
        return rows, [note]
    table = _first_lines(found, moment.open_lines, seq, moment.batch_id)
    if tickers:
        table = table.filter(pc.field("id").isin(list(tickers)))
    if last is not None:
        table = table.filter(pc.field("date") <= pa.scalar(last, pa.int32()).cast(pa.date32()))
    others = rows.filter(pc.field("seq") != seq)
    return pa.concat_tables([others, table.select(others.column_names).cast(others.schema)]), []


def _first_lines(found: Located, lines: int, seq: int, batch_id: int) -> pa.Table:
    """What the first lines of a drop give, as the lake has it."""
    at, rows = np.flatnonzero(found.lines <= lines), found.rows
    some = Ticks(rows.ids, rows.code[at], rows.date[at], rows.price[at], rows.volume[at])
    ticks = last_rows(some, first=found.keep_first).ticks
    table = Loaded(np.full(len(ticks), seq, np.int64), ticks).to_table()
    return table.append_column("batch_id", pa.array(np.full(len(ticks), batch_id, np.int64))).cast(SCHEMAS[TICKS])
