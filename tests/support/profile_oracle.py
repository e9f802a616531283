"""How a profile reads a file, once more, in slow plain Python that shares no code with the package.

A profile is the plain dictionary that its TOML gives; the text is split by the standard library's `csv`.
"""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import zoneinfo
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

Row = tuple[str, str, float, int | None]
MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"]
BLANK = " \u00a0\u202f"


@dataclass
class Read:
    """rows: (date, id) → (price, volume) in the order of the rows that count; passed_over: by `where`."""

    rows: dict[tuple[str, str], tuple[float, int | None]] = field(default_factory=dict)
    rejects: list[tuple[int, str]] = field(default_factory=list)
    duplicates: int = 0
    conflicts: int = 0
    passed_over: int = 0
    unreadable: int = 0


def read(data: bytes, key: str, profile: dict[str, Any]) -> Read:
    """What must become of a file that has all columns that the profile names."""
    style = profile.get("csv", {})
    lines = data.decode(style.get("encoding", "utf-8")).split("\n")
    begin = style.get("skip_lines", 0)
    names = style.get("header")
    if names is None:
        names, begin = _split(lines[begin], style), begin + 1
    found, given = Read(), []
    for number, line in enumerate(lines[begin:], begin + 1):
        if line.strip(" \t\u00a0\ufeff") == "":
            continue
        row = _row(_split(line, style), names, key, profile, found)
        if isinstance(row, str):
            found.rejects.append((number, row))
        elif row is not None:
            given.append(row)
    first = _keep(profile) == "first"
    for day, ticker, price, volume in reversed(given) if first else given:
        before, known = found.rows.pop((day, ticker), (None, None))
        if before is not None:
            found.duplicates += 1
            found.conflicts += before != price or (None not in (volume, known) and volume != known)
        found.rows[day, ticker] = (price, known if volume is None else volume)
    if first:
        found.rows = dict(reversed(found.rows.items()))
    return found


def _split(line: str, style: dict[str, Any]) -> list[str]:
    cells = next(csv.reader(io.StringIO(line), delimiter=style.get("delimiter", ","), strict=True), [])
    return [cell.strip(" \t\u00a0\ufeff") for cell in cells]


def _keep(profile: dict[str, Any]) -> str:
    rows = profile.get("rows", "last")
    return rows if isinstance(rows, str) else rows.get("keep", "last")


def _row(cells: list[str], names: list[str], key: str, profile: dict[str, Any], found: Read) -> Row | str | None:
    if len(cells) != len(names):
        return "wrong-number-of-fields"
    row = dict(zip(names, cells, strict=True))
    rows = profile.get("rows", {})
    for name, texts in (rows.get("where", {}) if isinstance(rows, dict) else {}).items():
        if row[name] not in ([texts] if isinstance(texts, str) else texts):
            found.passed_over += 1
            return None
    day, ticker = _day(row, profile["date"]), _ticker(row, key, profile["ticker"])
    price, volume = _price(row[profile["price"]], profile), _volume(row, profile)
    if day is None or ticker is None or price is None:
        return _reason(row, day, ticker, profile)
    found.unreadable += volume == "unreadable"
    return day, ticker, price, None if volume == "unreadable" else volume


def _reason(row: dict[str, str], day: str | None, ticker: str | None, profile: dict[str, Any]) -> str:
    if all(row[name] == name for name in _columns(profile)):
        return "repeated-header"
    if day is None:
        return "bad-date"
    if ticker is None:
        return "bad-id"
    return "missing-price" if row[profile["price"]] == "" else "bad-price"


def _columns(profile: dict[str, Any]) -> list[str]:
    volume = profile.get("volume")
    named = [profile["date"]["column"], profile["price"], volume["column"] if isinstance(volume, dict) else volume]
    return [name for name in [*named, profile["ticker"]] if isinstance(name, str)]


