"""The whole job on random mixes, on five years of real prices and on 2,500 tickers, against the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import inputs
import pandas as pd
import pytest
from job_process import Job, command, drop, run_once
from outcome import folders, receipts, rows
from psycopg2 import sql
from tables import UNKNOWN, Tables, assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

    from databases import Databases

pytestmark = pytest.mark.spark

SMALL = ("--max-batch-bytes", "1000", "--split-bytes", "400", "--lake", "none")


def test_a_random_mix_gives_the_same_tables_in_two_batchings(tmp_path: Path, databases: Databases) -> None:
    """Large batches in two runs, or one drop after another in small ones with a kill between: only the drops count."""
    mix = inputs.random_mix(seed=4)
    contents = [content for _, content in mix]
    large, small = tmp_path / "large", tmp_path / "small"
    in_large, in_small = databases.create("mix_large"), databases.create("mix_small")
    for part in (slice(0, 6), slice(6, 14)):
        _drop_all(large, mix, part)
        run_once(large, in_large, "--lake", "none")
    with Job(small, in_small, *SMALL) as job:
        for number in range(9):
            _drop_all(small, mix, slice(number, number + 1))
            job.wait_for(f"drop {number} in success/", lambda: not folders(small, "input"))
        _drop_all(small, mix, slice(9, 14))  # killed at whatever comes next
    run_once(small, in_small, *SMALL)
    want = expected(contents)
    assert_same(stored(in_large), want)
    assert_same(stored(in_small), want)
    _assert_served(in_large, want)
    _assert_served(in_small, want)
    counts = (
        "SELECT seq, key, status, rows_read, rows_loaded, rows_duplicate, rows_rejected FROM stocketl.drops ORDER BY 1"
    )
    assert rows(in_large, counts) == rows(in_small, counts)
    assert [row["key"] for row in rows(in_small, counts)] == [key for key, _ in mix]
    batches = [len(rows(database, "SELECT drops FROM stocketl.batches")) for database in (in_large, in_small)]
    assert batches[0] == 2
    assert batches[1] > 14, "the large drop must take several batches"
    for home, database in ((large, in_large), (small, in_small)):
        assert sorted(folders(home).values()) == sorted(contents)
        _assert_reconciled(database, home)
        agreed = command("verify", "--home", str(home), "--database", database)
        assert agreed.returncode == 0, agreed.stdout + agreed.stderr


def test_five_years_in_shuffled_months_equal_the_oracle(tmp_path: Path, database: str) -> None:
    """505 columns; every price, every return and every volume, to the bit."""
    lines = inputs.five_years()
    drops = inputs.one_drop_per_month(lines, seed=61)
    home = tmp_path / "home"
    _drop_all(home, [(f"month-{number:02}.csv", content) for number, content in enumerate(drops)])
    run_once(home, database, "--lake", "none")
    want = expected(drops)
    assert_same(stored(database), want)
    assert want.prices.notna().sum().sum() == len(lines)
    assert want.prices.shape[1] == 505
    assert _column_counts(database) == {"prices": 505, "returns": 505, "volume": 505}
    assert _series(database, "BRK.B") == _column(want, "BRK.B")
    _assert_reconciled(database, home)


def test_2500_tickers_live_in_four_column_groups(tmp_path: Path, database: str) -> None:
    """800 tickers a table; `series` finds a ticker of each group, and `latest` has them all."""
    drops = inputs.many_tickers(2_500, days=40, drops=4, seed=8)
    home = tmp_path / "home"
    _drop_all(home, [(f"{number}.csv", content) for number, content in enumerate(drops)])
    run_once(home, database, "--lake", "none")
    want = expected(drops)
    assert_same(stored(database), want)
    tables = rows(
        database, "SELECT table_no, count(*) AS tickers, min(id) AS one FROM stocketl.tickers GROUP BY 1 ORDER BY 1"
    )
    assert [(row["table_no"], row["tickers"]) for row in tables] == [(1, 800), (2, 800), (3, 800), (4, 100)]
    assert [_series(database, row["one"]) for row in tables] == [_column(want, row["one"]) for row in tables]
    _assert_served(database, want)


def _drop_all(home: Path, mix: list[tuple[str, bytes]], part: slice = slice(None)) -> None:
    for number in range(len(mix))[part]:
        drop(home / "input", mix[number][0], mix[number][1], number)


def _assert_reconciled(database: str, home: Path) -> None:
    """Every row that was read is loaded, duplicate or rejected, and the receipts say the same as the ledger."""
    names = ("seq", "key", "rows_read", "rows_loaded", "rows_duplicate", "rows_rejected")
    drops = [{name: row[name] for name in names} for row in rows(database, "SELECT * FROM stocketl.drops ORDER BY seq")]
    for row in drops:
        assert row["rows_read"] == row["rows_loaded"] + row["rows_duplicate"] + row["rows_rejected"], row
    told = [{name: receipt[name] for name in names} for _, receipt in sorted(receipts(home).items())]
    assert told == drops


def _assert_served(database: str, want: Tables) -> None:
    """`stocketl.latest` holds each ticker's last date."""
    latest = rows(database, "SELECT id, date, price, return, volume FROM stocketl.latest")
    got = {row["id"]: (row["date"], row["price"], row["return"], row["volume"]) for row in latest}
    assert got == {ticker: _column(want, ticker)[-1] for ticker in want.prices}


def _series(database: str, ticker: str) -> list[tuple[object, ...]]:
    series = rows(database, "SELECT date, price, return, volume FROM stocketl.series(%s)", ticker)
    return [(row["date"], row["price"], row["return"], row["volume"]) for row in series]


def _column(want: Tables, ticker: str) -> list[tuple[object, ...]]:
    """The oracle's rows of one ticker, as `series` must give them."""
    prices = want.prices[ticker].dropna()
    returns, volumes = want.returns[ticker].reindex(prices.index), want.volume[ticker].reindex(prices.index)
    return [
        (day, price, None if pd.isna(change) else change, None if volume == UNKNOWN else volume)
        for day, price, change, volume in zip(prices.index, prices, returns, volumes, strict=True)
    ]


def _column_counts(database: str) -> dict[str, int]:
    names = ("prices", "returns", "volume")
    count = sql.SQL("SELECT count(*) - 1 AS tickers FROM information_schema.columns WHERE table_name = {}")
    return {name: rows(database, count.format(sql.Literal(name)))[0]["tickers"] for name in names}
