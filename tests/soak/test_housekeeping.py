"""A job that only starts, loads and ends keeps lake and receipts small and compares its tables all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg2
import pytest
from job_process import command, drop, noise, run_once
from lake_reader import folder_rows
from outcome import rows

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak

HEADER = b"date,id,price,trade_volume\n"


def test_a_job_that_is_started_for_each_file_joins_and_removes_what_is_due_before_it_ends(
    tmp_path: Path, database: str
) -> None:
    """By the record of a long time ago: small files become one, receipts of old moves go, the tables are as before.

    Such a job has no quiet moment, and yet it tells what was changed between two starts.
    """
    home = tmp_path / "home"
    kept = ("--keep-receipts", "90d", "--lake-retention", "24h")
    drop(home / "input", "1.csv", HEADER + b"2024-01-01,A,1.5,10\n")
    run_once(home, database, *kept)
    _change(database, 'UPDATE prices SET "stk_A" = 12')
    drop(home / "input", "2.csv", HEADER + b"2024-01-02,A,1.5,10\n")
    output = run_once(home, database, *kept)
    assert ("audit: the tables are not what was loaded: " in output, noise(output)) == (True, []), output
    _change(database, 'UPDATE prices SET "stk_A" = 1.5')
    (home / "lake" / "housekeeping.json").write_text(
        json.dumps({"compacted": {"ticks": -100}, "cleaned": "2020-01-01T00:00:00+00:00"})
    )
    # for what was moved so far, a year passes
    _change(database, "UPDATE stocketl.receipts SET moved_at = moved_at - interval '1 year'")
    run_once(home, database, *kept)
    done = json.loads((home / "lake" / "housekeeping.json").read_text())
    assert done["compacted"]["ticks"] == 0
    assert done["cleaned"] > "2024"
    operations = [
        json.loads(line)["commitInfo"]["operation"]
        for log in sorted((home / "lake" / "ticks" / "_delta_log").glob("*.json"))
        for line in log.read_text().splitlines()
        if "commitInfo" in line
    ]
    writes = ["CREATE TABLE", "WRITE", "WRITE"]
    assert operations == [*writes, "OPTIMIZE", "SET TBLPROPERTIES", "VACUUM START", "VACUUM END"]
    assert sum(folder_rows(home / "lake" / "ticks").values()) == 2
    assert sorted(path.name for path in (home / "receipts").iterdir()) == ["000000001.json"]
    assert rows(database, "SELECT count(*) AS drops FROM stocketl.drops") == [{"drops": 2}]
    agreed = command("verify", "--home", str(home), "--database", database)
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr


def _change(database: str, statement: str) -> None:
    connected = psycopg2.connect(database)
    with connected, connected.cursor() as cur:
        cur.execute(statement)
    connected.close()
