"""A folder as a place: what lies there, claims that keep bytes, reads, writes."""

from __future__ import annotations

import os
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from streaming.errors import SettingsError, StorageError, SymbolicLinkError, VanishedError
from streaming.storage.locations import open_place
from streaming.storage.place import Version

if TYPE_CHECKING:
    from pathlib import Path


NOON = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC, in nanoseconds


def _file(path: Path, data: bytes = b"x", at: int = NOON) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(at, at))
    return path


def _keys(url: object, settle: float = 0.0) -> list[str]:
    return [version.key for version in open_place(str(url), settle=settle).versions()]


def test_a_folder_lists_versions_in_order_of_time_then_key(tmp_path: Path) -> None:
    """Recursive, keys with `/`, microseconds in UTC, etag from mtime, size and inode."""
    b = _file(tmp_path / "b.csv", b"bb", NOON + 1_000_999)
    a = _file(tmp_path / "sub" / "a.csv", b"a", NOON + 1_000_000)
    c = _file(tmp_path / "c.csv", b"", NOON)
    assert open_place(str(tmp_path)).versions() == [
        Version("c.csv", f"{NOON}.0.{c.stat().st_ino}", None, 0, datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)),
        Version(
            "b.csv", f"{NOON + 1_000_999}.2.{b.stat().st_ino}", None, 2, datetime(2023, 11, 14, 22, 13, 20, 1000, UTC)
        ),
        Version(
            "sub/a.csv",
            f"{NOON + 1_000_000}.1.{a.stat().st_ino}",
            None,
            1,
            datetime(2023, 11, 14, 22, 13, 20, 1000, UTC),
        ),
    ]


def test_what_is_no_drop_is_not_listed(tmp_path: Path) -> None:
    """Hidden and unfinished names, pipes, sockets and what lies behind a link to a folder are not drops."""
    for name in (".a.csv", "_SUCCESS", "c.csv.tmp", "d.part", "e.csv._COPYING_", ".h/x", "_temporary/x", "j.tmp/x"):
        _file(tmp_path / "in" / name)
    _file(tmp_path / "elsewhere" / "x.csv")
    (tmp_path / "in" / "folder.csv").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "in" / "pipe.csv")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(tmp_path / "in" / "socket.csv"))
        _file(tmp_path / "in" / "a.tmp.csv")
        assert _keys(tmp_path / "in") == ["a.tmp.csv"]


def test_a_young_file_waits(tmp_path: Path) -> None:
    """A file younger than the settle time is not a drop yet."""
    _file(tmp_path / "young.csv", at=time.time_ns() - 5_000_000_000)
    _file(tmp_path / "old.csv", at=time.time_ns() - 500_000_000_000)
    assert _keys(tmp_path, settle=100) == ["old.csv"]
    assert _keys(tmp_path, settle=1) == ["old.csv", "young.csv"]


def test_a_file_from_the_future_does_not_wait_for_ever(tmp_path: Path) -> None:
    """With an mtime ahead of the clock it waits from when it was first seen as it is, again after each change."""
    path = _file(tmp_path / "a.csv", at=time.time_ns() + 10**15)
    place = open_place(str(tmp_path), settle=0.05)
    assert place.versions() == []
    _file(path, b"changed", at=time.time_ns() + 10**15)
    assert place.versions() == []
    deadline = time.monotonic() + 5
    while not (found := place.versions()) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert [(version.key, version.size) for version in found] == [("a.csv", 7)]


def test_names_that_are_not_utf8_have_a_key_and_are_read(tmp_path: Path) -> None:
    """Such bytes stand in the key as \\xFF, a backslash as \\x5C; each key leads back to its own file."""
    names = [b"a\xff.csv", b"a\\xFF.csv", b"b\\n.csv", "é\n.csv".encode(), b"c%FF.csv", b"d\xc3/e\xa9.csv"]
    for name in names:
        _file(tmp_path / os.fsdecode(name), name)
    place = open_place(str(tmp_path))
    versions = place.versions()
    assert {version.key: place.read(version, 1) for version in versions} == {
        "a\\xFF.csv": b"a\xff.csv",
        "a\\x5CxFF.csv": b"a\\xFF.csv",
        "b\\x5Cn.csv": b"b\\n.csv",
        "é\n.csv": "é\n.csv".encode(),
        "c%FF.csv": b"c%FF.csv",
        "d\\xC3/e\\xA9.csv": b"d\xc3/e\xa9.csv",
    }


