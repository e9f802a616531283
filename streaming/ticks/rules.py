"""How the fields of one drop are read: by the contract alone, as before there were profiles, or by a profile."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from functools import cached_property
from typing import TYPE_CHECKING

from streaming.packets import UNKNOWN_VOLUME
from streaming.profiles.profile import WIDE_ENCODINGS, DateColumn, DateOfKey, Profile, TickerOfKey, VolumeColumn
from streaming.ticks.dates import dates_of
from streaming.ticks.fields import (
    BLANKS,
    MAX_PRICE,
    MAX_VOLUME,
    MIN_PRICE,
    UNREADABLE,
    dated_of,
    id_of,
    price_of,
    strict_day_of,
    unguarded,
    volume_of,
)
from streaming.ticks.numbers import PLAIN, Numbers
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.ticks.dates import Dated

BEFORE = "1"
"""How drops were read before there were profiles: the names of the contract, commas, ISO dates, whole volumes."""
BUILT_IN = "2"
"""How drops are read without a profile. A profile is named by its digest."""


_DECIMAL = re.compile(r"\+?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?")


@dataclass(frozen=True)
class Rules:
    """Made by `rules_of`.

    fixed_ticker, fixed_day: of all rows, if the key gives them; where: texts that columns must have, by name; zone:
    whose days are meant, if the profile says so.
    """

    text_ids: bool
    before: bool = False
    profile: Profile | None = None
    numbers: Numbers = PLAIN
    dated: Callable[[str], Dated | None] = dated_of
    unknown: frozenset[str] = frozenset()
    fixed_ticker: str | None = None
    fixed_day: int | None = None
    where: dict[str, frozenset[str]] = field(default_factory=dict)
    price_factor: float = 1.0
    volume_factor: int = 1
    zone: str | None = None

    @property
    def keep_first(self) -> bool:
        """Whether the first row of a (date, ticker) counts, not the last."""
        return self.profile is not None and self.profile.rows is not None and self.profile.rows.keep == "first"

    @property
    def decides(self) -> bool:
        """Whether the profile says which of several rows of one (date, ticker) counts."""
        return self.profile is not None and self.profile.rows is not None

    @property
    def encoding(self) -> str:
        """Of the bytes that are parsed; what takes more than a byte a letter is UTF-8 by then (`unpack`)."""
        if self.profile is None or self.profile.csv.encoding in WIDE_ENCODINGS:
            return "utf-8"
        return self.profile.csv.encoding

    def day(self, text: str) -> Dated | None:
        """The day, and whether it has a time other than midnight; None if it is no date."""
        if self.before:
            day = strict_day_of(text)
            return None if day is None else (day, False)
        return self.dated(text)

    def ticker(self, text: str) -> str | None:
        """The ticker in its one spelling; None if it is none."""
        bare = text if self.before else unguarded(text)
        return None if bare is None else id_of(bare, text_ids=self.text_ids)

    def price(self, text: str) -> float | None:
        """The price, scaled; None if it is none."""
        plain = self.numbers.plain(text)
        price = None if plain is None else price_of(plain)
        if price is None or self.price_factor == 1.0:
            return price
        scaled = price * self.price_factor if self.shift is None else float(Decimal(plain or "").scaleb(self.shift))
        return scaled if MIN_PRICE <= scaled <= MAX_PRICE else None

    @cached_property
    def shift(self) -> int | None:
        """By how many digits the point of a price moves, if its scale is a power of ten: 0.01 itself is no float64."""
        power = round(math.log10(self.price_factor))
        return power if self.price_factor == float(f"1e{power}") else None

    def volume(self, text: str) -> int:
        """The volume, scaled; `UNKNOWN_VOLUME` if there is none, `UNREADABLE` if it is no whole number."""
        if text in self.unknown:
            return UNKNOWN_VOLUME
        plain = self.numbers.plain(text) if text else text
        if plain is None:
            return UNREADABLE
        volume = volume_of(plain, strict=self.before)
        if self.volume_factor == 1 or volume == UNKNOWN_VOLUME:
            return volume
        return _scaled_volume(plain, self.volume_factor)


def rules_of(profile: Profile | None, key: str, *, text_ids: bool, before: bool = False) -> Rules:
    """The rules for a drop. before: it was read when there were no profiles.

    Raises UnreadableError if the profile wants a part of the key that this one does not have.
    """
    if profile is None:
        return Rules(text_ids, before)
    date, volume = profile.date, profile.volume
    dated = dates_of(date.format, date.zone) if isinstance(date, DateColumn | DateOfKey) else dated_of
    csv = profile.csv
    rules = Rules(
        text_ids,
        profile=profile,
        numbers=Numbers(csv.decimal, csv.thousands or "", profile.currency, profile.suffixes),
        dated=dated,
        unknown=frozenset(volume.unknown if isinstance(volume, VolumeColumn) else ()),
        where={name: frozenset(texts) for name, texts in (profile.rows.where if profile.rows else {}).items()},
        price_factor=profile.scale.price,
        volume_factor=profile.scale.volume,
        zone=date.zone if isinstance(date, DateColumn) else None,
    )
    return _with_parts_of_key(rules, profile, key)


def _with_parts_of_key(rules: Rules, profile: Profile, key: str) -> Rules:
    fixed_ticker, fixed_day = rules.fixed_ticker, rules.fixed_day
    if isinstance(profile.ticker, TickerOfKey):
        text = _part_of_key(profile.ticker.pattern, "ticker", key)
        ticker = rules.ticker(text)
        if ticker is None:
            msg = f"the name of the file gives no ticker: {text!r}; correct the pattern of the profile {profile.name!r}"
            raise UnreadableError(msg)
        fixed_ticker = ticker
    if isinstance(profile.date, DateOfKey):
        text = _part_of_key(profile.date.pattern, "date", key)
        dated = rules.day(text)
        if dated is None:
            msg = f"the name of the file gives no date: {text!r}; correct the format of the profile {profile.name!r}"
            raise UnreadableError(msg)
        fixed_day = dated[0]
    return replace(rules, fixed_ticker=fixed_ticker, fixed_day=fixed_day)


def _part_of_key(pattern: str, group: str, key: str) -> str:
    found = re.search(pattern, key)
    if found is None or found[group] is None:
        msg = f"the name of the file does not fit {pattern!r}, from which its profile takes the {group}: {key[-100:]!r}"
        raise UnreadableError(msg)
    return found[group].strip(BLANKS)


def _scaled_volume(plain: str, factor: int) -> int:
    """By exact arithmetic: 68.18 thousand is a whole number."""
    found = _DECIMAL.fullmatch(plain)
    if found is None or len(plain) > 60 or len(found[1] or "") > 3:
        return UNREADABLE
    number = Fraction(Decimal(plain)) * factor
    return int(number) if number.denominator == 1 and number <= MAX_VOLUME else UNREADABLE
