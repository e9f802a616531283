"""What the texts of a column can be: which formats of dates fit all of them, and how their numbers are written."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streaming.ticks.dates import dates_of
from streaming.ticks.fields import day_number, day_of
from streaming.ticks.numbers import Numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

_DAY_FIRST = tuple(f"{a}{sign}{b}{sign}{y}" for sign in "/.-" for a, b in (("%d", "%m"),) for y in ("%Y", "%y"))
_MONTH_FIRST = tuple(text.replace("%d", "%1").replace("%m", "%d").replace("%1", "%m") for text in _DAY_FIRST)
_YEAR_FIRST = ("%Y.%m.%d", "%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日", "%y%m%d")
_NAMED = tuple(f"%d{sign}{month}{sign}{year}" for sign in "- /" for month in ("%b", "%B") for year in ("%Y", "%y"))
_NAMED += (
    "%b %d, %Y",
    "%B %d, %Y",
    "%d%b%Y",
    "%d%b%y",
    "%b-%d-%Y",
    "%b %d %Y",
    "%a, %d %b %Y",
    "%a %b %d %Y",
    "%d. %b %Y",
)
_CLOCKS = ("", " %H:%M", " %H:%M:%S", " %I:%M %p", "T%H:%M:%S", " %H%M%S")
_EPOCHS = {10: "unix-s", 13: "unix-ms", 16: "unix-us", 19: "unix-ns"}
_IN_KEY = {
    "[0-9]{4}-[0-9]{2}-[0-9]{2}": ("%Y-%m-%d",),
    "[0-9]{2}[A-Za-z]{3}[0-9]{4}": ("%d%b%Y",),
    "[0-9]{8}": ("%Y%m%d", "%d%m%Y", "%m%d%Y"),
    "[0-9]{6}": ("%y%m%d", "%d%m%y", "%m%d%y"),
}
_RANGE = (day_number(1950, 1, 1), day_number(2100, 1, 1))
_ENOUGH = 0.95
_SIGNS = ("$", "€", "£", "¥", "₹", "USD", "EUR", "GBP", "CHF", "Rs.", "R$", "kr")
_NUMBER = re.compile(r"[+-]?[0-9][0-9.,'\u2019\u00a0\u202f ]*(?:[eE][+-]?[0-9]+)?%?")


def is_date_like(text: str) -> bool:
    """Whether a text looks like a date; a plain number does not."""
    return day_of(text) is not None or bool(
        re.match(r"\d{1,4}([./-])(\d{1,2}|[A-Za-z]{3,9})\1\d{1,4}", text)
        or re.match(r"(\d{1,2}[ -]?)?[A-Za-z]{3,9}\.?[ -]?\d{1,2},? ?\d{2,4}", text)
        or re.fullmatch(r"1[0-9]{9}(?:[0-9]{3}){0,3}", text)
    )


def is_number_like(text: str) -> bool:
    """Whether a text looks like a number, however it is written."""
    bare = text
    for sign in _SIGNS:
        bare = bare.removeprefix(sign).removesuffix(sign).strip()
    return _NUMBER.fullmatch(bare[:-1] if bare[-1:] in "KMBTkmbt" else bare) is not None


def date_formats(texts: Sequence[str]) -> list[str]:
    """Formats that read the texts: `` is the contract's own; several if day and month cannot be told apart."""
    some = list(dict.fromkeys(texts))[:400]
    if not some:
        return []
    width = Counter(map(len, some)).most_common(1)[0][0]
    by_width = [_EPOCHS[width]] if width in _EPOCHS else ["excel"] if width == 5 else []
    for pattern in ("", *by_width):
        if _fits(pattern, some):
            return [pattern]
    for clock in _CLOCKS:
        certain = [pattern + clock for pattern in (*_YEAR_FIRST, *_NAMED) if _fits(pattern + clock, some)]
        either = [pattern + clock for pattern in (*_DAY_FIRST, *_MONTH_FIRST) if _fits(pattern + clock, some)]
        if certain or either:
            return certain[:1] or either
    return []


def date_of_key(key: str) -> dict[str, str]:
    """By format, the pattern of the date in the name of a file; several formats if it can be read in several ways."""
    name = key.rpartition("/")[2]
    for form, formats in _IN_KEY.items():
        found = re.search(rf"(?<![0-9])({form})(?![0-9])", name)
        if found is None:
            continue
        fitting = [pattern for pattern in formats if _fits(pattern, [found[1]])]
        if fitting:
            return dict.fromkeys(fitting, f"(?P<date>{form})")
    return {}


def is_day_first(pattern: str) -> bool:
    """Of the formats with the month as a number."""
    return pattern.startswith("%d")


def midnights(texts: Sequence[str], pattern: str, zone: str) -> bool:
    """Whether all instants are midnight in a zone."""
    read = dates_of(pattern, zone)
    dated = [read(text) for text in texts[:200]]
    return bool(dated) and all(found is not None and not found[1] for found in dated)


def _fits(pattern: str, texts: Sequence[str]) -> bool:
    read = dates_of(pattern or None, "UTC" if pattern.startswith("unix") else None)
    dated = [read(text) for text in texts]
    good = sum(found is not None and _RANGE[0] <= found[0] <= _RANGE[1] for found in dated)  # type: ignore[operator]
    return good >= _ENOUGH * len(texts)


@dataclass
class Evidence:
    """What the numbers of a file say of how they are written. both_ways: `1,234`, which says nothing."""

    decimal: Counter[str] = field(default_factory=Counter)
    thousands: Counter[str] = field(default_factory=Counter)
    signs: Counter[str] = field(default_factory=Counter)
    suffixes: int = 0
    both_ways: int = 0

    def add(self, text: str) -> None:
        """Takes one number."""
        for sign in _SIGNS:
            if text.startswith(sign) or text.endswith(sign):
                self.signs[sign] += 1
                text = text.removeprefix(sign).removesuffix(sign).strip()
                break
        if text[-1:] in "KMBTkmbt" and text[:1].isdigit():
            self.suffixes += 1
            text = text[:-1]
        if not _NUMBER.fullmatch(text):
            return
        for sign in "'\u2019 \u00a0\u202f":
            if re.search(rf"\d{sign}\d{{3}}(?!\d)", text):
                self.thousands[" " if sign in " \u00a0\u202f" else sign] += 1
        self._separators(text)

    def _separators(self, text: str) -> None:
        marks = [letter for letter in text if letter in ".,"]
        if not marks:
            return
        last = marks[-1]
        behind = re.match(r"\d*", text[text.rindex(last) + 1 :])
        if len(set(marks)) == 2:
            self.decimal[last] += 1
            self.thousands["," if last == "." else "."] += 1
        elif len(marks) > 1:
            self.thousands[last] += 1
        elif last == "," and behind is not None and len(behind[0]) == 3 and not text.startswith("0"):
            self.both_ways += 1
        elif last == ",":
            self.decimal[","] += 1
        elif behind is not None and len(behind[0]) != 3:
            self.decimal["."] += 1

    def numbers(self) -> Numbers | None:
        """How they are written; None if it can be one or the other."""
        comma = self.decimal[","] > self.decimal["."] or self.thousands["."] > self.thousands[","]
        thousands = next((sign for sign, _ in self.thousands.most_common() if sign != ("," if comma else ".")), "")
        if self.both_ways and not comma and not thousands:
            if not self.decimal["."]:
                return None
            thousands = ","
        return Numbers(
            "," if comma else ".", thousands, tuple(sign for sign, _ in self.signs.most_common(2)), self.suffixes > 0
        )
