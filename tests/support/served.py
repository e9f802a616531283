"""What readers are served and what the ledger counts, beside the oracle's tables and the receipts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pandas as pd
from outcome import receipts, rows
from tables import UNKNOWN, Tables

if TYPE_CHECKING:
    from pathlib import Path


def assert_reconciled(database: str, home: Path) -> None:
    """Every row that was read is loaded, duplicate or rejected, and the receipts say the same as the ledger."""
    names = ("seq", "key", "rows_read", "rows_loaded", "rows_duplicate", "rows_rejected")
    drops = [{name: row[name] for name in names} for row in rows(database, "SELECT * FROM stocketl.drops ORDER BY seq")]
    for row in drops:
        assert row["rows_read"] == row["rows_loaded"] + row["rows_duplicate"] + row["rows_rejected"], row
    told = [{name: receipt[name] for name in names} for _, receipt in sorted(receipts(home).items())]
    assert told == drops


def assert_served(database: str, want: Tables) -> None:
    """`stocketl.latest` holds each ticker's last date."""
    latest = rows(database, "SELECT id, date, price, return, volume FROM stocketl.latest")
    got = {row["id"]: (row["date"], row["price"], row["return"], row["volume"]) for row in latest}
    assert got == {ticker: column(want, ticker)[-1] for ticker in want.prices}


def series(database: str, ticker: str) -> list[tuple[object, ...]]:
    series = rows(database, "SELECT date, price, return, volume FROM stocketl.series(%s)", ticker)
    return [(row["date"], row["price"], row["return"], row["volume"]) for row in series]


def column(want: Tables, ticker: str) -> list[tuple[object, ...]]:
    """The oracle's rows of one ticker, as `series` must give them."""
    prices = want.prices[ticker].dropna()
    returns, volumes = want.returns[ticker].reindex(prices.index), want.volume[ticker].reindex(prices.index)
    return [
        (day, price, None if pd.isna(change) else change, None if volume == UNKNOWN else volume)
        for day, price, change, volume in zip(prices.index, prices, returns, volumes, strict=True)
    ]
