"""How many cases a test tries: in `make test` some of each kind, in `make soak-short` all of them.

Such a test has the marker `thorough`, by which `make soak-short` finds it.
"""

from __future__ import annotations

import os
from typing import TypeVar

Value = TypeVar("Value")


def extent(some: Value, every: Value) -> Value:
    """The one of the two that this run is to use."""
    return every if "SOAK" in os.environ else some
