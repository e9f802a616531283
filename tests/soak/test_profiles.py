"""A profile is edited while a batch is open, and the job is killed: the replay reads each drop as it was admitted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from job_process import command, drop, kill_at, run_once
from outcome import rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.soak

GERMAN = '[[profile]]\nname = "g"\nfiles = "*.csv"\nprice = "Schluss"\ncsv = { decimal = "," }\n'
ENGLISH = '[[profile]]\nname = "e"\nfiles = "*.csv"\nprice = "Schluss"\ncsv = { thousands = "," }\n'
CONTENT = b"date;symbol;Schluss\n2024-03-04;A;1,500\n2024-03-05;A;3,000\n"
HEADER = b"date,id,price,trade_volume\n"


def test_a_profile_that_is_edited_while_a_batch_is_open_changes_nothing_of_it(tmp_path: Path, database: str) -> None:
    """Killed before and after the tables are written; later files are read by the new text, and `verify` agrees."""
    home = tmp_path / "home"
    drop(home / "input", "a.csv", CONTENT, 0)
    (home / "profiles.toml").write_text(GERMAN)
    kill_at("reading", tmp_path / "reading", home, database)
    (home / "profiles.toml").write_text(ENGLISH)
    kill_at("published", tmp_path / "published", home, database)
    run_once(home, database)
    german = HEADER + b"2024-03-04,A,1.5,\n2024-03-05,A,3,\n"
    assert_same(stored(database), expected([german]))
    drop(home / "input", "b.csv", CONTENT, 1)
    run_once(home, database)
    english = HEADER + b"2024-03-04,A,1500,\n2024-03-05,A,3000,\n"
    assert_same(stored(database), expected([german, english]))
    (home / "profiles.toml").unlink()
    checked = command("verify", "--home", str(home), "--database", database)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    names = "SELECT d.key, p.name FROM stocketl.drops d JOIN stocketl.profiles p ON p.digest = d.reading ORDER BY seq"
    assert rows(database, names) == [{"key": "a.csv", "name": "g"}, {"key": "b.csv", "name": "e"}]
