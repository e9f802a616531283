"""Which profile is for a file: the first whose `files` fits the key."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streaming.profiles.profile import Profile

_TOKENS = re.compile(r"\*\*/|\*\*|\*|\?|\[!?[^\]/]+\]|.", re.DOTALL)
_MEANT = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}


def first_for(key: str, profiles: Sequence[Profile]) -> Profile | None:
    """The profile for a file of this key, None if it is read without one."""
    return next((profile for profile in profiles if fits(profile.files, key)), None)


def fits(pattern: str, key: str) -> bool:
    """Whether a key fits a pattern; one without `/` is for the last component, in any folder.

    >>> fits("nse/**/*.csv.gz", "nse/2024/03/a.csv.gz"), fits("*.csv", "nse/a.csv"), fits("/*.csv", "nse/a.csv")
    (True, True, False)
    """
    if "/" not in pattern:
        key = key.rpartition("/")[2]
    return _compiled(pattern.removeprefix("/")).fullmatch(key) is not None


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile("".join(_translated(token) for token in _TOKENS.findall(pattern)), re.DOTALL)


def _translated(token: str) -> str:
    if token in _MEANT:
        return _MEANT[token]
    if len(token) > 2 and token.startswith("["):
        return "[" + ("^" if token[1] == "!" else "") + re.escape(token[1:-1].lstrip("!")).replace(r"\-", "-") + "]"
    return re.escape(token)
