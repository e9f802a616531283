"""How the values of settings are written. Each reader takes what was given, or raises ValueError: what it expected."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator
from pydantic_settings import NoDecode

from streaming.deadline import ExpectBy
from streaming.queue_names import Queue
from streaming.storage.locations import is_s3, location

CORRECTIONS, DATES, SUSPECTS = EXPLAIN = ("corrections", "dates", "suspects")
"""The tables that are kept beside the wide ones, unless the setting `explain` leaves one out."""

_SECONDS = {"ms": 0.001, "s": 1.0, "": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {"": 1, "B": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def seconds(value: object) -> float:
    """`200ms`, `1s`, `0.2`, `2m` or `24h` in seconds; raises ValueError."""
    found = re.fullmatch(r"(\d+\.?\d*|\.\d+) ?(ms|s|m|h|)", str(value).strip())
    if found is None:
        msg = "expected a time such as 200ms, 1s or 0.5"
        raise ValueError(msg)
    return float(found[1]) * _SECONDS[found[2]]


def kept_for(value: object) -> float | None:
    """`7d` or `36h` in seconds, `none` for ever; raises ValueError for less than an hour."""
    if isinstance(value, float):  # a default
        return value
    text = str(value).strip().lower()
    if value is None or text == "none":
        return None
    found = re.fullmatch(r"(\d{1,6}) ?([hd])", text)
    if found is None or int(found[1]) == 0:
        msg = "expected a time such as 7d or 36h, or none (for ever)"
        raise ValueError(msg)
    return int(found[1]) * {"h": 3600.0, "d": 86_400.0}[found[2]]


def size(value: object) -> int:
    """`64M`, `1G`, `512 KiB` or a plain number in bytes (K, M, G are powers of 1024); raises ValueError."""
    found = re.fullmatch(r"(\d+) ?(?:([KMG])(?:i?B)?|B?)", str(value).strip(), re.IGNORECASE)
    if found is None or int(found[1]) == 0:
        msg = "expected a size above zero such as 64M, 1G or a number of bytes"
        raise ValueError(msg)
    return int(found[1]) * _BYTES[(found[2] or "").upper()]


def tables(value: object) -> tuple[str, ...]:
    """`corrections,dates` as (corrections, dates), `none` as nothing; raises ValueError."""
    if isinstance(value, tuple):  # a default
        return value
    named = [name.strip().lower() for name in str(value).split(",")]
    if named == ["none"]:
        return ()
    if not named or not set(named) <= set(EXPLAIN):
        msg = f"expected some of {', '.join(EXPLAIN)}, with commas between them, or none"
        raise ValueError(msg)
    return tuple(name for name in EXPLAIN if name in named)


def _database(value: object) -> str | None:
    if value is None:
        return None
    if re.fullmatch(r"postgres(ql)?://\S*", str(value)) is None:
        msg = "expected a PostgreSQL URI such as postgresql://user:password@host:5432/stocks"
        raise ValueError(msg)
    return str(value)


def _location_or_none(value: object) -> str | None:
    return None if value is None or str(value).strip().lower() == "none" else location(value)


def _home(value: object) -> Path:
    if is_s3(str(value)) or "://" in str(value):
        msg = "expected a folder on this machine"
        raise ValueError(msg)
    return Path(location(value))


def _above_one(value: object) -> float:
    found = re.fullmatch(r"\d{1,6}(\.\d{1,6})?", str(value).strip())
    if found is None or float(found[0]) < 1.5:
        msg = "expected a number of at least 1.5, such as 5"
        raise ValueError(msg)
    return float(found[0])


def _share(value: object) -> float:
    found = re.fullmatch(r"(\d{1,6}(?:\.\d{1,6})?) ?(%?)", str(value).strip())
    share = float(found[1]) / (100 if found[2] else 1) if found else 0.0
    if share < 0.05:
        msg = "expected a share of at least 5%, such as 30%"
        raise ValueError(msg)
    return share


def _sessions(value: object) -> int:
    text = str(value).strip()
    if not re.fullmatch(r"\d{1,3}", text) or int(text) < 3:
        msg = "expected a number of sessions from 3 to 999"
        raise ValueError(msg)
    return int(text)


def _name_or_none(value: object) -> str | None:
    text = "" if value is None else str(value).strip()
    return None if text.lower() in {"", "none"} else text


def _queue_or_none(value: object) -> str | None:
    text = _name_or_none(value)
    return None if text is None else Queue.of(text).given


def _expect_by(value: object) -> str | None:
    text = _name_or_none(value)
    return None if text is None else ExpectBy.of(text).given


def _webhook(value: object) -> str | None:
    text = _name_or_none(value)
    if text is not None and re.fullmatch(r"https?://[^/\s]+(/\S*)?", text) is None:
        msg = "expected an address such as https://example.com/hooks/prices"
        raise ValueError(msg)
    return text


Location = Annotated[str, BeforeValidator(location)]
OptionalLocation = Annotated[str | None, BeforeValidator(_location_or_none)]
Seconds = Annotated[float, BeforeValidator(seconds)]
KeptFor = Annotated[float | None, BeforeValidator(kept_for)]
Bytes = Annotated[int, BeforeValidator(size)]
Tables = Annotated[tuple[str, ...], NoDecode, BeforeValidator(tables)]
Database = Annotated[str | None, BeforeValidator(_database)]
Home = Annotated[Path, BeforeValidator(_home)]
AboveOne = Annotated[float, BeforeValidator(_above_one)]
Share = Annotated[float, BeforeValidator(_share)]
Sessions = Annotated[int, BeforeValidator(_sessions)]
OptionalName = Annotated[str | None, BeforeValidator(_name_or_none)]
OptionalQueue = Annotated[str | None, BeforeValidator(_queue_or_none)]
Deadline = Annotated[str | None, BeforeValidator(_expect_by)]
Webhook = Annotated[str | None, BeforeValidator(_webhook)]
