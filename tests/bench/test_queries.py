"""The ten queries of docs/ten-queries.md give what the same queries on a plain long table give."""

from __future__ import annotations

import contextlib
import csv
from typing import TYPE_CHECKING, Any

import inputs
import numpy as np
import pandas as pd
import psycopg2
import pytest
from loaded_home import LoadedHome

from bench import queries
from streaming.settings import load

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from databases import Databases

FIRST, END = "2016-05-01", "2017-07-01"
NAMED = ("AAPL", "MSFT", "JPM", "XOM", "GE")


def months() -> dict[str, list[str]]:
    """The lines of five years from FIRST to END, by month; the made set gets the names that the page asks for."""
    found: dict[str, list[str]] = {}
    lines = inputs.five_years()
    made = not any(line.split(",")[1] == "AAPL" for line in lines)
    names = {f"T{number}": name for number, name in enumerate(NAMED)} if made else {}
    for line in lines:
        if FIRST <= line < END:
            date, ticker, rest = line.split(",", 2)
            found.setdefault(date[:7], []).append(f"{date},{names.get(ticker, ticker)},{rest}")
    return dict(sorted(found.items()))


@pytest.fixture(scope="module")
def uri(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the set, one drop a month, and the plain table of the same lines, made by pandas."""
    made = databases.create("ten_queries")
    folder: Path = tmp_path_factory.mktemp("ten-queries")
    with contextlib.closing(LoadedHome(load(environment=False, home=str(folder), database=made))) as home:
        for month, lines in months().items():
            home.load(f"{month}.csv", "\n".join([inputs.HEADER, *lines, ""]))
    with contextlib.closing(psycopg2.connect(made)) as connection, connection, connection.cursor() as cur:
        cur.execute("SELECT key, loaded_at FROM stocketl.drops")
        plain = _plain(dict(cur.fetchall()), folder)
        cur.execute(
            "CREATE SCHEMA plain; CREATE TABLE plain.ticks (date date, id text, price float8, volume bigint,"
            " return float8, key text, loaded_at timestamptz)"
        )
        with plain.open() as rows:
            cur.copy_expert("COPY plain.ticks FROM STDIN (FORMAT csv, HEADER)", rows)
    return made


def _plain(loaded: dict[str, dt.datetime], folder: Path) -> Path:
    frame = pd.DataFrame(
        [(*next(csv.reader([line])), f"{month}.csv") for month, lines in months().items() for line in lines],
        columns=["date", "id", "price", "volume", "key"],
    )
    frame["price"] = frame["price"].astype(float)
    frame = frame.sort_values(["id", "date"])
    frame.insert(4, "return", frame.groupby("id")["price"].pct_change(fill_method=None))
    frame["loaded_at"] = frame["key"].map(loaded)
    file = folder / "plain.csv"
    frame.to_csv(file, index=False)
    return file


def rows(uri: str, query: str) -> list[tuple[Any, ...]]:
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection.cursor() as cur:
        cur.execute(query)
        return cur.fetchall()


@pytest.mark.parametrize("number", [number for number, (_, query) in queries.asked().items() if query])
def test_a_query_gives_what_a_plain_table_gives(uri: str, number: str) -> None:
    """The same rows in the same order; what was summed in another order may differ in its last digits."""
    _, query = queries.asked()[number]
    got, want = rows(uri, query), rows(uri, queries.PLAIN[number])
    if number == "8":  # the batch that made it visible came with the last drop
        assert got[0][0] == want[0][0]
        assert got[0][1] >= want[0][1]
        return
    if number == "10":
        got, want = sorted(got), sorted(want)
    assert len(got) == len(want) > 0
    for ours, plain in zip(got, want, strict=True):
        if number in {"4", "6"}:
            assert (ours[0], ours[1]) == (plain[0], pytest.approx(plain[1], rel=1e-9))
        else:
            assert ours == plain


def test_the_correlation_is_that_of_a_pivoted_plain_table(uri: str) -> None:
    """The page's lines of Python give one row and one column for each ticker."""
    got = queries.correlation(uri)
    plain = pd.DataFrame(rows(uri, queries.PLAIN["7"]), columns=["date", "id", "return"])
    want = plain.pivot_table(index="date", columns="id", values="return").corr()
    assert set(want.columns) <= set(got.columns)  # the others have no return in these dates
    want = want.reindex(index=got.index, columns=got.columns)
    np.testing.assert_allclose(got.to_numpy(), want.to_numpy(), atol=1e-12)


def test_the_page_has_ten_queries_and_each_has_its_peer() -> None:
    """The headings are numbered from 1 to 10."""
    assert list(queries.asked()) == list(queries.PLAIN) == [str(number) for number in range(1, 11)]
