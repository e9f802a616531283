"""How a command answers: its console, harmless foreign text, ages and numbers as people say them, JSON."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, date, datetime
from typing import Any

from rich.console import Console

Facts = dict[str, Any]
"""What a command tells, by name: as `--json` prints it."""

PIPED_COLUMNS = 10_000
"""If the answer does not go to a terminal, a program reads it: a line stays a line."""


def screen() -> Console:
    """The console of a command's answer (standard output), as wide as the terminal."""
    wide = None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdecimal() else PIPED_COLUMNS
    return Console(highlight=False, soft_wrap=False, width=wide)


def shown(text: str) -> str:
    """Foreign text, with the characters that would move a terminal's cursor as escapes."""
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def age(seconds: float) -> str:
    """`3 s`, `5 min`, `2 h`, `4 days`."""
    for limit, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{max(seconds, 0) / unit:.0f} {name}"
    return f"{seconds / 86_400:.0f} days"


def many(number: int, thing: str) -> str:
    """`1 drop`, `2,000 drops`."""
    return f"{number:,} {thing}" + ("" if number == 1 else "s")


def moment(when: datetime) -> str:
    """`2024-01-02 03:04:05 UTC`."""
    return when.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def as_json(facts: object) -> str:
    """The facts as JSON; moments and dates in ISO 8601, moments in UTC."""
    return json.dumps(facts, indent=2, default=_iso, ensure_ascii=False)


def _iso(value: object) -> str:
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, date):
        return value.isoformat()
    return str(value)
