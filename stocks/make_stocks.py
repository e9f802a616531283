"""Makes input_1.csv … input_10.csv: a small market as ten careless producers would send it, the same bytes every time.

200 tickers, 60 trading days, a random walk each. Rows come in random order, some a file or two late, some again with
a corrected price; every file has a few natural faults, and a spoiled row is sent again, in order, in the next file.

    python stocks/make_stocks.py [FOLDER]
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

Fields = dict[str, str]

SEED = 20240102
FILES, DAYS, TICKERS = 10, 60, 200
HEADER_AGAIN = "HEADER"
HOLIDAYS = ["2024-01-01", "2024-01-15", "2024-02-19", "2024-03-29"]


@dataclass(frozen=True)
class Row:
    """One line of a file: `fault` changes its fields, `raw` takes their place."""

    date: str
    ticker: int
    cents: int
    volume: int
    fault: Callable[[Fields], Fields] | None = None
    raw: str | None = None


@dataclass(frozen=True)
class Layout:
    """How one producer writes a file."""

    header: str = "date,id,price,trade_volume"
    fields: str = "{date},{id},{price},{volume}"
    id_format: str = "{}"
    volume_format: str = "{}"
    ending: str = "\n"
    start: str = ""


PLAIN = Layout()
PADDED = "{:03d}"
LAYOUTS = [
    PLAIN,
    replace(PLAIN, id_format=PADDED),
    replace(PLAIN, ending="\r\n"),
    Layout("Date,Ticker,Close,Volume", id_format=PADDED, volume_format="{}.0000"),
    replace(PLAIN, start="\ufeff"),
    Layout("trade_volume,price,id,date", "{volume},{price},{id},{date}"),
    Layout("date,id,price,trade_volume,currency", "{date},{id},{price},{volume},USD", PADDED),
    Layout(" Symbol , date , volume , close ", " {id} ,{date},{volume},{price}"),
    Layout('"date","id","price","trade_volume"', '"{date}","{id}","{price}","{volume}"', PADDED, ending="\r\n"),
    PLAIN,
]
FAULTS: list[Callable[[Fields], Fields]] = [
    lambda f: f | {"date": f["date"][:8] + "32"},
    lambda f: f | {"date": f"{f['date'][8:]}/{f['date'][5:7]}/{f['date'][:4]}"},
    lambda f: f | {"price": ""},
    lambda f: f | {"price": "-" + f["price"]},
    lambda f: f | {"price": f["price"].replace(".", ",")},
    lambda f: f | {"price": '"' + f["price"]},
    lambda f: f | {"volume": "N/A"},
    lambda f: f | {"id": ""},
    lambda f: f | {"volume": f["volume"] + ",,"},
]


def make() -> dict[str, bytes]:
    """Name and content of each file."""
    rng = np.random.default_rng(SEED)
    files = {}
    late: list[tuple[int, Row]] = []
    market = _market(rng)
    for number, rows in enumerate(_in_time(market)):
        held = rng.random(len(rows)) < 0.03
        now = [row for row, hold in zip(rows, held, strict=True) if not hold]
        now += [row for due, row in late if due <= number]
        late = [(due, row) for due, row in late if due > number]
        late += [
            (min(number + int(rng.integers(1, 3)), FILES - 1), row)
            for row, hold in zip(rows, held, strict=True)
            if hold and number < FILES - 1
        ]
        now += _corrections(rng, now)
        shuffled = [now[i] for i in rng.permutation(len(now))]
        spoiled, again = _spoil(rng, shuffled)
        late += [(number + 1, row) for row in again]
        files[f"input_{number + 1}.csv"] = _written(spoiled, LAYOUTS[number])
    return files


def _market(rng: np.random.Generator) -> list[list[Row]]:
    """The rows of each trading day: 200 random walks in cents, the newest ticker listed on day 20."""
    days = np.busday_offset(
        np.datetime64("2024-01-02"), np.arange(DAYS), holidays=[date.fromisoformat(day) for day in HOLIDAYS]
    )
    price = np.round(rng.uniform(500, 40_000, TICKERS))
    usual = np.round(10 ** rng.uniform(4, 7, TICKERS))
    market = []
    for number, day in enumerate(days):
        price = np.maximum(np.round(price * (1 + rng.normal(0.0004, 0.018, TICKERS))), 1)
        volume = np.round(usual * rng.uniform(0.4, 2.2, TICKERS))
        first = TICKERS if number >= 20 else TICKERS - 1
        market.append([Row(str(day), i, int(price[i]), int(volume[i])) for i in range(first)])
    return market


def _in_time(market: list[list[Row]]) -> list[list[Row]]:
    """Six days a file; the fifth week comes before the fourth."""
    weeks = [[row for day in market[n : n + DAYS // FILES] for row in day] for n in range(0, DAYS, DAYS // FILES)]
    weeks[3], weeks[4] = weeks[4], weeks[3]
    return weeks


def _corrections(rng: np.random.Generator, rows: list[Row]) -> list[Row]:
    """A dozen rows once more, their prices a few cents off: whichever comes last counts."""
    chosen = rng.choice(len(rows), 12, replace=False)
    return [replace(rows[i], cents=rows[i].cents + int(rng.integers(1, 40))) for i in chosen]


def _spoil(rng: np.random.Generator, rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """The rows with five of them spoiled, a blank line and a repeated header; and the five as they should be."""
    chosen = [int(i) for i in rng.choice(len(rows), 5, replace=False)]
    faults = rng.choice(len(FAULTS), 5, replace=False)
    spoiled = list(rows)
    for i, fault in zip(chosen, faults, strict=True):
        spoiled[i] = replace(rows[i], fault=FAULTS[fault])
    spoiled.insert(int(rng.integers(1, len(rows))), replace(rows[0], raw=""))
    spoiled.insert(int(rng.integers(1, len(rows))), replace(rows[0], raw=HEADER_AGAIN))
    return spoiled, [rows[i] for i in chosen]


def _written(rows: list[Row], layout: Layout) -> bytes:
    lines = [layout.header, *(_line(row, layout) for row in rows)]
    return (layout.start + "".join(line + layout.ending for line in lines)).encode()


def _line(row: Row, layout: Layout) -> str:
    if row.raw is not None:
        return row.raw.replace(HEADER_AGAIN, layout.header)
    fields = {
        "date": row.date,
        "id": layout.id_format.format(row.ticker),
        "price": f"{row.cents / 100:.2f}",
        "volume": layout.volume_format.format(row.volume),
    }
    return layout.fields.format(**(row.fault(fields) if row.fault else fields))


def main() -> None:
    """Writes the files beside this script or into the folder given."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in make().items():
        (folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
