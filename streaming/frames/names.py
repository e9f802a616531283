"""Which tickers are meant: those of `stocketl.tickers`, found as `stocketl.ticker` finds them."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from streaming.errors import StockETLError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable


class UnknownTickerError(StockETLError):
    """A ticker that is not in the tables, or that could be several."""


def resolved(asked: Iterable[str], known: Collection[str]) -> list[str]:
    """The tickers as the tables have them, in order, each once.

    As written, else as a number of three digits, else the only one that differs in case alone. Raises
    UnknownTickerError, which names what is nearest.

    >>> resolved(["brk.b", "7", "BRK.B"], {"BRK.B", "007"})
    ['BRK.B', '007']
    """
    exact = set(known)
    alike: dict[str, list[str]] = {}
    found: dict[str, None] = {}
    for text in asked:
        wanted = text.strip()
        padded = wanted.lstrip("0").rjust(3, "0") if wanted.isascii() and wanted.isdigit() else wanted
        match = next((name for name in (wanted, padded) if name in exact), None)
        if match is None:
            if not alike:
                for name in sorted(exact):
                    alike.setdefault(name.lower(), []).append(name)
            match = _only(wanted, alike)
        found[match] = None
    return list(found)


def _only(wanted: str, alike: dict[str, list[str]]) -> str:
    fitting = alike.get(wanted.lower(), [])
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        msg = f"no ticker {wanted!r}, but there are {' and '.join(fitting)}"
        raise UnknownTickerError(msg)
    near = [name for key in difflib.get_close_matches(wanted.lower(), alike, 3) for name in alike[key]]
    msg = f"no ticker {wanted!r}; " + (f"the nearest are {', '.join(near)}" if near else "none is similar")
    raise UnknownTickerError(msg)
