"""Disks that are full, for real: file systems of some MB in memory. Mounting them needs root, which CI is."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest
from job_process import Job, drop, noise
from outcome import rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.soak

HEADER = b"date,id,price,trade_volume\n"
DROPS = [HEADER + f"2024-01-0{day},A,{day}.5,{day}\n".encode() for day in range(1, 8)]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a new disk of 16 MB under the name."""
    mounted: list[Path] = []

    def mount(name: str) -> Path:
        mounted.append(tmp_path / name)
        mounted[-1].mkdir()
        subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", mounted[-1]], check=True)
        return mounted[-1]

    yield mount
    for path in mounted:
        subprocess.run(["/bin/umount", "--lazy", path], check=True)


def _fill(disk: Path, left: int) -> Path:
    """A file that takes all of the disk but so many bytes."""
    filler = disk / ".filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)) == 4096:
                pass
        except OSError:
            file.truncate(file.tell() - left)
    return filler


def test_a_full_disk_is_waited_for_wherever_the_job_writes(
    disk: Callable[[str], Path], tmp_path: Path, database: str
) -> None:
    """Under the checkpoint, at several points of a batch, and under receipts and input: told, and gone on with."""
    home, state, told = tmp_path / "home", disk("state"), disk("told")
    places = ("--input", str(told / "input"), "--receipts", str(told / "receipts"))
    with Job(home, database, *places, "--checkpoint", str(state / "checkpoint"), "--lake", "none") as job:
        loaded = 0

        def load(reaching: Path, *, left: int) -> None:
            nonlocal loaded
            before = len(job.output)
            name = f"{loaded}.csv"
            content, filler = drop(told, f".{name}", DROPS[loaded]), _fill(reaching, left)
            content.rename(told / "input" / name)
            job.wait_for("the wait to be told", lambda: "No space left on device" in job.output[before:])
            filler.unlink()
            loaded += 1
            job.wait_for("its receipt and its move", (home / "success" / name).exists)

        job.wait_for("the start", lambda: "watching" in job.output)
        drop(told / "input", "first.csv", DROPS[6])
        job.wait_for("the first move", (home / "success" / "first.csv").exists)
        for left in (0, 4096, 5 * 4096):
            load(state, left=left)
        assert f"free some space on {state} (details: " in job.output
        load(told, left=0)
        assert "waiting for the input " in job.output
        left_over = [path for place in (state, told) for path in place.rglob(".stocketl-*")]
        assert (left_over, noise(job.output)) == ([], [])
        job.terminate()
        job.wait_exit()
    assert_same(stored(database), expected([DROPS[6], *DROPS[:loaded]]))
    assert (
        len(list((told / "receipts").glob("*.json"))) == loaded + 1 == len(rows(database, "SELECT FROM stocketl.drops"))
    )
