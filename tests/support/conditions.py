"""Waiting for what a test is about instead of for a time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE = 240.0  # seconds; generous: the machine may do four other things


def until(condition: Callable[[], object], what: str = "the condition") -> None:
    """Polls until it holds; fails at the deadline."""
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end, f"waited {DEADLINE} s in vain for {what}"
        time.sleep(0.02)
