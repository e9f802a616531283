"""`profiles.toml` → profiles; an error names the line, the key, and what was expected there."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

from pydantic import ValidationError

from streaming.errors import SettingsError
from streaming.profiles.profile import Profile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

_ENTRY = re.compile(r"\s*\[\[\s*profile\s*\]\]")
_KINDS = {"missing": "expected this key, got none", "extra_forbidden": "there is no such key"}
_UNIONS = re.compile(r"^(str|constrained-str|function-.*|TickerOfKey|Date(OfKey|Column)|VolumeColumn|literal.*)$")


def parse_profiles(text: str, where: str) -> list[Profile]:
    """The profiles in their order. where: the name of the file, for the message.

    Raises SettingsError with the first thing that is wrong.
    """
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        msg = f"{where}: expected TOML: {error}"
        raise SettingsError(msg) from None
    entries = found.pop("profile", [])
    if found or not isinstance(entries, list):
        key = next(iter(found), "profile")
        msg = f"{where}, line {_line_of(text.splitlines(), key)}: {key}: expected entries that begin with [[profile]]"
        raise SettingsError(msg)
    profiles = [_profile(entry, number, text, where) for number, entry in enumerate(entries)]
    names = [profile.name for profile in profiles]
    for number, name in enumerate(names):
        if name in names[:number]:
            begin, lines = _entry_lines(text, number)
            msg = f"{where}, line {begin + _line_of(lines, 'name')}: name: two profiles are called {name!r}"
            raise SettingsError(msg)
    return profiles


def _profile(entry: object, number: int, text: str, where: str) -> Profile:
    try:
        return Profile.model_validate(entry)
    except ValidationError as error:
        begin, lines = _entry_lines(text, number)
        keys, said = _complaint(error.errors(), entry)
        name = entry.get("name") if isinstance(entry, dict) else None
        of = f" (profile {name!r})" if isinstance(name, str) else ""
        line = begin + _line_of(lines, *keys)
        msg = f"{where}, line {line}: {'.'.join(keys) or '[[profile]]'}{of}: {said}"
        raise SettingsError(msg) from None


def _complaint(errors: Sequence[ErrorDetails], entry: object) -> tuple[list[str], str]:
    """The keys and the words of the error that fits what was written best: a value may be tried in several ways."""
    best = max(errors, key=lambda error: (_fits(error, entry), -errors.index(error)))
    keys = [str(part) for part in best["loc"] if not _UNIONS.match(str(part)) and not isinstance(part, int)]
    if best["type"] in _KINDS:
        said = _KINDS[best["type"]]
    elif best["type"] == "model_type":
        or_text = {"rows": '"last", "first" or '}.get(keys[-1] if keys else "", "")
        said = f"expected {or_text}a table {{ … }}, got {best['input']!r:.60}"
    elif best["type"] == "value_error":
        said = str(best["ctx"]["error"])
    else:
        said = f"{best['msg'][0].lower()}{best['msg'][1:]}".replace("input should be", "expected")
    twice = re.search(r"the column '(.+)' is (?:given twice|not in)", said)
    if twice and isinstance(entry, dict):
        keys = [key for key, value in entry.items() if twice[1] in str(value) and key not in ("name", "files")][-1:]
    return keys, said


def _fits(error: ErrorDetails, entry: object) -> int:
    """A branch of a union that is for another type of value says nothing."""
    given = entry
    for part in error["loc"]:
        if isinstance(given, dict) and part in given:
            given = given[part]
    is_table = isinstance(given, dict)
    if error["type"] == "value_error":
        return 3
    if error["type"] in ("string_type", "literal_error") and is_table:
        return 0
    if error["type"] == "extra_forbidden":
        return 2
    return 1 if error["type"] != "model_type" else 0


def _entry_lines(text: str, number: int) -> tuple[int, list[str]]:
    """How many lines stand before an entry, and its own lines."""
    lines = text.splitlines()
    starts = [place for place, line in enumerate(lines) if _ENTRY.match(line)]
    if number >= len(starts):
        return 0, lines
    end = starts[number + 1] if number + 1 < len(starts) else len(lines)
    return starts[number], lines[starts[number] : end]


def _line_of(lines: list[str], *keys: str) -> int:
    """The line, counted from 1, where the innermost of these keys is given that can be found; 1 if none is."""
    for depth in range(len(keys), 0, -1):
        name = re.escape(keys[depth - 1])
        given = re.compile(rf"(^|[\s{{,.\[])[\"']?{name}[\"']?\s*(=|\]|\.)")
        within = keys[0] if depth > 1 else None
        for place, line in enumerate(lines):
            code = line.partition("#")[0]
            if given.search(code) and (within is None or within in code or _is_in_table(lines, place, within)):
                return place + 1
    return 1


def _is_in_table(lines: list[str], place: int, table: str) -> bool:
    headers = (line for line in reversed(lines[:place]) if line.lstrip().startswith("["))
    return table in next(headers, "")
