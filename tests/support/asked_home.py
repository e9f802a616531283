"""A home for tests that ask: some files of hostile tickers, three in a table, and the cells that they must give."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
from loaded_home import LoadedHome
from tables import Tables, expected

from streaming.ledger import tickers as placement
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

HOSTILE = ["AAPL", "BRK.B", "{x,y}", "%s%I", "a\\b'c", "é" * 29 + "x", "NULL", "007", "; DROP TABLE prices; --"]
README = (
    "date,id,price,trade_volume\n2024-01-02,AAPL,128.00,5000\n2024-01-03,AAPL,130.00,\n2024-01-03,MSFT,370.10,1200\n"
)


class AskedHome(LoadedHome):
    """files: what was loaded, in order; `want`: the tables that these files must leave behind."""

    def __init__(self, database: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(placement, "TICKERS_PER_TABLE", 3)
        super().__init__(load(environment=False, home=str(folder), database=database))
        self.uri = database
        self.files: list[str] = []

    def drop(self, content: str) -> None:
        """One more file."""
        self.files.append(content)
        self.load(f"{len(self.files)}.csv", content)

    def drop_hostile(self, seed: int, ids: list[str] = HOSTILE, dates: int = 9) -> None:
        """One more file of random cells, with prices that 15 digits would not hold."""
        rng = np.random.default_rng(seed)
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(["date", "id", "price", "trade_volume"])
        for day in range(dates):
            for ticker in ids:
                if rng.random() < 0.6:
                    volume = str(rng.integers(0, 2**63 - 1)) if rng.random() < 0.7 else ""
                    price = rng.random() * 10.0 ** rng.integers(-7, 11)
                    rows.writerow([f"2024-01-{day + 1:02}", ticker, repr(float(price)), volume])
        self.drop(text.getvalue())

    @property
    def want(self) -> Tables:
        """As the oracle makes them."""
        return expected(content.encode() for content in self.files)
