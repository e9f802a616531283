"""Names of a header → the places of date, ticker, price and volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.ticks.names import DATE, ID, KNOWN, MEANT, PRICE, REQUIRED, VOLUME, candidates, meaning_before, plain
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Collection

    from streaming.ticks.rules import Rules

Places = dict[str, list[int]]
"""By column, where the names stand that could be it."""
Columns = tuple[int | None, int | None, int | None, int | None]

DELIMITERS = (",", ";", "\t", "|")
_IGNORED_SHOWN, _NAME_SHOWN = 50, 60


def places_before(names: list[str]) -> Places:
    """By the names that were known before there were profiles."""
    found: Places = {column: [] for column in REQUIRED}
    for place, name in enumerate(names):
        column = meaning_before(name)
        if column is not None:
            found[column].append(place)
    return found


def places_of(names: list[str], rules: Rules) -> Places:
    """By the names that are known, and those that the profile gives in their stead."""
    found = candidates(names)
    profile = rules.profile
    if profile is None:
        return found
    given = {
        DATE: profile.date_column,
        ID: profile.ticker_column,
        PRICE: profile.price,
        VOLUME: profile.volume_column,
    }
    for column, name in given.items():
        if name is not None:
            found[column] = _named(name, names)
    if profile.volume is False:
        found[VOLUME] = []
    if rules.fixed_ticker is not None or profile.wide:
        found[ID] = []
    if rules.fixed_day is not None:
        found[DATE] = []
    if profile.wide:
        found[PRICE] = found[VOLUME] = []
    # a column that the profile gives is not also another one, by its known name
    taken = {place for column, name in given.items() if name is not None for place in found[column]}
    return {
        column: places if given[column] is not None else [place for place in places if place not in taken]
        for column, places in found.items()
    }


def columns_of(names: list[str], places: Places, rules: Rules) -> Columns:
    """The one place of each column, None where there is none. Raises UnreadableError if there are several."""
    twice = {column: found for column, found in places.items() if len(found) > 1}
    if twice:
        raise UnreadableError(_more_than_one(names, twice, rules))
    date, ticker, price, volume = (next(iter(places[column]), None) for column in REQUIRED)
    return date, ticker, price, volume


def spellings(column: str) -> str:
    """A column with all its names."""
    own = plain(column)
    others = [name for name in KNOWN[column] if name != own]
    return f"'{column}' (also {', '.join(others)})" if others else f"'{column}'"


def ignored(names: list[str], used: Collection[int | None]) -> list[str]:
    """The other columns, bounded in number and length."""
    others = [
        name[:_NAME_SHOWN] or f"(column {place + 1}, without a name)"
        for place, name in enumerate(names)
        if place not in used
    ]
    more = len(others) - _IGNORED_SHOWN
    return [*others[:_IGNORED_SHOWN], f"(and {more} more)"] if more > 0 else others


def excerpt(text: str) -> str:
    """A text as it is shown."""
    return repr(text if len(text) <= 100 else text[:99] + "…")


def _named(name: str, names: list[str]) -> list[int]:
    exact = [place for place, found in enumerate(names) if found == name]
    return exact or [place for place, found in enumerate(names) if plain(found) == plain(name)]


def _more_than_one(names: list[str], twice: Places, rules: Rules) -> str:
    told = "; ".join(
        f"{', '.join(f'{names[place][:60]!r} (column {place + 1})' for place in places[:5])} could each be the "
        f"{MEANT[column]}"
        for column, places in twice.items()
    )
    if rules.before:
        return f"the header names {told}"
    column, places = next(iter(twice.items()))
    apart = len({names[place] for place in places}) > 1
    either = " or ".join(f'{MEANT[column]} = "{names[place][:60]}"' for place in places[:3])
    cure = f"a profile says which: {either}" if apart else "give each its own name"
    return f"the header names more than one: {told}; {cure}. `stocketl sniff FILE` proposes one"
