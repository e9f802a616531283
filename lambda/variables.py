"""Reads a variable of a function's environment. If it is wrong, `SettingsError` names it and its value."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from streaming.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping


def text(environ: Mapping[str, str], name: str, default: str | None = None) -> str:
    """The variable without blanks around it. If it is not set or blank, the default."""
    value = environ.get(name, "").strip() or default
    if value is None:
        msg = f"{name} is not set in the function's environment; deploy the template again"
        raise SettingsError(msg)
    return value


def number(environ: Mapping[str, str], name: str, default: float) -> float:
    """From 1 to 1,000,000."""
    given = text(environ, name, str(default))
    try:
        value = float(given)
    except ValueError:
        value = float("nan")
    if not 1 <= value <= 1e6:
        msg = f"{name}: expected a number from 1 to 1000000, got {given!r}; correct the function's environment"
        raise SettingsError(msg)
    return value


def seconds(environ: Mapping[str, str], name: str, default: float) -> timedelta:
    """So many seconds, from 1 to 1,000,000."""
    return timedelta(seconds=number(environ, name, default))
