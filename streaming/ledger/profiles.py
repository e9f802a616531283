"""What profiles say that have read a drop: kept for ever, for every reading of that drop to come."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from psycopg2.extensions import cursor


def record_profiles(cur: cursor, profiles: Mapping[str, str]) -> None:
    """Keeps what profiles say, for ever. profiles: as JSON, by digest."""
    for digest, text in sorted(profiles.items()):
        cur.execute(
            "INSERT INTO stocketl.profiles (digest, name, profile) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            (digest, json.loads(text)["name"], text),
        )


def recorded_profiles(cur: cursor) -> dict[str, str]:
    """What profiles say that have read a drop, as JSON, by digest; none in a ledger that is older than profiles."""
    cur.execute("SELECT to_regclass('stocketl.profiles') IS NULL")
    if cur.fetchall() == [(True,)]:
        return {}
    cur.execute("SELECT digest, profile::text FROM stocketl.profiles")
    return dict(cur.fetchall())
