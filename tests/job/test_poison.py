"""A drop that kills the process that parses it: found, failed, and the rest goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from job_process import drop, run_once
from outcome import folders, receipts
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"
GOOD = [HEADER + b"2024-01-02,A,10,100\n", HEADER + b"2024-01-03,A,20,200\n"]


def test_a_poison_file_fails_and_the_others_of_its_batch_load(tmp_path: Path, database: str) -> None:
    """Its parser dies each time; the job stays up, isolates it, and marks it failed with the reason."""
    home = tmp_path / "home"
    drop(home / "input", "first.csv", GOOD[0])
    drop(home / "input", "poison.csv", HEADER + b"2024-01-02,B,1,1\n")
    drop(home / "input", "last.csv", GOOD[1])
    run_once(home, database, "--lake", "none", env={"STOCKETL_FAULT": "die:poison.csv"})
    assert_same(stored(database), expected(GOOD))
    told = {receipt["key"]: (receipt["fate"], receipt["reason"]) for receipt in receipts(home).values()}
    assert told == {
        "first.csv": ("success", None),
        "poison.csv": ("failed", "poison: its parser ended with signal 9"),
        "last.csv": ("success", None),
    }
    assert set(folders(home, "input", "success", "failed")) == {
        "success/first.csv",
        "success/last.csv",
        "failed/poison.csv",
    }
