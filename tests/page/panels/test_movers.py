"""The movers: the dates beside the one that is shown."""

from __future__ import annotations

import contextlib
import datetime as dt
from typing import TYPE_CHECKING

import psycopg2
import pytest
from loaded_home import LoadedHome

from streaming.page.panels.movers import movers
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path

ROWS = "date,id,price,trade_volume\n2024-03-04,A,1,1\n2024-03-06,B,1,1\n2024-03-11,A,2,1\n"
FIRST, SECOND, THIRD = (dt.date(2024, 3, day) for day in (4, 6, 11))


@pytest.mark.parametrize("kept", [True, False])
def test_the_neighbours_of_a_date_are_the_nearest_with_data(database: str, tmp_path: Path, *, kept: bool) -> None:
    """By the job's table of dates, or by the wide tables if it keeps none."""
    with contextlib.closing(
        LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    ) as home:
        home.load("a.csv", ROWS)
        home.change("DELETE FROM prices" if kept else "DELETE FROM stocketl.explained; DELETE FROM stocketl.date_facts")
    with contextlib.closing(psycopg2.connect(database)) as connection, connection.cursor() as cur:
        told = [movers(cur, day) for day in (None, SECOND, FIRST, dt.date(2024, 3, 8))]
    found = [(one["before"], one["after"]) for one in told]
    assert found == [(SECOND, None), (FIRST, THIRD), (None, SECOND), (SECOND, THIRD)]
