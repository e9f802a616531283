"""A job that only starts, loads and ends keeps its lake and its receipts small all the same."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psycopg2
import pytest
from job_process import command, drop, run_once
from lake_reader import folder_rows
from outcome import rows

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark


def test_a_job_that_is_started_for_each_file_joins_and_removes_what_is_due_before_it_ends(
    tmp_path: Path, database: str
) -> None:
    """By the record of a long time ago: small files become one, receipts of old moves go, the tables are as before."""
    home = tmp_path / "home"
    kept = ("--keep-receipts", "90d", "--lake-retention", "24h")
    for number in (1, 2):
        drop(home / "input", f"{number}.csv", f"date,id,price,trade_volume\n2024-01-0{number},A,1.5,10\n".encode())
        run_once(home, database, *kept)
    (home / "lake" / "housekeeping.json").write_text(
        json.dumps({"compacted": {"ticks": -100}, "cleaned": "2020-01-01T00:00:00+00:00"})
    )
    _let_a_year_pass(database)
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
    assert operations == ["WRITE", "WRITE", "OPTIMIZE", "SET TBLPROPERTIES", "VACUUM START", "VACUUM END"]
    assert sum(folder_rows(home / "lake" / "ticks").values()) == 2
    assert sorted(path.name for path in (home / "receipts").iterdir()) == ["000000001.json"]
    assert rows(database, "SELECT count(*) AS drops FROM stocketl.drops") == [{"drops": 2}]
    agreed = command("verify", "--home", str(home), "--database", database)
    assert agreed.returncode == 0, agreed.stdout + agreed.stderr


def _let_a_year_pass(database: str) -> None:
    """For what was moved so far."""
    connected = psycopg2.connect(database)
    with connected, connected.cursor() as cur:
        cur.execute("UPDATE stocketl.receipts SET moved_at = moved_at - interval '1 year'")
    connected.close()
