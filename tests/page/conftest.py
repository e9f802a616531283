"""A database with two groups of tickers, some drops, and the page on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from loaded_home import LoadedHome
from page_server import PageServer

from streaming.ledger import tickers
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from databases import Databases

HEADER = "date,id,price,trade_volume\n"
IMAGE = "<img src=x onerror=document.title='hit'>.csv"
SCRIPT = '"><script>document.title="hit"</script>'


def rows(*ids: str, first: float = 100.0, days: int = 5) -> str:
    """Prices of some tickers on the first days of March 2024, each day one higher."""
    return "".join(
        f"2024-03-{day:02},{ticker},{first + at + day},{1000 * day}\n"
        for day in range(4, 4 + days)
        for at, ticker in enumerate(ids)
    )


@pytest.fixture(scope="module")
def loaded(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LoadedHome]:
    """Four tickers in tables of two each, one that lacks a date, and names that are markup."""
    folder: Path = tmp_path_factory.mktemp("page")
    uri = databases.create(f"page_{folder.name.replace('-', '_')}")
    home = LoadedHome(load(environment=False, home=str(folder / "home"), database=uri))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tickers, "TICKERS_PER_TABLE", 2)
        home.load("a.csv", HEADER + rows("AAPL", "BRK.B", "MSFT"))
        quoted = SCRIPT.replace('"', '""')
        home.load(IMAGE, f'{HEADER}2024-03-04,"{quoted}",10,5\n2024-03-05,"{quoted}",11,5\nnope,<b>x</b>,1,1\n')
        home.load("late/corrected.csv", HEADER + "2024-03-05,AAPL,200,1\n2024-03-05,MSFT,50,\n")
        home.load("broken.csv", "nothing,of,use\n1,2,3\n")
    yield home
    home.close()


@pytest.fixture(scope="module")
def page(loaded: LoadedHome) -> Iterator[PageServer]:
    """The page on it."""
    options = ("--home", str(loaded.settings.home), "--database", str(loaded.settings.database))
    with PageServer(*options) as server:
        yield server
