"""kill -9 of the whole process tree at each named point, then a restart: everything as if nothing had happened."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from job_process import drop, kill_at, run_once
from outcome import Outcome, folders, outcome
from soak_form import form
from tables import assert_same, expected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from databases import Databases

pytestmark = pytest.mark.soak

HEADER = b"date,id,price,trade_volume\n"
BEFORE = {
    "first.csv": HEADER + b"2024-01-02,1,10,100\n2024-01-04,1,12,120\n2024-01-02,B,7,70\n2024-01-04,B,8,\n",
    "second.csv": HEADER + b"2024-01-05,1,13,130\n2024-01-05,B,9,90\nnot a row\n",
}
AFTER = {
    "late.csv": HEADER + b"2024-01-03,1,11,110\n2024-01-02,B,6,\n2024-01-03,B,bad,1\n2024-01-05,B,9,91\n",
    "sub dir/new.csv": HEADER + b"2024-01-03,C,5,50\n2024-01-05,C,4,40\n2024-01-05,C,3,30\n",
    "bad.csv": b"2024-01-08,1,99,1\n",
    "first.csv": HEADER + b"2024-01-08,1,14,140\n2024-01-04,1,12.5,\n",
}
OPTIONS = ("--max-batch-bytes", "200")  # three batches in all: two drops, three, one
POINTS = [
    "offset-logged",
    "reading",
    "state",
    "widening",
    "altered",
    "writing",
    "published",
    "laked",
    "committed",
    "moving",
]
# In the short form, a start that goes on after one kill is killed itself at a later point.
IN_A_ROW = [POINTS[::2], POINTS[1::2]]
CHOSEN = form(short=IN_A_ROW, long=[*IN_A_ROW, *([point] for point in POINTS)])


@dataclass(frozen=True)
class Prepared:
    """A home and a database in which BEFORE was loaded, to be put back before each test, and how it must end."""

    home: Path
    saved: Path
    databases: Databases
    after_all: Outcome

    @property
    def database(self) -> str:
        return self.databases.uri("kill")

    def put_back(self) -> None:
        shutil.rmtree(self.home)
        shutil.copytree(self.saved, self.home)
        self.databases.copy("kill_before", "kill")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Prepared:
    """Loads BEFORE, keeps a copy, loads AFTER without a fault."""
    folder = tmp_path_factory.mktemp("kill")
    home, saved = folder / "home", folder / "saved"
    database = databases.create("kill")
    _drop_all(home, BEFORE)
    run_once(home, database, *OPTIONS)
    shutil.copytree(home, saved)
    databases.copy("kill", "kill_before")
    _drop_all(home, AFTER, len(BEFORE))
    run_once(home, database, *OPTIONS)
    return Prepared(home, saved, databases, outcome(home, database))


@pytest.fixture
def again(prepared: Prepared) -> Iterator[Prepared]:
    """The home and the database before AFTER was loaded, its drops waiting in the input."""
    prepared.put_back()
    _drop_all(prepared.home, AFTER, len(BEFORE))
    return prepared


def _drop_all(home: Path, drops: dict[str, bytes], numbers_from: int = 0) -> None:
    for number, (name, content) in enumerate(drops.items(), numbers_from):
        drop(home / "input", name, content, number)


def test_the_run_without_a_fault_is_right(prepared: Prepared) -> None:
    """What the killed runs are compared with: the oracle's tables, and each file where it belongs."""
    end = prepared.after_all
    assert_same(end.tables, expected([*BEFORE.values(), *AFTER.values()]))
    fates = [(row["key"], row["status"], row["rows_loaded"], row["rows_rejected"]) for row in end.drops]
    assert fates == [
        ("first.csv", "loaded", 4, 0),
        ("second.csv", "loaded", 2, 1),
        ("late.csv", "loaded", 3, 1),
        ("sub dir/new.csv", "loaded", 2, 0),
        ("bad.csv", "failed", 0, 0),
        ("first.csv", "loaded", 2, 0),
    ]
    assert [batch["drops"] for batch in end.batches] == [2, 3, 1]
    assert sum(end.ticks.values()) == 13
    assert sum(end.rejects.values()) == 2
    assert len(end.receipts) == 6
    assert end.folders == {
        "success/first.csv": BEFORE["first.csv"],
        "success/second.csv": BEFORE["second.csv"],
        "success/late.csv": AFTER["late.csv"],
        "success/sub dir/new.csv": AFTER["sub dir/new.csv"],
        "failed/bad.csv": AFTER["bad.csv"],
        _name_of_second_first(end): AFTER["first.csv"],
    }


def _name_of_second_first(end: Outcome) -> str:
    """A name that was taken gets the seq (6) added."""
    (name,) = (name for name in end.folders if name.startswith("success/first") and name != "success/first.csv")
    assert "6" in name
    return name


@pytest.mark.parametrize("points", CHOSEN, ids=" ".join)
def test_after_kills_the_restart_ends_as_a_run_without_a_fault(
    points: list[str], again: Prepared, tmp_path: Path
) -> None:
    """Tables, ledger, lake, receipts and folders equal those of the run that was not killed."""
    for point in points:
        kill_at(point, tmp_path / f"marker-{point}", again.home, again.database, *OPTIONS)
        assert folders(again.home, "input"), "the kill came too late: nothing was left to do"
    run_once(again.home, again.database, *OPTIONS)
    outcome(again.home, again.database).assert_equals(again.after_all)


def test_after_a_kill_between_the_lake_and_its_outbox_no_row_is_twice_in_the_lake(
    again: Prepared, tmp_path: Path
) -> None:
    """Delta has the rows and the outbox still holds them; all the rest may be done by then."""
    kill_at("appended", tmp_path / "marker", again.home, again.database, *OPTIONS)
    assert list((again.home / "checkpoint" / "lake-outbox").iterdir())
    run_once(again.home, again.database, *OPTIONS)
    outcome(again.home, again.database).assert_equals(again.after_all)
    assert not list((again.home / "checkpoint" / "lake-outbox").iterdir())
