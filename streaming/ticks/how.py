"""How a drop is read, and what its name and its first bytes say of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.profiles.profile import Profile
from streaming.ticks.parquet import PARQUET
from streaming.ticks.rules import BEFORE, BUILT_IN, Rules, rules_of
from streaming.ticks.unpack import is_packed

if TYPE_CHECKING:
    from collections.abc import Mapping

NAMES = re.compile(r"\.(csv|tsv)(\.(gz|zst|bz2|xz|zip))?$|\.(zip|parquet)$", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class How:
    """How a drop is read.

    text_ids: keep ids as written; unpacked_limit: bytes that a packed drop may unpack to; profile: None for the
    built-in reading; before: as before there were profiles.
    """

    text_ids: bool
    unpacked_limit: int
    profile: Profile | None = None
    before: bool = False

    def rules(self, key: str) -> Rules:
        """The rules for the drop of this key. Raises UnreadableError."""
        return rules_of(self.profile, key, text_ids=self.text_ids, before=self.before)


def how_of(reading: str, profiles: Mapping[str, str], *, text_ids: bool, unpacked_limit: int) -> How:
    """How a drop is read that the offset and the ledger call `reading`. profiles: as JSON, by digest."""
    if reading in (BEFORE, BUILT_IN):
        return How(text_ids, unpacked_limit, before=reading == BEFORE)
    return How(text_ids, unpacked_limit, Profile.from_json(profiles[reading]))


def is_parquet(data: bytes, profile: Profile | None) -> bool:
    """Whether a drop that begins so is read as Parquet."""
    return data.startswith(PARQUET) or (profile is not None and profile.format == "parquet")


def wrong_name(key: str, profile: Profile | None) -> str | None:
    """The failure of a drop whose name is none of a price file; None for the others, and for all with a profile."""
    if profile is not None or NAMES.search(key):
        return None
    return (
        "the name is none of a price file: expected .csv or .tsv at its end, also packed (.csv.gz, .zst, .bz2, .xz), "
        f".zip or .parquet, got {key[-100:]!r}; a profile reads any other"
    )


def splittable(head: bytes, profile: Profile | None) -> bool:
    """Whether a drop that begins with `head` may be parsed in byte ranges. What is packed may not."""
    return not is_packed(head) and (profile is None or profile.splittable)
