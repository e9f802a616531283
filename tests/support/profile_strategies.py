"""Profiles for Hypothesis, each with a file in the shape that it is for, some of whose fields are strange."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import strategies as st

DATES = {
    "%d.%m.%Y": "{:%d.%m.%Y}", "%m/%d/%Y": "{:%m/%d/%Y}", "%d-%b-%y": "{:%d-%b-%y}", "%Y%m%d": "{:%Y%m%d}",
    "unix-s": "", "unix-ms": "", "excel": "",
}  # fmt: skip
STRANGE_DATES = [
    "",
    "x",
    "31.02.2024",
    "04.03.24",
    "2024-03-04",
    "99/99/9999",
    "1.2.2024",
    "12-abc-24",
    "1-JAN-68",
    "60",
]
STRANGE_NUMBERS = [
    "",
    "x",
    "-1",
    "1,2,3",
    "1.2.3",
    "1e3",
    "1e",
    "+5",
    "0",
    "$",
    "5K",
    "5 k",
    "1,234",
    "1.234",
    "1234,5",
]
STRANGE_NUMBERS += ["1 234", "1'234", "12,34,567", "$ 5", "5 €", "1e2K", ".5", ",5", "5,", "5.", "--", "n/a", "7m"]
TICKERS = ["A", "7", "007", "BRK.B", "É", "'600519", "=A", ";7", "; x", ""]


@st.composite
def profiles(draw: st.DrawFn) -> dict[str, Any]:
    """As TOML gives them, without name and files."""
    pattern = draw(st.sampled_from(list(DATES)))
    date = {"column": "Tag", "format": pattern}
    if pattern.startswith("unix"):
        date["zone"] = draw(st.sampled_from(["UTC", "America/New_York", "Asia/Tokyo"]))
    from_key = {"from": "key", "pattern": r"(?P<ticker>[^/]+)\.csv"}
    decimal = draw(st.sampled_from([".", ","]))
    style: dict[str, Any] = {"decimal": decimal, "delimiter": draw(st.sampled_from([",", ";", "\t", "|"]))}
    thousands = draw(st.sampled_from([None, *(sign for sign in ".,' " if sign != decimal)]))
    if thousands:
        style["thousands"] = thousands
    style["encoding"] = draw(st.sampled_from(["utf-8", "cp1252"]))
    style["skip_lines"] = draw(st.integers(0, 2))
    made: dict[str, Any] = {"date": date, "ticker": draw(st.sampled_from(["Wert", from_key])), "price": "Kurs"}
    made["csv"] = style
    if draw(st.booleans()):
        made["volume"] = {"column": "Stück", "unknown": draw(st.sampled_from([[], ["--", "n/a"]]))}
    if draw(st.booleans()):
        made["currency"] = draw(st.sampled_from([["$"], ["€", "$"]])) if style["encoding"] == "utf-8" else ["$"]
    made["suffixes"] = draw(st.booleans())
    made["rows"] = draw(st.sampled_from(["last", "first", {"where": {"Art": "EQ"}}, {"where": {"Art": ["EQ", ""]}}]))
    made["scale"] = {
        "price": draw(st.sampled_from([1.0, 0.01, 100.0, 0.37])),
        "volume": draw(st.sampled_from([1, 1000])),
    }
    return made


@st.composite
def files(draw: st.DrawFn, profile: dict[str, Any]) -> bytes:
    """Good rows and some with strange fields."""
    style = profile["csv"]
    sign, names = style["delimiter"], ["Tag", "Wert", "Kurs", "Stück", "Art"]
    lines = ["title"] * style["skip_lines"]
    if draw(st.booleans()):
        style["header"] = names
    else:
        lines.append(sign.join(names))
    for _ in range(draw(st.integers(0, 8))):
        day = dt.date(2024, 3, draw(st.integers(1, 3)))
        cells = [
            _date(day, profile["date"]) if draw(st.integers(0, 5)) else draw(st.sampled_from(STRANGE_DATES)),
            draw(st.sampled_from(TICKERS if draw(st.booleans()) else TICKERS[:3])),
            _number(draw, profile),
            _number(draw, profile),
            draw(st.sampled_from(["EQ", "EQ", "BE", ""])),
        ]
        if draw(st.integers(0, 9)) == 0:
            cells = draw(st.sampled_from([cells[:-1], [*cells, ""], names, [""] * 5]))
        quoted = [f'"{cell}"' if sign in cell or draw(st.integers(0, 6)) == 0 else cell for cell in cells]
        lines.append(sign.join(quoted))
    return "\n".join([*lines, ""]).encode(style["encoding"], errors="ignore")


def _date(day: dt.date, date: dict[str, str]) -> str:
    pattern = date["format"]
    if pattern == "excel":
        return str((day - dt.date(1899, 12, 30)).days)
    if pattern.startswith("unix"):
        seconds = int(dt.datetime.combine(day, dt.time(21), dt.UTC).timestamp())
        return str(seconds * (1000 if pattern == "unix-ms" else 1))
    return DATES[pattern].format(day)


def _number(draw: st.DrawFn, profile: dict[str, Any]) -> str:
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from(STRANGE_NUMBERS))
    style = profile["csv"]
    whole = draw(st.sampled_from(["5", "1234", "1234567"]))
    if "thousands" in style and draw(st.booleans()):
        whole = f"{int(whole):,}".replace(",", style["thousands"])
    fraction = draw(st.sampled_from(["", "5", "54", "00"]))
    text = whole + (style["decimal"] + fraction if fraction else "")
    if profile.get("currency") and draw(st.booleans()):
        text = profile["currency"][0] + text
    return text + (draw(st.sampled_from(["", "K", "M"])) if profile["suffixes"] else "")