def _day(row: dict[str, str], date: dict[str, str]) -> str | None:
    text, pattern = row[date["column"]], date["format"]
    if pattern.startswith("unix"):
        if not re.fullmatch(r"-?[0-9]{1,20}", text):
            return None
        seconds = int(text) // {"unix-s": 1, "unix-ms": 1000}[pattern]
        if not -5_000_000_000 < seconds < 7_000_000_000:
            return None
        moment = dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(seconds=seconds)
        return _real(moment.astimezone(zoneinfo.ZoneInfo(date["zone"])).date())
    if pattern == "excel":
        good = re.fullmatch(r"[0-9]{1,6}", text) and int(text) >= 61
        return _real(dt.date(1899, 12, 30) + dt.timedelta(days=int(text))) if good else None
    parts = {
        "%d.%m.%Y": r"(?P<d>\d{1,2})\.(?P<m>\d{1,2})\.(?P<y>\d{4})",
        "%m/%d/%Y": r"(?P<m>\d{1,2})/(?P<d>\d{1,2})/(?P<y>\d{4})",
        "%d-%b-%y": r"(?P<d>\d{1,2})-(?P<b>[A-Za-z]{3})-(?P<s>\d{2})",
        "%Y%m%d": r"(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})",
    }[pattern]
    match = re.fullmatch(parts, text, re.ASCII)
    return None if match is None else _of_parts(match.groupdict())


def _of_parts(part: dict[str, str]) -> str | None:
    if "b" in part:
        if part["b"].lower() not in MONTHS:
            return None
        short = int(part["s"])
        year, month = short + (1900 if short >= 69 else 2000), MONTHS.index(part["b"].lower()) + 1
    else:
        year, month = int(part["y"]), int(part["m"])
    try:
        return _real(dt.date(year, month, int(part["d"])))
    except ValueError:
        return None


def _real(day: dt.date) -> str | None:
    return day.isoformat() if 1800 <= day.year <= 2199 else None


def _ticker(row: dict[str, str], key: str, ticker: str | dict[str, str]) -> str | None:
    if isinstance(ticker, dict):
        match = re.search(ticker["pattern"], key)
        text = match["ticker"] if match else ""
    else:
        text = row[ticker]
    if text[:1] == "'":
        text = text[1:]
    if text == "" or len(text.encode()) > 59 or text[0] == "=" or re.match(r";\w", text):
        return None
    return text.lstrip("0").zfill(3) if re.fullmatch("[0-9]+", text) else text


def _number(text: str, profile: dict[str, Any]) -> Fraction | None:
    """Without a sign, with nothing but digits, one decimal sign, groups of digits, an exponent or a letter."""
    style = profile.get("csv", {})
    for sign in profile.get("currency", []):
        if text.startswith(sign):
            text = text[len(sign) :].strip(BLANK)
            break
        if text.endswith(sign):
            text = text[: -len(sign)].strip(BLANK)
            break
    power = 0
    if profile.get("suffixes") and text[-1:].lower() in ("k", "m", "b", "t"):
        power = {"k": 3, "m": 6, "b": 9, "t": 12}[text[-1].lower()]
        text = text[:-1].rstrip()
    mantissa, mark, exponent = text.replace("E", "e").partition("e")
    if mark and (power or not re.fullmatch("[+-]?[0-9]+", exponent) or len(exponent) > 4):
        return None
    mantissa = mantissa.removeprefix("+")
    whole, _point, fraction = mantissa.partition(style.get("decimal", "."))
    groups = style.get("thousands")
    if groups:
        between = BLANK if groups == " " else groups
        pieces = re.split(f"[{re.escape(between)}]", whole)
        grouped = len(pieces) > 1
        good = 1 <= len(pieces[0]) <= 3 and all(len(piece) in (2, 3) for piece in pieces[1:-1])
        if grouped and not (good and len(pieces[-1]) == 3):
            return None
        whole = "".join(pieces)
    if not re.fullmatch("[0-9]*", whole) or not re.fullmatch("[0-9]*", fraction) or whole + fraction == "":
        return None
    return Fraction(Decimal(f"{whole or 0}.{fraction or 0}")) * Fraction(10) ** (power + int(exponent or 0))


def _price(text: str, profile: dict[str, Any]) -> float | None:
    number = _number(text, profile)
    if number is None or not Fraction(1, 10**9) <= Fraction(float(number)) <= 10**12 + Fraction(1, 10**6):
        return None
    scale = profile.get("scale", {}).get("price", 1.0)
    scaled = float(number * Fraction(str(scale))) if scale in (0.01, 0.0001, 100.0) else float(number) * scale
    return scaled if 1e-9 <= float(number) <= 1e12 and 1e-9 <= scaled <= 1e12 else None


def _volume(row: dict[str, str], profile: dict[str, Any]) -> int | str | None:
    volume = profile.get("volume")
    if volume is None:
        return None
    text = row[volume["column"]]
    if text == "" or text in volume.get("unknown", []):
        return None
    number = _number(text, profile)
    if number is None:
        return "unreadable"
    number *= profile.get("scale", {}).get("volume", 1)
    return int(number) if number.denominator == 1 and number < 2**63 else "unreadable"
