"""A random mix of drops gives the same tables however it is cut into batches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import inputs
import pytest
from job_process import Job, command, drop, run_once
from outcome import folders, rows
from served import assert_reconciled, assert_served
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

    from databases import Databases

pytestmark = pytest.mark.soak

COUNTS = """
    SELECT seq, key, status, rows_read, rows_loaded, rows_duplicate, rows_rejected, cells_new, cells_changed,
           cells_same, returns_rewritten, tickers_new, corrections FROM stocketl.drops ORDER BY seq
"""
CORRECTIONS = "SELECT to_jsonb(c) - 'at' AS row FROM stocketl.corrections c ORDER BY seq, date, id"
SMALL = ("--max-batch-bytes", "1000", "--split-bytes", "400", "--lake", "none")


def test_a_random_mix_gives_the_same_tables_in_two_batchings(tmp_path: Path, databases: Databases) -> None:
    """Large batches in two runs, or one drop after another in small ones with a kill between: only the drops count."""
    mix = inputs.random_mix(seed=4)
    contents = [content for _, content in mix]
    large, small = tmp_path / "large", tmp_path / "small"
    in_large, in_small = databases.create("mix_large"), databases.create("mix_small")
    for part in (slice(0, 6), slice(6, 14)):
        _drop_all(large, mix, part)
        run_once(large, in_large, "--lake", "none")
    with Job(small, in_small, *SMALL) as job:
        for number in range(9):
            _drop_all(small, mix, slice(number, number + 1))
            job.wait_for(f"drop {number} in success/", lambda: not folders(small, "input"))
        _drop_all(small, mix, slice(9, 14))  # killed at whatever comes next
    run_once(small, in_small, *SMALL)
    want = expected(contents)
    assert_same(stored(in_large), want)
    assert_same(stored(in_small), want)
    assert_served(in_large, want)
    assert_served(in_small, want)
    for query in (COUNTS, CORRECTIONS):
        assert rows(in_large, query) == rows(in_small, query) != []
    assert [row["key"] for row in rows(in_small, COUNTS)] == [key for key, _ in mix]
    batches = [len(rows(database, "SELECT drops FROM stocketl.batches")) for database in (in_large, in_small)]
    assert batches[0] == 2
    assert batches[1] > 14, "the large drop must take several batches"
    for home, database in ((large, in_large), (small, in_small)):
        assert sorted(folders(home).values()) == sorted(contents)
        assert_reconciled(database, home)
        agreed = command("verify", "--home", str(home), "--database", database)
        assert agreed.returncode == 0, agreed.stdout + agreed.stderr


def _drop_all(home: Path, mix: list[tuple[str, bytes]], part: slice = slice(None)) -> None:
    for number in range(len(mix))[part]:
        drop(home / "input", mix[number][0], mix[number][1], number)
