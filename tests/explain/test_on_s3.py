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

from streaming import aws
from streaming.explain import drop_files
from streaming.explain.cell import explain
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Any

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


@pytest.mark.parametrize("moved", [True, False])
def test_each_file_is_asked_for_once_and_not_read_whole(
    loads: Loads,
    monkeypatch: pytest.MonkeyPatch,
    moved: bool,  # noqa: FBT001
) -> None:
    """Whether it still lies in the input or was moved, what it is comes with its bytes."""
    for number, price in enumerate((1, 2, 3)):
        loads.home.load(f"{number}.csv", f"date,id,price,trade_volume\n2024-01-02,A,{price},\n", move=moved)
    asked: list[tuple[str, str]] = []

    def note(params: dict[str, str], model: Any, **_: object) -> None:
        asked.append((model.name, params["Key"]))

    monkeypatch.delattr(drop_files, "parse")
    events = aws.client().meta.events
    events.register("provide-client-params.s3", note)
    try:
        found = explain(loads.settings.model_copy(update={"lake": None}), 19_724, "A")
    finally:
        events.unregister("provide-client-params.s3", note)
    assert [value.line for value in found.given] == [2, 2, 2]
    place = "success" if moved else "input"
    files = [("GetObject", f"{place}/{number}.csv") for number in range(3)]
    assert sorted(asked) == [("GetObject", "checkpoint/stocketl.json"), *files]
