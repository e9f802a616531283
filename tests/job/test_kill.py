"""kill -9 of the whole process tree at each named point, then a restart: everything as if nothing had happened."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import inputs
import pytest
from job_process import drop, kill_at, run_once
from outcome import Outcome, folders, outcome
from tables import assert_same, expected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from databases import Databases

pytestmark = pytest.mark.spark

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


@dataclass(frozen=True)
class Prepared:
    """A home and a database in which BEFORE was loaded, to be put back before each test, and how both must end."""

    home: Path
    saved: Path
    databases: Databases
    after_before: Outcome
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
    after_before = outcome(home, database)
    shutil.copytree(home, saved)
    databases.copy("kill", "kill_before")
    _drop_all(home, AFTER, len(BEFORE))
    run_once(home, database, *OPTIONS)
    return Prepared(home, saved, databases, after_before, outcome(home, database))


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


@pytest.mark.parametrize("point", POINTS)
def test_after_a_kill_the_restart_ends_as_a_run_without_a_fault(point: str, again: Prepared, tmp_path: Path) -> None:
    """Tables, ledger, lake, receipts and folders equal those of the run that was not killed."""
    kill_at(point, tmp_path / "marker", again.home, again.database, *OPTIONS)
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


def test_many_rows_survive_a_kill_between_tables_and_commit(tmp_path: Path, databases: Databases) -> None:
    """So many that changes and ticks go as files beside the checkpoint: written anew by the replay, and then gone."""
    home, database = tmp_path / "home", databases.create("kill_many")
    contents = inputs.many_tickers(200, days=700, drops=2, seed=5)
    for number, content in enumerate(contents):
        drop(home / "input", f"{number}.csv", content, number)
    kill_at("published", tmp_path / "marker", home, database)
    assert list((home / "checkpoint" / "handover").iterdir()), "too few rows: they went through Spark"
    run_once(home, database)
    end = outcome(home, database)
    want = expected(contents)
    assert_same(end.tables, want)
    in_lake = Counter(row[1:4] for row in end.ticks.elements())
    assert in_lake == Counter(
        (day, ticker, price) for ticker in want.prices for day, price in want.prices[ticker].items()
    )
    for folder in ("handover", "lake-outbox"):
        assert not list((home / "checkpoint" / folder).iterdir())


def test_two_kills_in_a_row_during_recovery(tmp_path: Path, databases: Databases, prepared: Prepared) -> None:
    """The very first batch, killed in the state operator and again in the middle of its replay, ends the same too."""
    home, database = tmp_path / "home", databases.create("kill_twice")
    _drop_all(home, BEFORE)
    for number, point in enumerate(["state", "published"]):
        kill_at(point, tmp_path / f"marker-{number}", home, database, *OPTIONS)
    assert sorted(folders(home, "input"))
    run_once(home, database, *OPTIONS)
    outcome(home, database).assert_equals(prepared.after_before)


def test_a_file_overwritten_or_deleted_while_its_batch_is_open_is_replayed_as_it_was(
    tmp_path: Path, databases: Databases
) -> None:
    """The replay reads the bytes that were admitted; what lies there now is a new drop, not moved by mistake."""
    home, database = tmp_path / "home", databases.create("kill_overwritten")
    drops = [HEADER + b"2024-01-02,A,1,1\n", HEADER + b"2024-01-03,A,2,2\n", HEADER + b"2024-01-02,A,4,4\n"]
    overwritten = drop(home / "input", "overwritten.csv", drops[0], 0)
    deleted = drop(home / "input", "deleted.csv", drops[1], 1)
    kill_at("reading", tmp_path / "marker", home, database)
    overwritten.write_bytes(drops[2])  # in place: the same inode
    deleted.unlink()
    run_once(home, database)
    end = outcome(home, database)
    assert_same(end.tables, expected(drops))
    assert [(row["key"], row["status"]) for row in end.drops] == [
        ("overwritten.csv", "loaded"),
        ("deleted.csv", "loaded"),
        ("overwritten.csv", "loaded"),
    ]
    assert sorted(end.folders.values()) == sorted(drops)
    assert all(name.startswith("success/") for name in end.folders)
