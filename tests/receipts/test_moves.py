"""Moves that neither a crash nor a producer can spoil."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from streaming.errors import StorageError
from streaming.receipts import moves
from streaming.receipts.names import free_name
from streaming.storage import crash_safe as files
from streaming.storage.entries import path_of
from streaming.storage.locations import open_place
from streaming.storage.place import CHUNK

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from fixture_s3 import S3Server

    from streaming.storage.place import Place, Version

NOON = 1_700_000_000_000_000_000


@dataclass
class Desk:
    """An input with one claimed drop (seq 12), and a target."""

    source: Place
    target: Place
    version: Version

    def move(self, name: str = "a.csv") -> bool:
        return moves.move(self.source, self.version, 12, self.target, name)

    def state(self) -> tuple[dict[str, bytes | None], dict[str, bytes | None], set[int]]:
        """What lies in the input, what lies at the target, and the claims."""
        places = (self.source, self.target)
        inside, outside = ({key: place.get(key) for key in place.keys()} for place in places)  # noqa: SIM118 - no dict
        return inside, outside, self.source.claimed()


def _desk(source: str, target: str, data: bytes = b"loaded") -> Desk:
    place = open_place(source)
    place.check()
    place.put("a.csv", data)
    if not source.startswith("s3://"):
        os.utime(f"{source}/a.csv", ns=(NOON, NOON))
    (version,) = place.versions()
    assert place.claim(version, 12) == version
    return Desk(place, open_place(target), version)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """From a folder to a folder."""
    return _desk(f"{tmp_path}/in", f"{tmp_path}/success")


PAIRS = ["folder to folder", "folder to s3", "s3 to folder", "s3 to s3"]


def _urls(pair: str, tmp_path: Path, server: S3Server) -> tuple[str, str]:
    source, _, target = pair.partition(" to ")
    place = {"folder": lambda name: f"{tmp_path}/{name}", "s3": lambda name: f"s3://{server.bucket()}/{name}"}
    return place[source]("in"), place[target]("success")


@pytest.mark.parametrize("pair", PAIRS)
@pytest.mark.parametrize("size", [0, 6, CHUNK + 1])
def test_a_move_takes_the_bytes_and_the_claim_along(pair: str, size: int, tmp_path: Path, s3: S3Server) -> None:
    """Between folders and buckets in all four ways, empty and larger than one chunk included."""
    data = bytes(range(256)) * (size // 256 + 1)
    desk = _desk(*_urls(pair, tmp_path, s3), data[:size])
    assert desk.move("2024/a.csv") is True
    assert desk.state() == ({}, {"2024/a.csv": data[:size]}, set())


@pytest.mark.parametrize("pair", PAIRS)
def test_a_move_killed_between_copy_and_delete_is_ended_by_the_next_start(
    pair: str, tmp_path: Path, s3: S3Server
) -> None:
    """kill -9 at the point `moving`; the same call again, and once more, ends as if nothing had happened."""
    source, target = _urls(pair, tmp_path, s3)
    desk = _desk(source, target)
    marker = tmp_path / "reached"
    script = (
        "import sys; from streaming.receipts import moves; from streaming.storage.locations import open_place as at\n"
        "a, b = at(sys.argv[1]), at(sys.argv[2])\n"
        "moves.move(a, a.versions()[0], 12, b, 'a.csv')"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, source, target], env={**os.environ, "STOCKETL_FAULT": f"moving:{marker}"}
    ) as process:
        deadline = time.monotonic() + 60
        while not (marker.exists() and marker.read_text()) and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.kill()
    assert (process.returncode, marker.read_text().split()[0]) == (-signal.SIGKILL, "moving")
    claims = {12} if pair.startswith("folder") else set()
    assert desk.state() == ({"a.csv": b"loaded"}, {"a.csv": b"loaded"}, claims)
    assert [desk.move(), desk.move()] == [True, True]
    assert desk.state() == ({}, {"a.csv": b"loaded"}, set())


def test_a_move_keeps_mtime_and_permissions_and_copies_no_data(desk: Desk, tmp_path: Path) -> None:
    """Within a file system the claim gets a second name; a later re-drop of the file keeps its place in the order."""
    (tmp_path / "in" / "a.csv").chmod(0o640)
    desk.source.claim(desk.version, 12)
    claim = (tmp_path / "in" / ".claims" / "12").stat()
    desk.move("sub/a.csv")
    moved = (tmp_path / "success" / "sub" / "a.csv").stat()
    assert (moved.st_ino, moved.st_mtime_ns, moved.st_mode & 0o777) == (claim.st_ino, NOON, 0o640)


def test_a_move_to_another_file_system_copies(desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, mtime and permissions as above, through a temporary name that does not stay."""
    link = os.link

    def across(path: str, new: str, **options: bool) -> None:
        if "/.claims/" in path:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
        link(path, new, **options)

    monkeypatch.setattr(os, "link", across)
    desk.move()
    moved = tmp_path / "success" / "a.csv"
    assert desk.state() == ({}, {"a.csv": b"loaded"}, set())
    assert (moved.stat().st_mtime_ns, os.listdir(moved.parent)) == (NOON, ["a.csv"])  # noqa: PTH208 - names only


