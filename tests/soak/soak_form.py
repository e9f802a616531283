"""How long a soak lasts: `SOAK=long` by hand and at night, `SOAK=short` for a first look; short without it."""

from __future__ import annotations

import os
from typing import TypeVar

Value = TypeVar("Value")


def form(*, short: Value, long: Value) -> Value:
    """The one of the two that this run is to use."""
    named = {"short": short, "long": long}
    asked = os.environ.get("SOAK", "short")
    if asked not in named:
        msg = f"SOAK is {asked!r}, expected one of {sorted(named)}"
        raise ValueError(msg)
    return named[asked]
