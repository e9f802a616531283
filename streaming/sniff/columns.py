"""Which columns of a sample are date, ticker, price and volume: by their names, and by what they hold."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streaming.sniff.names import OTHER_PRICES, best
from streaming.sniff.values import date_formats, is_date_like, is_number_like
from streaming.ticks.names import DATE, ID, MEANT, PRICE, REQUIRED, VOLUME, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming.sniff.sample import Sample

_OHLC = ["date", "open", "high", "low", "close", "volume"]


@dataclass
class Chosen:
    """places: by column; header: the names, if no line of the file gives them; more_lines: of the header to skip."""

    places: dict[str, int | None] = field(default_factory=dict)
    header: list[str] | None = None
    more_lines: int = 0
    wide: bool = False
    ticker_from_key: bool = False
    doubts: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)


def choose(sample: Sample, given: Mapping[str, str], *, key_has_date: bool) -> Chosen:
    """given: the names that the person gave, by `date`, `ticker`, `price`, `volume`."""
    chosen = Chosen()
    names = sample.names
    if names is not None and _has_two_levels(sample):
        _two_levels(sample, chosen)
        names = chosen.header
    elif names is None:
        names = chosen.header = _by_content(sample, chosen)
    for column in REQUIRED:
        _choose_one(column, names or [], sample, given, chosen)
    if chosen.wide or _is_wide(names or [], sample, chosen):
        chosen.wide = True
        chosen.places |= {ID: None, PRICE: None, VOLUME: None}
    elif chosen.places[ID] is None:
        chosen.ticker_from_key = True
        chosen.doubts.append("no column holds the ticker: it is taken from the name of the file")
    for column in (*(() if key_has_date else (DATE,)), *(() if chosen.wide else (PRICE,))):
        if chosen.places[column] is None and not chosen.questions:
            chosen.questions.append(f"which column is the {MEANT[column]}? --{MEANT[column]} NAME, of {names!r:.300}")
    return chosen


def _choose_one(column: str, names: list[str], sample: Sample, given: Mapping[str, str], chosen: Chosen) -> None:
    name = given.get(MEANT[column])
    if name is not None:
        if name not in names:
            chosen.questions.append(f"there is no column {name!r}; the columns are {names!r:.300}")
            chosen.places[column] = None
            return
        chosen.places[column] = names.index(name)
        return
    taken = set(chosen.places.values())
    found = [place for place in best(column, names) if place not in taken]
    found = [place for place in found if _can_be(column, sample.column(place))] or found[:0]
    if len(found) > 1:
        said = ", ".join(repr(names[place]) for place in found)
        chosen.questions.append(f"which column is the {MEANT[column]}: {said}? --{MEANT[column]} NAME")
    chosen.places[column] = found[0] if found else None
    if found and column == PRICE and "adj" in plain(names[found[0]]):
        chosen.doubts.append(f"{names[found[0]]!r} is adjusted: all its prices change with each dividend and split")


def _can_be(column: str, texts: list[str]) -> bool:
    if not texts:
        return True
    some = texts[:100]
    if column == DATE:
        return bool(date_formats(some))
    numbers = sum(map(is_number_like, some))
    if column == ID:
        return not any(map(is_date_like, some[:20]))
    return column == VOLUME or numbers >= len(some) / 2


def _is_wide(names: list[str], sample: Sample, chosen: Chosen) -> bool:
    others = [place for place in range(len(names)) if place != chosen.places[DATE] and names[place]]
    if chosen.places[DATE] is None or chosen.places[PRICE] is not None or chosen.places[ID] is not None:
        return False
    known = OTHER_PRICES & {plain(name) for name in names}
    return (
        len(others) > 1 and not known and all(all(map(is_number_like, sample.column(place)[:50])) for place in others)
    )


def _has_two_levels(sample: Sample) -> bool:
    """`Price,Close,…` above `Ticker,AAPL,…` above `Date,,…`."""
    first = [plain(row[0]) for row in sample.rows[:2]]
    return plain((sample.names or [""])[0]) in ("price", "attributes") and first == ["ticker", "date"]


def _two_levels(sample: Sample, chosen: Chosen) -> None:
    tickers, fields = sample.rows[0], [plain(name) for name in sample.names or []]
    chosen.more_lines = 2
    several = len(set(tickers[1:])) > 1
    if several:
        closes = [ticker if name == "close" else "" for ticker, name in zip(tickers, fields, strict=True)]
        chosen.header, chosen.wide = ["date", *closes[1:]], True
        chosen.doubts.append("of several columns a ticker only the close is read: prices without volumes")
    else:
        chosen.header = ["date", *fields[1:]]
    del sample.rows[:2]


def _by_content(sample: Sample, chosen: Chosen) -> list[str]:
    """Names for a file without any: date, time, then as MetaTrader, LEAN and most others have it."""
    row = sample.rows[0]
    width = len(row)
    names = [f"column {place + 1}" for place in range(width)]
    date = next((place for place in range(width) if is_date_like(row[place])), None)
    if date is not None:
        names[date] = "date"
    texts = [
        place
        for place in range(width)
        if place != date and not all(map(is_number_like, sample.column(place)[:50])) and ":" not in row[place]
    ]
    if texts:
        names[texts[0]] = "ticker"
    numbers = [place for place in range(width) if place not in {date, *texts[:1]} and _is_number(sample, place)]
    wanted = {5: _OHLC[1:], 4: _OHLC[1:5], 6: [*_OHLC[1:], "more"], 2: ["close", "volume"], 1: ["close"]}
    for place, name in zip(numbers, wanted.get(len(numbers), []), strict=False):
        names[place] = name
    chosen.doubts.append("no line names the columns: they are taken in the usual order, open, high, low, close, volume")
    return names


def _is_number(sample: Sample, place: int) -> bool:
    some = sample.column(place)[:50]
    return bool(some) and all(is_number_like(text) for text in some)
