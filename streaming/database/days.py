"""Dates as the days since 1970-01-01 that the maths counts in."""

from __future__ import annotations

import datetime as dt

_EPOCH = dt.date(1970, 1, 1)

AMONG_DAYS = "date = ANY(ARRAY(SELECT DATE '1970-01-01' + day FROM unnest(%s::integer[]) day))"
"""SQL: the column `date` is one of a list of days; an index on it is used."""


def day_of(date: dt.date) -> int:
    """The days from 1970-01-01 to a date."""
    return (date - _EPOCH).days


def date_of(day: int) -> dt.date:
    """The date of a number of days since 1970-01-01. Raises OverflowError outside of the years 1 to 9999."""
    return _EPOCH + dt.timedelta(days=int(day))
