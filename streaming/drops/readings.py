"""How each new drop is read: by the first profile that fits its key, as `profiles.toml` has it at its admission.

The file is looked at again before each admission. Until a wrong one is corrected nothing is admitted: a drop that was
meant for a profile must not be read without it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from streaming.errors import SettingsError
from streaming.profiles.matching import first_for
from streaming.profiles.profile import Profile
from streaming.profiles.toml import parse_profiles
from streaming.storage.locations import is_s3, open_place
from streaming.ticks.rules import BUILT_IN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from streaming.settings import Settings

DEFAULT_NAME = "profiles.toml"
"""Of the file in the home, which need not be there."""


class Readings:
    """What is known of the profiles. url: of the file, empty = there are none; it need not exist.

    A file in `.json` gives the reading of each key instead, and its profiles by their digests: for what is loaded
    again as it was loaded once.
    """

    def __init__(self, url: str = "") -> None:
        self._url = url
        self._etag: str | None = None
        self._profiles: list[Profile] = []
        self._known: dict[str, str] = {}
        self._of_key: dict[str, str] = {}

    def look(self) -> None:
        """Takes up what the file says now. Raises SettingsError and StorageError."""
        if not self._url:
            return
        folder, _, name = self._url.rpartition("/")
        place = open_place(folder)
        found = place.head(name)
        etag = None if found is None else found.etag
        if etag == self._etag:
            return
        data = b"" if found is None else place.get(name) or b""
        if name.endswith(".json"):
            fixed = json.loads(data or b'{"readings": {}, "profiles": {}}')
            self._of_key, self._known = fixed["readings"], fixed["profiles"]
        else:
            self._profiles = parse_profiles(_text(data, self._url), self._url)
        self._etag = etag

    def of(self, key: str) -> tuple[str, Profile | None]:
        """The reading of a new drop, and its profile if there is one."""
        if key in self._of_key:
            reading = self._of_key[key]
            return reading, Profile.from_json(self._known[reading]) if reading in self._known else None
        profile = first_for(key, self._profiles)
        if profile is None:
            return BUILT_IN, None
        return profile.digest, profile


def check_profiles(settings: Settings) -> None:
    """At the start: raises SettingsError for a file that is wrong, and for one that was named and is not there.

    On S3 it may be put there later: the template names it for every deployment.
    """
    if settings.profiles is None:
        return
    Readings(settings.profiles).look()
    folder, _, name = settings.profiles.rpartition("/")
    named = settings.profiles != str(settings.home / DEFAULT_NAME) and not is_s3(settings.profiles)
    if named and not open_place(folder).exists(name):
        msg = f"profiles: there is no file {settings.profiles}; correct --profiles, or make the file"
        raise SettingsError(msg)


def with_profiles(known: Mapping[str, str], used: list[tuple[str, Profile | None]], wanted: set[str]) -> dict[str, str]:
    """The profiles of a batch, as JSON by digest: those that it begins with or goes on with."""
    found = dict(known) | {reading: profile.to_json() for reading, profile in used if profile is not None}
    return {digest: text for digest, text in found.items() if digest in wanted}


def _text(data: bytes, url: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        msg = f"{url}: expected UTF-8, got byte 0x{data[error.start]:02x} at offset {error.start}"
        raise SettingsError(msg) from None
