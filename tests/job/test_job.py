"""The whole job on five years of real prices and on 2,500 tickers, against the oracle."""

from __future__ import annotations

from typing import TYPE_CHECKING

import inputs
import pytest
from job_process import drop, run_once
from outcome import rows
from psycopg2 import sql
from served import assert_reconciled, assert_served, column, series
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark


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
    assert series(database, "BRK.B") == column(want, "BRK.B")
    assert_reconciled(database, home)


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
    assert [series(database, row["one"]) for row in tables] == [column(want, row["one"]) for row in tables]
    assert_served(database, want)


def _drop_all(home: Path, mix: list[tuple[str, bytes]], part: slice = slice(None)) -> None:
    for number in range(len(mix))[part]:
        drop(home / "input", mix[number][0], mix[number][1], number)


def _column_counts(database: str) -> dict[str, int]:
    names = ("prices", "returns", "volume")
    count = sql.SQL("SELECT count(*) - 1 AS tickers FROM information_schema.columns WHERE table_name = {}")
    return {name: rows(database, count.format(sql.Literal(name)))[0]["tickers"] for name in names}
