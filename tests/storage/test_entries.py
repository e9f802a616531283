"""The names and times of a folder's files as keys and versions."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import cast

from hypothesis import example, given, settings
from hypothesis import strategies as st

from streaming.storage.entries import key_of, path_of, version_of


def test_times_outside_the_calendar_do_not_end_the_listing() -> None:
    """A file system may give any 64-bit mtime; it counts as the nearest day there is."""
    status = SimpleNamespace(st_mtime_ns=10**21, st_ino=5, st_size=3)
    assert version_of("a", cast("os.stat_result", status)).modified == datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name and b"/" not in name and name not in {b".", b".."}))
@example(b"\\xFF\xff\\x5C\\")
@settings(max_examples=200, deadline=None)
def test_every_name_has_one_key(name: bytes) -> None:
    """A key can be written to JSON and PostgreSQL, and leads back to exactly the bytes it came from."""
    key = key_of(os.fsdecode(name))
    assert (key.encode().decode(), os.fsencode(path_of("/in", key))) == (key, b"/in/" + name)
