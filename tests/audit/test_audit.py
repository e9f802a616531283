"""A job notices when its tables were changed by somebody else, and ends when its state is another one."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import psycopg2
import pytest
from job_process import Job, drop, noise
from outcome import rows

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

CONTENT = b"date,id,price,trade_volume\n2024-01-02,A,10,1\n2024-01-03,A,11,\n2024-01-02,B,5,7\n"


def change(database: str, statement: str) -> None:
    with contextlib.closing(psycopg2.connect(database)) as connection, connection, connection.cursor() as cur:
        cur.execute(statement)


def test_what_is_changed_behind_the_jobs_back_is_told(tmp_path: Path, database: str) -> None:
    """All agree after the start; a price changed by hand is told and noted; another state ends the job."""
    home = tmp_path / "home"
    with Job(home, database, "--lake", "none", "--audit-every", "1s") as job:
        drop(home / "input", "a.csv", CONTENT)
        job.wait_for("a good audit", lambda: "audit: 3 cells of state, ledger and tables agree" in job.output)
        change(database, "UPDATE prices SET \"stk_A\" = 12 WHERE date = '2024-01-03'")
        job.wait_for("a bad audit", lambda: "audit: the tables are not what was loaded: " in job.output)
        assert job.running
        newest = "SELECT problem IS NULL AS good FROM stocketl.audits ORDER BY audited_at DESC LIMIT 1"
        job.wait_for("its note", lambda: rows(database, newest) == [{"good": False}])
        change(database, "UPDATE stocketl.fingerprints SET sum = sum + 1")
        assert job.wait_exit() == 1
        assert "the tables were not written from the state in the checkpoint" in job.output
        assert noise(job.output) == []