def test_a_file_system_without_links_is_served_by_renames(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """And still nothing is overwritten."""

    def refuse(path: str, *_: object, **__: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM), path)

    monkeypatch.setattr(os, "link", refuse)
    desk.move()
    assert desk.state() == ({}, {"a.csv": b"loaded"}, set())
    desk.target.put("b.csv", b"other")
    with pytest.raises(FileExistsError):
        files.link(f"{desk.target.url}/a.csv", f"{desk.target.url}/b.csv")


@pytest.mark.parametrize("pair", PAIRS)
def test_a_name_that_was_taken_meanwhile_is_not_overwritten(pair: str, tmp_path: Path, s3: S3Server) -> None:
    """Another file under the chosen name stops this move with a message and changes nothing, of whatever size."""
    desk = _desk(*_urls(pair, tmp_path, s3))
    for other in (b"others", b"longer"[:3]):
        desk.target.put("a.csv", other)
        with pytest.raises(StorageError, match="Nothing is overwritten: give that file another name"):
            desk.move()
        with pytest.raises(StorageError):
            desk.target.take(desk.source, desk.version, 12, "a.csv")
        claims = {12} if pair.startswith("folder") else set()
        assert desk.state() == ({"a.csv": b"loaded"}, {"a.csv": other}, claims)
    assert not list(tmp_path.glob("success/.stocketl*"))


def _replace(path: Path) -> None:
    new = path.with_name(".new")
    new.write_bytes(b"replaced")
    new.replace(path)


@pytest.mark.parametrize(
    ("change", "left"),
    [
        (_replace, {"a.csv": b"replaced"}),
        (lambda path: path.write_bytes(b"REWROTE"), {"a.csv": b"REWROTE"}),
        (lambda path: path.unlink(), {}),
    ],
)
def test_what_the_producer_did_since_the_claim_stays(
    desk: Desk, tmp_path: Path, change: Callable[[Path], None], left: dict[str, bytes]
) -> None:
    """Replaced, rewritten in place or deleted: the loaded bytes are moved, the newer file stays as a new drop."""
    change(tmp_path / "in" / "a.csv")
    desk.move()
    assert desk.state() == (left, {"a.csv": b"loaded"}, set())
    assert [version.key for version in desk.source.versions()] == list(left)


@pytest.mark.parametrize("left", [b"newer", b"even newer"])
@pytest.mark.parametrize("kills", [0, 1])
def test_a_file_renamed_over_the_input_during_its_removal_is_not_lost(
    desk: Desk,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    left: bytes,
    kills: int,
) -> None:
    """Between the look and the removal a newer file arrives: it gets its name back, or an even newer one wins."""
    path = tmp_path / "in" / "a.csv"
    rename = os.rename

    def racing(old: str, new: str) -> None:
        path.with_name("n").write_bytes(b"newer")
        rename(path.with_name("n"), path)
        rename(old, new)
        if left != b"newer":
            path.write_bytes(left)
        if kills:
            raise KeyboardInterrupt

    monkeypatch.setattr(os, "rename", racing)
    with contextlib.suppress(KeyboardInterrupt):
        desk.move()
    monkeypatch.undo()
    if kills:
        desk.move()
    assert desk.state() == ({"a.csv": left}, {"a.csv": b"loaded"}, set())
    assert [name.name for name in (tmp_path / "in").iterdir() if name.is_file()] == ["a.csv"]


def test_a_newer_s3_version_stays(s3: S3Server) -> None:
    """Exactly the moved version is deleted, no delete marker is left; the newer one is the next drop."""
    bucket = s3.bucket()
    desk = _desk(f"s3://{bucket}/in", f"s3://{bucket}/success")
    desk.source.put("a.csv", b"newer")
    desk.move()
    listed = s3.client.list_object_versions(Bucket=bucket)
    assert desk.state() == ({"a.csv": b"newer"}, {"a.csv": b"loaded"}, set())
    assert (len(listed["Versions"]), listed.get("DeleteMarkers", [])) == (2, [])


