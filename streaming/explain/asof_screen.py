"""What was known at a moment: on a screen, or as a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from rich.markup import escape
from rich.table import Table

from streaming.errors import StockETLError
from streaming.packets import UNKNOWN_VOLUME
from streaming.screen import many, screen, shown
from streaming.ticks.fields import iso_of

if TYPE_CHECKING:
    from streaming.explain.asof import AsOf
    from streaming.explain.known import Known

ROWS = 20


def show(found: AsOf) -> None:
    """Prints what it is, and the cells of the last dates."""
    console, known = screen(), found.known
    console.print(f"[bold]as of[/] {escape(shown(found.moment.title))}", soft_wrap=True)
    for note in found.notes:
        console.print(f"[yellow]look at this:[/] {escape(shown(note))}", soft_wrap=True)
    console.print(_size(known), soft_wrap=True)
    if len(known):
        console.print(_cells(known))
    if len(known) > ROWS:
        console.print(f"the last {ROWS} of {many(len(known), 'cell')}; --out FILE writes all of them", soft_wrap=True)


def _size(known: Known) -> str:
    if not len(known):
        return "nothing of this was known then"
    tickers, dates = len(np.unique(known.code)), len(np.unique(known.date))
    span = f"{iso_of(int(known.date.min()))} to {iso_of(int(known.date.max()))}"
    return f"{many(len(known), 'cell')}: {many(tickers, 'ticker')}, {many(dates, 'date')}, {span}"


def _cells(known: Known) -> Table:
    table = Table(box=None, padding=(0, 1), header_style="bold", pad_edge=False)
    for name in ("date", "ticker"):
        table.add_column(name, overflow="fold")
    for name in ("price", "return", "volume"):
        table.add_column(name, justify="right", overflow="fold")
    for row in np.lexsort((known.code, known.date))[-ROWS:].tolist():
        change, volume = float(known.returns[row]), int(known.volume[row])
        table.add_row(
            iso_of(int(known.date[row])),
            escape(shown(known.ids[known.code[row]])),
            f"{known.price[row]:.12g}",
            "" if np.isnan(change) else f"{change:.6f}",
            "" if volume == UNKNOWN_VOLUME else f"{volume:,}",
        )
    return table


def refuse_other_files(out: str | None) -> None:
    """Raises StockETLError for a file that is neither Parquet nor CSV by its name."""
    if out is not None and Path(out).suffix.lower() not in {".parquet", ".csv"}:
        msg = f"--out: expected a name that ends in .parquet or .csv, got {out!r}"
        raise StockETLError(msg)


def write(found: AsOf, out: str) -> str:
    """Writes all cells to a file, by its name as Parquet or CSV. Says what it wrote. Raises StockETLError."""
    import pyarrow.csv  # noqa: PLC0415 (only if a file is wanted, as the next)
    import pyarrow.parquet as pq  # noqa: PLC0415

    path, table = Path(out), found.known.to_table()
    table = table.replace_schema_metadata({"stocketl.asof": found.moment.title})
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        try:
            with partial.open("wb") as file:
                if path.suffix.lower() == ".csv":
                    pyarrow.csv.write_csv(table, file, pyarrow.csv.WriteOptions(quoting_style="needed"))
                else:
                    pq.write_table(table, file, use_dictionary=["id", "date"])
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        msg = f"--out: {out} cannot be written: {error.strerror or error}"
        raise StockETLError(msg) from error
    return f"{many(len(found.known), 'cell')} as of {found.moment.title} written to {out}"
