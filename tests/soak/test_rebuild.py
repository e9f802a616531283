"""`stocketl rebuild` as a process: from a refused checkpoint to right tables, though it is killed on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import process_session
import pytest
import spark_checkpoint
from job_process import clean_environment, command, drop, noise, run_once, try_once
from loaded_home import LoadedHome
from outcome import folders
from tables import assert_same, expected, stored

from streaming.settings import load

pytestmark = pytest.mark.soak

HEADER = "date,id,price,trade_volume\n"
_STOCKETL = str(Path(sys.executable).with_name("stocketl"))


def _kill_rebuild_at(point: str, marker: Path, arguments: list[str]) -> None:
    fault = {"STOCKETL_FAULT": f"{point}:{marker}"}
    process = subprocess.Popen(
        [_STOCKETL, *arguments],
        env=clean_environment() | fault,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        while not (marker.exists() and marker.read_text()):
            assert process.poll() is None, "it ended before the point was reached"
            time.sleep(0.05)
    finally:
        process_session.kill(process.pid)
        process.wait()
    assert process.returncode == -signal.SIGKILL


def test_a_damaged_checkpoint_is_rebuilt_though_killed_in_the_middle(database: str, tmp_path: Path) -> None:
    """The run refuses and names the command; the command, killed and given again, ends with right tables."""
    home = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    folder = home.settings.home
    contents = [f"{HEADER}2024-01-02,A,{price},1\n2024-01-{price + 2:02d},A,{price},\n" for price in (1, 2, 3)]
    for content in contents:
        home.load("same.csv", content)
    home.close()
    os.utime(folder / "success" / "same.csv")  # by its time it would come last
    late = drop(folder / "input", "waits.csv", f"{HEADER}2024-01-09,A,9,1\n".encode(), 0).read_bytes()
    spark_checkpoint.make(folder / "checkpoint")
    (folder / "checkpoint" / "commits" / "1").write_bytes(b"")
    code, output = try_once(folder, database)
    assert (code, "commits/1" in output, "stocketl rebuild" in output, noise(output)) == (1, True, True, [])

    arguments = [
        "rebuild",
        "--home",
        str(folder),
        "--database",
        database,
        "--max-batch-bytes",
        "60",
        "--lake",
        "none",
        "--yes",
    ]
    _kill_rebuild_at("published", tmp_path / "marker", arguments)
    code, output = try_once(folder, database)
    assert (code, "a rebuild of" in output) == (1, True)
    ended = subprocess.run(
        [_STOCKETL, *arguments], env=clean_environment(), capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Rebuilt." in ended.stdout
    assert not noise(ended.stdout + ended.stderr)
    assert_same(stored(database), expected([content.encode() for content in contents]))
    assert sorted(folders(folder, "success").values()) == sorted(content.encode() for content in contents)
    assert folders(folder, "input") == {"input/waits.csv": late}
    run_once(folder, database, "--lake", "none")
    assert_same(stored(database), expected([*(content.encode() for content in contents), late]))
    assert command("verify", "--home", str(folder), "--database", database).returncode == 0
