"""Where each row stands in its file, and that the rows are those of the parser."""

from __future__ import annotations

import gzip
import random

import numpy as np
import pytest

from streaming.ticks.dedup import last_rows
from streaming.ticks.how import How
from streaming.ticks.located import Located, located
from streaming.ticks.parse import parse

BUILT_IN = How(text_ids=False, unpacked_limit=1 << 30)
TICKERS = ["A", "AA", "BRK.B", "ä", "007", "7", "date"]


def plain(found: Located, ticker: str) -> list[tuple[int, int, float, int]]:
    """(line, date, price, volume) of a ticker."""
    if ticker not in found.rows.ids:
        return []
    at = np.flatnonzero(found.rows.code == found.rows.ids.index(ticker))
    columns = (found.lines, found.rows.date, found.rows.price, found.rows.volume)
    return list(zip(*(column[at].tolist() for column in columns), strict=True))


def file_of(seed: int) -> bytes:
    """A header, and 200 lines: good ones, repeated, rejected, quoted and blank ones."""
    chance = random.Random(seed)  # noqa: S311 (a seed, not a secret)
    lines = ["date,id,price,trade_volume"]
    for _ in range(200):
        ticker = chance.choice(TICKERS)
        day = f"2024-01-{chance.randint(1, 9):02d}"
        lines.append(
            chance.choice(
                [
                    f"{day},{ticker},{chance.randint(1, 9)},",
                    f'{day}," {ticker} ",{chance.randint(1, 9)},5',
                    f"{day},{ticker},x,5",
                    f"01/02/2024,{ticker},1,5",
                    "",
                ]
            )
        )
    return "\r\n".join(lines).encode() if seed % 2 else "\n".join(lines).encode() + b"\n"


@pytest.mark.parametrize("seed", range(20))
def test_the_rows_of_one_ticker_are_those_among_all_rows(seed: int) -> None:
    """Looking only at lines that hold the ticker finds the same lines, rows and rejects that name it."""
    data = file_of(seed)
    every = located(data, "a.csv", BUILT_IN)
    for ticker in ["A", "BRK.B", "ä", "007", "date", "nobody"]:
        own = located(data, "a.csv", BUILT_IN, ticker=ticker)
        assert plain(own, ticker) == plain(every, ticker)
        naming = [line for line, text in zip(every.rejects.line, every.rejects.text, strict=True) if ticker in text]
        assert [line for line, text in zip(own.rejects.line, own.rejects.text, strict=True) if ticker in text] == naming


@pytest.mark.parametrize("seed", range(4))
def test_all_rows_are_those_that_the_parser_gives(seed: int) -> None:
    """With the last row of each cell they are its ticks, and each line holds what its row says; packed too."""
    data = file_of(seed)
    found, parsed = located(gzip.compress(data), "a.csv.gz", BUILT_IN), parse(data, "a.csv", BUILT_IN)
    ticks = last_rows(found.rows).ticks
    assert sorted(zip(ticks.code, ticks.date, ticks.price, ticks.volume, strict=True)) == sorted(
        zip(parsed.ticks.code, parsed.ticks.date, parsed.ticks.price, parsed.ticks.volume, strict=True)
    )
    texts = data.decode().split("\n")
    for line, code, price in zip(found.lines, found.rows.code, found.rows.price, strict=True):
        assert f"{price:.0f}" in texts[line - 1]
        assert found.rows.ids[code].lstrip("0") in texts[line - 1]


def test_a_last_line_without_an_end_and_neighbours_are_found() -> None:
    """The first, the last and neighbouring lines have their numbers."""
    data = b"date,id,price\n2024-01-01,A,1\n2024-01-02,A,2\n2024-01-02,B,7\n\n2024-01-03,A,3"
    found = located(data, "a.csv", BUILT_IN, ticker="A")
    assert [(line, price) for line, _, price, _ in plain(found, "A")] == [(2, 1.0), (3, 2.0), (6, 3.0)]


def test_a_line_that_is_too_long_is_one_line() -> None:
    """It is cut, and the lines after it keep their numbers."""
    long = b"2024-01-01,A,1," + b"0" * (9 << 20)
    data = (
        b"date,id,price,trade_volume\n2024-01-01,A,1,\n" + long + b"\n2024-01-02,A,2,\n2024-01-02,B,7,\n2024-01-03,A,3,"
    )
    found = located(data, "a.csv", BUILT_IN, ticker="A")
    assert [(line, price) for line, _, price, _ in plain(found, "A")] == [(2, 1.0), (4, 2.0), (6, 3.0)]
    assert (found.rejects.line, found.rejects.reason) == ([3], ["line-too-long"])