def test_a_key_that_leads_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """Dots, empty components and NUL never become a path."""
    place = open_place(str(tmp_path / "in"))
    for key in ("../a", "a/../../b", "/etc/passwd", "a//b", ".", "", "a\0"):
        with pytest.raises(StorageError, match="is no name below"):
            place.put(key, b"x")


def test_a_missing_folder_is_an_error_not_an_empty_listing(tmp_path: Path) -> None:
    """A folder that is not there (not mounted) says so; `check` makes it."""
    place = open_place(str(tmp_path / "in"))
    with pytest.raises(StorageError, match=r"cannot list .*/in: No such file or directory"):
        place.versions()
    assert place.keys() == []
    place.check()
    assert place.versions() == []
    _file(tmp_path / "file")
    with pytest.raises(SettingsError, match="expected a folder at"):
        open_place(str(tmp_path / "file")).check()


def test_what_may_not_be_read_does_not_end_the_listing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A forbidden folder or file waits, is named once, and the rest goes on."""
    refused = {str(tmp_path / "closed"), str(tmp_path / "secret.csv")}
    for name in ("closed/a.csv", "open/b.csv", "secret.csv"):
        _file(tmp_path / name)
    scan, open_ = os.scandir, os.open

    def guarded_scan(path: str) -> object:
        if path.rstrip("/") in refused:
            raise PermissionError(13, "Permission denied", path)
        return scan(path)

    def guarded_open(path: str, *rest: int) -> int:
        if path in refused:
            raise PermissionError(13, "Permission denied", path)
        return open_(path, *rest)

    monkeypatch.setattr(os, "scandir", guarded_scan)  # root is never refused by the file system itself
    monkeypatch.setattr(os, "open", guarded_open)
    place = open_place(str(tmp_path))
    for _ in range(2):
        claims = {version.key: place.claim(version, 1) is not None for version in place.versions()}
        assert claims == {"open/b.csv": True, "secret.csv": False}
    assert [record.getMessage().split(" in ")[0] for record in caplog.records] == ["'closed/'", "'secret.csv'"]


def test_a_claim_keeps_the_bytes_whatever_happens_to_the_file(tmp_path: Path) -> None:
    """Overwritten in place, replaced or deleted: the claim reads as admitted, in any range."""
    path = _file(tmp_path / "a.csv", b"0123456789")
    place = open_place(str(tmp_path))
    (version,) = place.versions()
    assert place.claim(version, 7) == version
    assert (tmp_path / ".claims" / "7").stat().st_mtime_ns == NOON
    with path.open("r+b") as file:
        file.write(b"overwritten")
    assert [version.key for version in place.versions()] == ["a.csv"]
    path.unlink()
    reads = [
        place.read(version, 7),
        place.read(version, 7, 3, 6),
        place.read(version, 7, 8),
        place.read(version, 7, 8, 99),
    ]
    assert reads == [b"0123456789", b"345", b"89", b"89"]
    assert place.claimed() == {7}
    place.release(7)
    place.release(7)
    assert place.claimed() == set()
    with pytest.raises(VanishedError, match=r"'a\.csv'"):
        place.read(version, 7)


def test_what_changed_since_the_listing_is_not_claimed(tmp_path: Path) -> None:
    """A file that vanished, grew, was replaced or became a folder or link gives None and leaves no claim."""
    for name in ("gone", "grown", "replaced", "folder", "link"):
        _file(tmp_path / f"{name}.csv")
    place = open_place(str(tmp_path))
    versions = place.versions()
    for name in ("gone", "folder", "link"):
        (tmp_path / f"{name}.csv").unlink()
    (tmp_path / "folder.csv").mkdir()
    (tmp_path / "link.csv").symlink_to("/etc/hostname")
    with (tmp_path / "grown.csv").open("ab") as file:
        file.write(b"more")
    _file(tmp_path / "new").replace(tmp_path / "replaced.csv")
    assert [place.claim(version, 1) for version in versions] == [None] * 5
    assert list((tmp_path / ".claims").iterdir()) == []


def test_a_claim_of_another_version_under_the_same_seq_is_replaced(tmp_path: Path) -> None:
    """After a crash before the offset log the same seq may go to another drop: it gets that drop's bytes."""
    _file(tmp_path / "a.csv", b"a")
    _file(tmp_path / "b.csv", b"b")
    place = open_place(str(tmp_path))
    a, b = place.versions()
    (tmp_path / ".claims").mkdir()
    (tmp_path / ".claims" / "1.part").write_bytes(b"left by a crash")
    place.claim(a, 1)
    place.claim(b, 1)
    place.claim(b, 1)
    assert (place.read(b, 1), [path.name for path in (tmp_path / ".claims").iterdir()]) == (b"b", ["1"])


