"""Dates as a profile's format has them: one text → the day, and whether it has a time other than midnight."""

from __future__ import annotations

import datetime as dt
import re
import zoneinfo
from functools import lru_cache
from typing import TYPE_CHECKING

from streaming.ticks.fields import dated_of, day_number

if TYPE_CHECKING:
    from collections.abc import Callable

Dated = tuple[int, bool]
"""Days since 1970-01-01; whether there is a time other than midnight."""

_TICKS = {"unix-s": 1, "unix-ms": 10**3, "unix-us": 10**6, "unix-ns": 10**9}
_WHOLE = re.compile(r"-?[0-9]{1,20}(?:\.0*)?", re.ASCII)
_SERIAL = re.compile(r"[0-9]{1,6}(?:\.([0-9]*))?", re.ASCII)
_EXCEL_EPOCH = 25_569  # the serial number of 1970-01-01; from 61 on (March 1900) every spreadsheet counts alike
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@lru_cache(maxsize=64)
def dates_of(pattern: str | None, zone: str | None) -> Callable[[str], Dated | None]:
    """What reads the dates of a format (`Profile.date`), the same object for the same format.

    zone: of the day that is meant, if an instant is given.
    """
    place = zoneinfo.ZoneInfo(zone) if zone else None
    if pattern is None:
        return dated_of
    if pattern == "excel":
        return _of_spreadsheet
    if pattern in _TICKS:
        ticks = _TICKS[pattern]
        return lambda text: _of_instant(text, ticks, place or dt.UTC)
    return lambda text: _of_format(text, pattern, place)


def _of_format(text: str, pattern: str, zone: zoneinfo.ZoneInfo | None) -> Dated | None:
    try:
        moment = dt.datetime.strptime(text, pattern)  # noqa: DTZ007 (without a zone: the day as it is written)
        return _dated(moment.astimezone(zone) if zone and moment.tzinfo else moment)
    except (ValueError, OverflowError):
        return None


def _of_instant(text: str, ticks: int, zone: dt.tzinfo) -> Dated | None:
    if not _WHOLE.fullmatch(text):
        return None
    try:
        seconds, rest = divmod(int(text.partition(".")[0]), ticks)
        dated = _dated((_EPOCH + dt.timedelta(seconds=seconds)).astimezone(zone))
    except (ValueError, OverflowError):
        return None
    return None if dated is None else (dated[0], dated[1] or rest > 0)


def _of_spreadsheet(text: str) -> Dated | None:
    found = _SERIAL.fullmatch(text)
    serial = int(text.partition(".")[0]) if found else 0
    if found is None or serial < 61:
        return None
    date = dt.date(1970, 1, 1) + dt.timedelta(days=serial - _EXCEL_EPOCH)
    day = day_number(date.year, date.month, date.day)
    return None if day is None else (day, bool((found[1] or "").strip("0")))


def _dated(moment: dt.datetime) -> Dated | None:
    day = day_number(moment.year, moment.month, moment.day)
    return None if day is None else (day, moment.time() != dt.time())
