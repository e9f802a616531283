"""The three commands for a home whose places are on S3, with a lake and without one."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pytest
from loaded_home import LoadedHome
from random_drops import random_drops
from test_asof import at, snapshot
from test_cell import Loads, check, given
from test_known import plain

from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from fixture_s3 import S3Server


@pytest.fixture
def loads(database: str, tmp_path: Path, s3: S3Server) -> Iterator[Loads]:
    bucket = f"s3://{s3.bucket()}"
    places = {name: f"{bucket}/{name}" for name in ("input", "success", "failed", "receipts", "checkpoint", "lake")}
    settings = load(environment=False, home=str(tmp_path / "home"), database=database, move=True, **places)
    made = LoadedHome(settings, lake=True)
    yield Loads(made, {})
    made.close()


def test_a_home_on_s3_is_explained_and_looked_back_at(loads: Loads) -> None:
    """Each cell with its drop and line from the lake and from the files; the tables as of each moment."""
    moments = []
    for key, content in random_drops(seed=6, count=8):
        loads.drops[loads.home.load(key, content)] = content
        moments.append(snapshot(loads.settings))
    without = loads.settings.model_copy(update={"lake": None})
    for day, ticker in [(1, "AAPL"), (2, "007"), (3, "BRK.B"), (4, "aapl"), (5, "042")]:
        date = dt.date(2024, 1, day)
        if any(given(loads.drops, dt.date(2024, 1, one), ticker) for one in range(1, 29)):
            check(loads, loads.settings, date, ticker)
            check(loads, without, date, ticker, rejects=False)
    for when, tables in moments[::3]:
        assert plain(at(loads.settings, when).known) == tables
