"""A profile as TOML, at most eight lines of it: what a person reads, and what `profiles.toml` holds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from streaming.profiles.profile import Profile

_ORDER = (
    "name",
    "files",
    "format",
    "ticker",
    "date",
    "price",
    "volume",
    "rows",
    "csv",
    "scale",
    "currency",
    "suffixes",
)


def as_toml(profile: Profile) -> str:
    """`[[profile]]` and a line for each key that says something."""
    said = json.loads(profile.to_json())
    if isinstance(said.get("rows"), dict) and "where" not in said["rows"]:
        said["rows"] = said["rows"].get("keep", "last")
    lines = [f"{key} = {_value(said[key])}" for key in (*_ORDER, "wide") if key in said]
    return "\n".join(["[[profile]]", *lines]) + "\n"


def _value(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in value.items()) + " }"
    if isinstance(value, list):
        return _value(value[0]) if len(value) == 1 else f"[{', '.join(map(_value, value))}]"
    if isinstance(value, str):
        return f"'{value}'" if "\\" in value and "'" not in value else json.dumps(value, ensure_ascii=False)
    return str(value).lower() if isinstance(value, bool) else repr(value)


def _key(key: str) -> str:
    return key if key.replace("_", "").isalnum() and key.isascii() else json.dumps(key, ensure_ascii=False)
