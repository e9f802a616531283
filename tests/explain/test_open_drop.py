"""The tables as of a moment at which a drop was loaded in part."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable
from loaded_home import LoadedHome
from test_asof import at, snapshot
from test_known import plain

from streaming.explain.asof import Wanted
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = "date,id,price,trade_volume\n"
FIRST = HEADER + "2024-01-02,A,1,5\n2024-01-02,B,2,6\n2024-01-03,A,1.5,\n"
SECOND = "2024-01-02,A,3,\n2024-01-02,A,4,\n2024-01-03,B,5,\n"


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database), lake=True)
    yield made
    made.close()


def test_what_a_part_gave_is_told_though_the_lake_forgets_it(home: LoadedHome, tmp_path: Path) -> None:
    """Between its batches the tables had the rows of the first one; if the file is gone, a note says so."""
    home.load("a.csv", HEADER + "2024-01-02,A,9,9\n")
    moments = []
    publish = home._publish  # noqa: SLF001 (to look between the batches)

    def watched(*args: object) -> None:
        publish(*args)
        moments.append(snapshot(home.settings))

    home._publish = watched  # type: ignore[method-assign]  # noqa: SLF001
    home.load("b.csv", FIRST + SECOND, cut=len(FIRST))
    table = DeltaTable(f"{home.settings.lake}/ticks")
    table.delete("seq = 2 AND batch_id = 2 AND id = 'A' AND date = '2024-01-02'")  # as `forget_superseded` does
    for when, expected in moments:
        found = at(home.settings, when)
        assert (plain(found.known), found.notes) == (expected, [])
        one = at(home.settings, when, Wanted(["A"], None, 19_724))
        assert plain(one.known) == {key: cell for key, cell in expected.items() if key == (19_724, "A")}
    assert plain(at(home.settings, "seq 2").known) == moments[-1][1]

    (tmp_path / "home" / "success" / "b.csv").unlink()
    (note,) = at(home.settings, moments[0][0]).notes
    assert note.startswith("drop 2 (b.csv) was being loaded then. 2 rows of it were given again later in it")
    assert note.endswith("its file is gone; looked for " + str(tmp_path / "home" / "success" / "b.csv"))