def test_an_s3_drop_is_copied_by_s3_itself(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Metadata stays; above the limit of CopyObject it is copied in parts, of exactly this version."""
    bucket = s3.bucket()
    desk = _desk(f"s3://{bucket}/in å+ %", f"s3://{s3.bucket()}/success")
    body = b"0" * (CHUNK + 5)
    put = s3.client.put_object(Bucket=bucket, Key="in å+ %/b c+%25.csv", Body=body, Metadata={"from": "feed"})
    desk.source.put("b c+%25.csv", b"newer")
    version = next(v for v in desk.source.versions() if v.version == put["VersionId"])
    for limit, name in ((1 << 30, "whole.csv"), (CHUNK, "parts.csv")):
        with monkeypatch.context() as limited:
            limited.setattr("streaming.storage.bucket._LARGEST_COPY", limit)
            limited.setattr("streaming.storage.bucket._COPY_PART", CHUNK)
            limited.setattr(desk.source, "delete", lambda *_: None)
            moves.move(desk.source, version, 13, desk.target, name)
        found = s3.client.get_object(Bucket=desk.target.url[5:].split("/")[0], Key=f"success/{name}")
        assert (found["Body"].read() == body, found["Metadata"]) == (True, {"from": "feed"})


def test_a_copy_that_is_taken_away_while_it_is_compared_costs_no_file(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash the copy is compared with its original, which must not be taken for the one that is gone."""
    desk.target.take(desk.source, desk.version, 12, "a.csv")
    opened = desk.target.open

    def gone(there: Version, seq: int | None) -> BinaryIO:
        os.unlink(path_of(desk.target.url, "a.csv"))  # noqa: PTH108 - a key is no Path
        return opened(there, seq)

    monkeypatch.setattr(desk.target, "open", gone)
    with pytest.raises(StorageError, match="another file has appeared"):
        desk.move()
    monkeypatch.undo()
    assert desk.move() is True
    assert desk.state() == ({}, {"a.csv": b"loaded"}, set())


def test_bytes_that_are_gone_everywhere_are_not_moved(tmp_path: Path, s3: S3Server) -> None:
    """There is nothing to move: False, nothing at the target, no claim; the receipt has told that it vanished."""
    desk = _desk(f"{tmp_path}/in", f"{tmp_path}/success")
    desk.source.release(12)
    (tmp_path / "in" / "a.csv").write_bytes(b"another drop")
    assert (desk.move(), desk.state()) == (False, ({"a.csv": b"another drop"}, {}, set()))
    for target in (f"{tmp_path}/success", f"s3://{s3.bucket()}"):
        lost = _desk(f"s3://{s3.bucket()}/in", target)
        lost.source.delete(lost.version, 12)
        assert (lost.move(), lost.state()) == (False, ({}, {}, set()))


def test_a_lost_claim_is_made_again_from_the_file(desk: Desk) -> None:
    """While the input is as it was admitted nothing is lost."""
    desk.source.release(12)
    assert (desk.move(), desk.state()) == (True, ({}, {"a.csv": b"loaded"}, set()))


def test_a_symbolic_link_is_moved_as_a_link(tmp_path: Path, s3: S3Server) -> None:
    """Its target is neither read nor touched; a bucket gets an object that holds the name it points to."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret")
    source = open_place(f"{tmp_path}/in")
    source.check()
    for seq, target in enumerate([f"{tmp_path}/failed", f"s3://{s3.bucket()}/failed"]):
        (tmp_path / "in" / "a.csv").symlink_to(secret)
        (version,) = source.versions()
        source.claim(version, seq)
        place = open_place(target)
        assert [moves.move(source, version, seq, place, "a.csv") for _ in range(2)] == [True, True]
        assert (source.versions(), place.keys()) == ([], ["a.csv"])
    assert (tmp_path / "failed" / "a.csv").readlink() == secret
    assert (open_place(target).get("a.csv"), secret.read_bytes()) == (str(secret).encode(), b"secret")


def test_a_key_is_moved_between_a_bucket_and_a_folder_and_back(tmp_path: Path, s3: S3Server) -> None:
    """Blanks, +, %, quotes, non-ASCII and bytes that are not UTF-8 keep their names where the target can hold them."""
    names = ["a b+c%20.csv", 'it\'s "q".csv', "日本/å.csv", "raw\\xFF.csv"]
    first, bucket, second = (
        open_place(f"{tmp_path}/in"),
        open_place(f"s3://{s3.bucket()}/x"),
        open_place(f"{tmp_path}/out"),
    )
    for name in names:
        first.put(name, name.encode())
    for source, target in ((first, bucket), (bucket, second)):
        for seq, version in enumerate(source.versions()):
            source.claim(version, seq)
            moves.move(source, version, seq, target, free_name(target, version.key, seq))
    assert {key: second.get(key) for key in second.keys()} == {name: name.encode() for name in names}  # noqa: SIM118
    assert (tmp_path / "out" / os.fsdecode(b"raw\xff.csv")).exists()
    assert (first.versions(), bucket.versions()) == ([], [])
