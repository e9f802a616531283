"""Jobs that were frozen, as a suspended machine is, find a newer one at work when they wake."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from job_process import Job, assert_superseded, drop
from outcome import folders, receipts, rows
from table_lock import locked
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak

HEADER = b"date,id,price,trade_volume\n"
DROPS = [
    HEADER + b"2024-01-02,A,10,100\n2024-01-02,B,20,200\n",
    HEADER + b"2024-01-04,A,30,300\n",
    HEADER + b"2024-01-03,A,15,\n2024-01-03,B,25,250\n",
    HEADER + b"2024-01-02,B,21,\n",
]
NO_LAKE = ("--lake", "none")
EPOCHS = """
    SELECT b.epoch AS writer FROM stocketl.drops d JOIN stocketl.batches b USING (checkpoint_id, batch_id)
    ORDER BY d.seq
"""


def test_frozen_jobs_hold_nobody_up_and_stop_when_they_wake(tmp_path: Path, database: str) -> None:
    """One was frozen while idle, one in the middle of its transaction; when they wake they write nothing more."""
    home = tmp_path / "home"
    with Job(home, database, *NO_LAKE) as idle:
        drop(home / "input", "0.csv", DROPS[0])
        idle.wait_for("the first receipt", lambda: receipts(home))
        idle.wait_for("an empty input", lambda: not folders(home, "input"))
        idle.freeze()
        with Job(home, database, *NO_LAKE) as busy:
            drop(home / "input", "1.csv", DROPS[1])
            busy.wait_for("the second receipt", lambda: len(receipts(home)) == 2)
            with locked(database) as waiters:
                drop(home / "input", "2.csv", DROPS[2])
                busy.wait_for("a transaction that waits", waiters)
                busy.freeze()
            with Job(home, database, *NO_LAKE) as newest:
                newest.wait_for("the third receipt", lambda: len(receipts(home)) == 3)
                idle.wake()
                busy.wake()
                drop(home / "input", "3.csv", DROPS[3])
                assert_superseded(idle)
                assert_superseded(busy)
                newest.wait_for("the fourth receipt", lambda: len(receipts(home)) == 4)
                newest.wait_for("an empty input", lambda: not folders(home, "input"))
                assert newest.running
    assert_same(stored(database), expected(DROPS))
    assert [row["writer"] for row in rows(database, EPOCHS)] == [1, 2, 3, 3]
    assert sorted(folders(home)) == [f"success/{number}.csv" for number in range(4)]
