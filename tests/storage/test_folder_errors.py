"""What the file system says of a folder, and what is left behind there."""

from __future__ import annotations

import errno
import os
import re
import subprocess
import sys
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.errors import SettingsError, StorageError
from streaming.storage import crash_safe as files
from streaming.storage.folder_errors import full_disks, plain_errors, wait_for_space
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from pathlib import Path


def _dead_process() -> int:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_what_a_dead_process_was_writing_is_removed_at_the_start(tmp_path: Path) -> None:
    """What a living one writes, and everybody else's, stays."""
    dead, living = _dead_process(), os.getpid()
    kept = {f".stocketl-{living}-7.part", ".stocketl-x.part", "000000001.json", f"{dead}.part"}
    for name in (*kept, f".stocketl-{dead}-140.part", f".stocketl-check-{dead}.part"):
        (tmp_path / name).write_bytes(b"half")
    open_place(str(tmp_path)).check()
    assert {path.name for path in tmp_path.iterdir()} == kept


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.EACCES, "; give the job's user the right to read and write there"),
        (errno.EPERM, "; give the job's user the right to read and write there"),
        (errno.EROFS, "; its disk takes no writes: find out why (dmesg) and mount it again with rw"),
        (errno.ENOENT, "; the folder is gone: make it again, or mount its disk"),
    ],
)
def test_each_refusal_says_what_to_do(number: int, advice: str, tmp_path: Path) -> None:
    """The line of a wait is all that a person sees."""
    folder = str(tmp_path / "gone")
    with pytest.raises(StorageError) as told, plain_errors("list", folder):
        raise OSError(number, os.strerror(number))
    assert str(told.value) == f"cannot list {folder}: {os.strerror(number)} ({errno.errorcode[number]}){advice}"


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_what_could_not_be_written_whole_is_removed_at_once(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that is full must not be filled with halves; the errno is told, and what to do."""
    place = open_place(str(tmp_path))

    def full(_descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match=rf"cannot write 'a.json' to .*: .* \({errno.errorcode[number]}\)") as told:
        place.put("a.json", b"receipt")
    assert ("free some space on its disk" in str(told.value)) is (number != errno.EIO)
    assert list(tmp_path.iterdir()) == []


def test_a_check_writes_where_the_job_will_write_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder on which rights look good and writing fails is refused at the start, a full one is not."""
    place = open_place(str(tmp_path / "in"))
    place.check(of_drops=True)
    assert [path.name for path in (tmp_path / "in").rglob("*")] == [".claims"]
    write = files.write

    def refused(path: str, data: bytes, *, durable: bool) -> None:
        if "/.claims/" in path:
            raise OSError(number, os.strerror(number), path)
        write(path, data, durable=durable)

    monkeypatch.setattr(files, "write", refused)
    number = errno.EROFS
    expected = rf"list, read and write in {re.escape(str(tmp_path))}/in/\.claims: Read-only file system \(EROFS\)"
    with pytest.raises(SettingsError, match=expected):
        place.check(of_drops=True)
    number = errno.ENOSPC
    place.check(of_drops=True)


def test_a_start_with_a_full_disk_waits_and_tells_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """It goes on by itself once there is space, or ends when it is told to stop."""
    monkeypatch.setattr("streaming.storage.folder_errors.SPACE_SECONDS", 0.001)
    write, tries, stop = files.write, [], threading.Event()

    def full(path: str, data: bytes, *, durable: bool) -> None:
        tries.append(path)
        if len(tries) < 4 or stop.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)
        write(path, data, durable=durable)

    monkeypatch.setattr(files, "write", full)
    wait_for_space(str(tmp_path), stop)
    told = [record.getMessage() for record in caplog.records]
    assert told[0] == (
        f"waiting for the disk of {tmp_path}, nothing is lost: No space left on device (ENOSPC). Free some space there."
    )
    assert (len(tries), "is back after" in told[-1], list(tmp_path.iterdir())) == (4, True, [])
    stop.set()
    wait_for_space(str(tmp_path), stop)


def test_disks_that_are_full_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that can be written to; one of the network is not asked, for it may never answer."""
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "a /full\\040disk ext4 rw,noatime 0 0\nb /image squashfs ro 0 0\nc /roomy ext4 rw 0 0\n"
        "d /far nfs4 rw 0 0\ne /proc proc rw 0 0\nf /gone ext4 rw 0 0\n"
    )
    left = {"/full disk": (9, 5), "/image": (9, 0), "/roomy": (9_000, 9_000), "/proc": (0, 0)}

    def asked(point: str) -> Any:
        if point not in left:
            raise FileNotFoundError(point)
        blocks, available = left[point]
        return SimpleNamespace(f_blocks=blocks, f_bavail=available, f_frsize=4096)

    monkeypatch.setattr(os, "statvfs", asked)
    assert full_disks(str(mounts)) == ["/full disk"]
    assert full_disks(str(tmp_path / "none")) == []
