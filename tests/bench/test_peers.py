"""What stands beside the job: environments of their own, another commit, the truth that every table is held against."""

from __future__ import annotations

import contextlib
import datetime as dt
import sys
from typing import TYPE_CHECKING

import psycopg2
import pytest

from bench import __main__ as command
from bench import another_commit
from bench.compare import TablesDifferError
from bench.drip import Drop
from bench.peers import environment
from bench.peers.environment import REQUIREMENTS, UnavailableError
from bench.peers.long_table import on_long_table, same_long

if TYPE_CHECKING:
    from pathlib import Path

    from databases import Databases


def test_an_environment_of_the_same_pins_is_not_made_again(tmp_path: Path) -> None:
    """The stamp holds the requirements that it was made from."""
    (tmp_path / ".ready").write_text(REQUIREMENTS.read_text())
    assert environment.python(tmp_path) == tmp_path / "bin" / "python"
    assert [path.name for path in tmp_path.iterdir()] == [".ready"]


def test_an_environment_of_other_pins_is_made_anew_and_says_why_it_cannot_be(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was there before is gone, and the next run tries again."""
    monkeypatch.setattr(sys, "executable", "/bin/false")
    folder, pins = tmp_path / "venv", tmp_path / "requirements.txt"
    folder.mkdir()
    (folder / ".ready").write_text("other pins")
    (folder / "old").touch()
    pins.write_text("peer==1\n")
    with pytest.raises(UnavailableError, match=r"-m venv .*venv ended with 1"):
        environment.python(folder, pins)
    assert not (folder / "old").exists()
    assert not (folder / ".ready").exists()


def test_each_requirement_of_a_peer_is_pinned() -> None:
    """A peer of another version would be another yardstick."""
    lines = REQUIREMENTS.read_text().splitlines()
    assert [line for line in lines if "==" not in line] == []
    assert lines


def test_a_peer_that_cannot_be_had_is_told_and_the_others_are_measured() -> None:
    """The note says what was left out and why."""

    def get() -> Path:
        msg = "no network"
        raise UnavailableError(msg)

    notes: list[str] = []
    assert command.had(notes, "Pathway", get) is None
    assert notes == ["Pathway was not measured: no network"]


def test_a_commit_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Git's own words say what is wrong with it."""
    with pytest.raises(UnavailableError, match=r"`git rev-parse --short` ended with 128: .*revision"):
        another_commit.program(tmp_path, "no-such-commit")
    assert list(tmp_path.iterdir()) == []


def test_the_long_table_shows_a_drop_when_all_its_rows_have_their_returns(tmp_path: Path) -> None:
    """On the first date there are no returns yet."""
    drops = [Drop(tmp_path / f"{day}.csv", "wide", (dt.date(2024, 1, day),)) for day in (1, 2)]
    shown = on_long_table(drops, 7)
    assert [(drop.path, drop.parameters) for drop in shown] == [
        (drops[0].path, ("2024-01-01", 7)),
        (drops[1].path, ("2024-01-02", 7)),
    ]
    assert ["count(*)" in drop.query for drop in shown] == [True, False]
    assert "count(ret)" in shown[1].query


def test_a_long_table_is_held_against_the_truth_to_the_last_bit(tmp_path: Path, databases: Databases) -> None:
    """The last row of a cell wins, in order of the files; a wrong return is named."""
    (tmp_path / "a.csv").write_text("date,id,price,trade_volume\n2024-01-02,B,2.1,5\n2024-01-01,B,1.7,1\n")
    (tmp_path / "b.csv").write_text("date,id,price,trade_volume\n2024-01-02,B,3.3,6\n2024-01-02,A,4,7\n")
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    uri = databases.create("bench_long")
    with contextlib.closing(psycopg2.connect(uri)) as connection, connection, connection.cursor() as cur:
        cur.execute("CREATE TABLE long (date text, ticker text, price float8, trade_volume int8, ret float8)")
        rows = [("2024-01-02", "A", 4.0, 7, None), ("2024-01-02", "B", 3.3, 6, 3.3 / 1.7 - 1)]
        cur.executemany("INSERT INTO long VALUES (%s, %s, %s, %s, %s)", [("2024-01-01", "B", 1.7, 1, None), *rows])
        connection.commit()
        assert same_long(uri, files) == 9
        cur.execute("UPDATE long SET ret = ret + 1e-15 WHERE ret IS NOT NULL")
        connection.commit()
        with pytest.raises(TablesDifferError, match=r"3 rows, expected 3; lacks \[\('2024-01-02', 'B', 3.3, 6, 0.94"):
            same_long(uri, files)
