"""Pathway as a peer: a folder of CSV files becomes the table `long`, one row for each date and ticker.

    python bench/peers/pathway_peer.py FOLDER CONNECTION

It runs in an environment of its own (`environment.py`) and so imports nothing of the bench. CONNECTION: libpq's
settings as a JSON object. The newest file wins, as in our tables: by the time of the file in whole seconds, then by its
name, which is all that the metadata has. A Pathway table has a fixed schema, so tickers cannot become columns.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pathway as pw

COMMIT_MILLISECONDS = 100


class Row(pw.Schema):  # type: ignore[misc] # mypy does not see this environment
    """The columns of a file."""

    date: str
    id: str
    price: float
    trade_volume: int


def follow(folder: str, connection: dict[str, Any]) -> None:
    """Declares the pipeline; `pw.run` starts it."""
    rows = pw.io.fs.read(
        folder,
        format="csv",
        schema=Row,
        mode="streaming",
        with_metadata=True,
        autocommit_duration_ms=COMMIT_MILLISECONDS,
        name="drops",
    )
    rows = rows.rename({"id": "ticker"})  # `id` means the row's pointer
    rows = rows.with_columns(ticker=rows.ticker + "")  # renamed only, groupby would still group by the pointer
    file = pw.make_tuple(rows._metadata["modified_at"].as_int(), rows._metadata["path"].as_str())  # noqa: SLF001 - so it is called
    rows = rows.with_columns(file=file)
    newest = rows.groupby(rows.date, rows.ticker).reduce(row=pw.reducers.argmax(rows.file))
    rows = rows.ix(newest.row).select(pw.this.date, pw.this.ticker, pw.this.price, pw.this.trade_volume)
    rows += rows.sort(key=rows.date, instance=rows.ticker)
    before = rows.ix(rows.prev, optional=True)
    change = pw.require(rows.price / pw.unwrap(before.price) - 1, before.price)
    table = rows.select(rows.date, rows.ticker, rows.price, rows.trade_volume, ret=change)
    pw.io.postgres.write(
        table,
        connection,
        "long",
        output_table_type="snapshot",
        primary_key=[table.date, table.ticker],
        init_mode="create_if_not_exists",
    )


def main() -> None:
    """The command above; says `ready`, then runs until it is killed."""
    folder, connection = sys.argv[1:]
    os.environ["PATHWAY_THREADS"] = str(os.cpu_count() or 1)
    follow(folder, json.loads(connection))
    print("ready", flush=True)  # noqa: T201 - the parent waits for it
    pw.run(monitoring_level=pw.MonitoringLevel.NONE)


if __name__ == "__main__":
    main()
