"""The newest job writes, older ones stop; a checkpoint that does not fit the database is refused."""

from __future__ import annotations

import re
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
import pytest
from job_process import Job, assert_superseded, drop, noise, on_terminal, run_once, try_once
from outcome import folders, receipts, rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from databases import Databases

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"
DROPS = [
    HEADER + b"2024-01-02,A,10,100\n2024-01-02,B,20,200\n",
    HEADER + b"2024-01-04,A,30,300\n",
    HEADER + b"2024-01-03,A,15,\n2024-01-03,B,25,250\n",
]
NO_LAKE = ("--lake", "none")


def test_a_second_job_takes_over_and_the_first_stops(tmp_path: Path, database: str) -> None:
    """A person at a terminal is told first, and the newer job loads the drop that arrives meanwhile, once."""
    home = tmp_path / "home"
    with Job(home, database, *NO_LAKE) as first:
        drop(home / "input", "0.csv", DROPS[0])
        first.wait_for("the first receipt", lambda: receipts(home))
        code, told = on_terminal("run", "--home", str(home), "--database", database, *NO_LAKE)
        assert (code, f"another job runs on this database: process {first.pid} on " in told) == (1, True), told
        assert "--take-over" in told
        assert (_epoch(database), first.running) == (1, True)
        with Job(home, database, *NO_LAKE) as second:
            second.wait_for("its epoch", lambda: _epoch(database) == 2)
            drop(home / "input", "1.csv", DROPS[1])
            assert_superseded(first)
            second.wait_for("the second receipt", lambda: len(receipts(home)) == 2)
            drop(home / "input", "2.csv", DROPS[2])
            second.wait_for("the third receipt", lambda: len(receipts(home)) == 3)
            second.wait_for("an empty input", lambda: not folders(home, "input"))
            assert second.running
    assert_same(stored(database), expected(DROPS))
    assert _epochs_of_drops(database) == [1, 2, 2]


@dataclass(frozen=True)
class Filled:
    """A home and a database after two batches."""

    home: Path
    databases: Databases


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Filled:
    home = tmp_path_factory.mktemp("one-writer") / "home"
    database = databases.create("filled")
    for number in range(2):
        drop(home / "input", f"{number}.csv", DROPS[number], number)
    run_once(home, database, *NO_LAKE, "--max-batch-bytes", str(len(DROPS[0])))
    assert rows(database, "SELECT drops FROM stocketl.batches") == [{"drops": 1}, {"drops": 1}]
    return Filled(home, databases)


def _lose_checkpoint(home: Path, database: str) -> None:  # noqa: ARG001 (one signature for all)
    shutil.rmtree(home / "checkpoint")


def _name_another_drop_in_the_offset_log(home: Path, database: str) -> None:  # noqa: ARG001 (one signature for all)
    log = home / "checkpoint" / "offsets" / "1"
    (log.parent / ".1.crc").unlink(missing_ok=True)  # Hadoop's checksum would notice by itself
    text = log.read_text()
    assert "1.csv" in text
    log.write_text(text.replace("1.csv", "7.csv"))


def _restore_an_older_checkpoint(home: Path, database: str) -> None:  # noqa: ARG001 (one signature for all)
    for log in ("offsets", "commits"):
        for name in ("1", ".1.crc"):
            (home / "checkpoint" / log / name).unlink(missing_ok=True)


def _change_the_digest_in_the_ledger(home: Path, database: str) -> None:  # noqa: ARG001 (one signature for all)
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cur:
        cur.execute("UPDATE stocketl.batches SET digest = 'another list of drops' WHERE batch_id = 1")
    connection.close()


@pytest.mark.parametrize(
    "damage",
    [
        _lose_checkpoint,
        _name_another_drop_in_the_offset_log,
        _restore_an_older_checkpoint,
        _change_the_digest_in_the_ledger,
    ],
)
def test_a_checkpoint_that_does_not_fit_the_database_is_refused(
    damage: Callable[[Path, str], None], filled: Filled, tmp_path: Path
) -> None:
    """The message says what to do, and neither the database nor the waiting drop is touched."""
    home = tmp_path / "home"
    shutil.copytree(filled.home, home)
    database = filled.databases.copy("filled", "refused")
    damage(home, database)
    waiting = drop(home / "input", "late.csv", DROPS[2])
    code, output = try_once(home, database, *NO_LAKE)
    assert code == 1, output
    assert "checkpoint" in output
    assert re.search("start anew|start again", output, re.IGNORECASE), output
    assert noise(output) == []
    assert_same(stored(database), expected(DROPS[:2]))
    assert len(rows(database, "SELECT seq FROM stocketl.drops")) == 2
    assert waiting.read_bytes() == DROPS[2]


def _epoch(database: str) -> int:
    (row,) = (  # `epoch` itself is not comparable between runs, so `rows` leaves it out
        rows(database, "SELECT epoch AS current FROM stocketl.writer")
    )
    return int(row["current"])


def _epochs_of_drops(database: str) -> list[int]:
    query = """
        SELECT b.epoch AS writer FROM stocketl.drops d JOIN stocketl.batches b USING (checkpoint_id, batch_id)
        ORDER BY d.seq
    """
    return [row["writer"] for row in rows(database, query)]