def test_a_lost_claim_is_read_from_the_file_itself(tmp_path: Path) -> None:
    """A claim cut short by a power cut, or deleted, does not matter while the file is as it was admitted."""
    path = _file(tmp_path / "a.csv", b"abc")
    place = open_place(str(tmp_path))
    (version,) = place.versions()
    place.claim(version, 1)
    (tmp_path / ".claims" / "1").write_bytes(b"")
    assert place.read(version, 1) == b"abc"
    path.write_bytes(b"abd")
    with pytest.raises(VanishedError):
        place.read(version, 1)


def test_a_symbolic_link_is_a_drop_that_is_not_read(tmp_path: Path) -> None:
    """It is claimed as a link; reading says so and never opens its target."""
    secret = _file(tmp_path / "secret", b"secret")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").symlink_to(secret)
    (tmp_path / "in" / "dangling.csv").symlink_to("nowhere")
    place = open_place(str(tmp_path / "in"))
    versions = place.versions()
    assert [version.key for version in versions] == ["a.csv", "dangling.csv"]
    for seq, version in enumerate(versions):
        assert place.claim(version, seq) == version
        with pytest.raises(SymbolicLinkError, match="symbolic links are not read"):
            place.read(version, seq)


def test_put_and_get_in_a_folder(tmp_path: Path) -> None:
    """Objects appear whole, replace older ones and leave no temporary files."""
    place = open_place(str(tmp_path / "new" / "receipts"))
    place.put("a/1.json", b"old")
    place.put("a/1.json", b"new")
    place.put(".hidden", b"")
    (tmp_path / "new" / "receipts" / ".stocketl-9.part").write_bytes(b"left by a crash")
    assert (place.keys(), place.get("a/1.json"), place.get("a"), place.get("a/1.json/b"), place.get("b")) == (
        [".hidden", "a/1.json"],
        b"new",
        None,
        None,
        None,
    )
    assert [place.exists(key) for key in ("a/1.json", "a", "b")] == [True, True, False]


def test_ten_thousand_files_are_listed_and_claimed_quickly(tmp_path: Path) -> None:
    """The folder is polled five times a second: a listing costs little more than the system's own, in CPU.

    Compared in turns, so that it holds on any machine.
    """
    for number in range(10_000):
        (tmp_path / f"{number:05d}.csv").touch()
    place = open_place(str(tmp_path))
    plain, ours, versions = [], [], list[Version]()
    for _ in range(5):
        began = time.process_time()
        assert len([entry.stat(follow_symlinks=False) for entry in os.scandir(tmp_path)]) == 10_000
        between = time.process_time()
        versions = place.versions()
        plain.append(between - began)
        ours.append(time.process_time() - between)
    assert len(versions) == 10_000
    assert min(ours) < 8 * min(plain)
    began = time.process_time()
    assert all(place.claim(version, seq) for seq, version in enumerate(versions))
    assert time.process_time() - began < 200 * min(plain)
