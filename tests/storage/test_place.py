"""A folder and a bucket as places: what lies there, claims that keep bytes, reads, writes."""

from __future__ import annotations

import os
import pickle
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError
from hypothesis import example, given, settings
from hypothesis import strategies as st

from streaming import aws as aws_client
from streaming.errors import SettingsError, StorageError, SymbolicLinkError, VanishedError
from streaming.storage import bucket as s3_place
from streaming.storage.entries import key_of, path_of, version_of
from streaming.storage.locations import open_place
from streaming.storage.place import Version, is_drop_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixture_s3 import S3Server

    from streaming.storage.place import Place

NOON = 1_700_000_000_000_000_000  # 2023-11-14 22:13:20 UTC, in nanoseconds


def _file(path: Path, data: bytes = b"x", at: int = NOON) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(at, at))
    return path


def _keys(url: object, settle: float = 0.0) -> list[str]:
    return [version.key for version in open_place(str(url), settle=settle).versions()]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://drops", "s3://drops"),
        ("s3a://drops/in/", "s3://drops/in"),
        ("s3://drops/in/a b%20?#", "s3://drops/in/a b%20?#"),
        ("/data/in/", "/data/in"),
        ("/data/../in put", "/in put"),
        ("file:///data/a%20b", "/data/a b"),
        ("file:/data", "/data"),
    ],
)
def test_a_location_names_a_place(url: str, place: str) -> None:
    """s3://, s3a://, file: and plain paths are places; opening one touches nothing."""
    assert open_place(url).url == place


@pytest.mark.parametrize(
    "url", ["", " ", "gs://bucket/in", "s3://", "s3:///in", "s3://a b/in", "file://host/in", "a\0"]
)
def test_another_location_is_refused(url: str) -> None:
    """Anything else is a settings error that shows what was given."""
    with pytest.raises(SettingsError) as refused:
        open_place(url)
    assert repr(url) in str(refused.value)


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
    for name in (".a.csv", "_b.csv", "c.csv.tmp", "d.part", "e.csv._COPYING_", ".h/x.csv", "_i/x.csv", "j.tmp/x.csv"):
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


def test_times_outside_the_calendar_do_not_end_the_listing() -> None:
    """A file system may give any 64-bit mtime; it counts as the nearest day there is."""
    status = os.stat_result([0] * 10, {"st_mtime_ns": 10**21, "st_ino": 5, "st_size": 3})
    assert version_of("a", status).modified == datetime(9999, 12, 31, 23, 59, 59, 999999, UTC)


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


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name and b"/" not in name and name not in {b".", b".."}))
@example(b"\\xFF\xff\\x5C\\")
@settings(max_examples=200, deadline=None)
def test_every_name_has_one_key(name: bytes) -> None:
    """A key can be written to JSON and PostgreSQL, and leads back to exactly the bytes it came from."""
    key = key_of(os.fsdecode(name))
    assert (key.encode().decode(), os.fsencode(path_of("/in", key))) == (key, b"/in/" + name)


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
        with pytest.raises(SymbolicLinkError, match="a symbolic link is not read"):
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
    """The folder is polled five times a second: 10,000 files list in well under 0.2 s of processor time."""
    for number in range(10_000):
        (tmp_path / f"{number:05d}.csv").touch()
    place = open_place(str(tmp_path))
    seconds = []
    for _ in range(3):
        began = time.process_time()
        versions = place.versions()
        seconds.append(time.process_time() - began)
    assert (len(versions), min(seconds) < 0.2) == (10_000, True)
    began = time.process_time()
    assert all(place.claim(version, seq) for seq, version in enumerate(versions))
    assert time.process_time() - began < 4


def test_places_travel_between_processes(tmp_path: Path) -> None:
    """A place is pickled by what it names; its client and memory stay behind."""
    places = [open_place(str(tmp_path), settle=3), open_place("s3://bucket/in")]
    assert [pickle.loads(pickle.dumps(place)).__reduce__()[1] for place in places] == [  # noqa: S301 - our own
        (str(tmp_path), 3),
        ("bucket", "in/"),
    ]


def test_s3_lists_every_version_above_the_newest_delete_marker(s3: S3Server) -> None:
    """Versions of one key come oldest first; what a delete marker hides is no drop, what came after it is."""
    bucket = s3.bucket()
    put = {}
    for key, body in [
        ("k.csv", b"1"),
        ("k.csv", None),
        ("k.csv", b"22"),
        ("k.csv", b"333"),
        ("gone.csv", b"4"),
        ("gone.csv", None),
    ]:
        if body is None:
            s3.client.delete_object(Bucket=bucket, Key=f"in/{key}")
        else:
            put[body] = s3.client.put_object(Bucket=bucket, Key=f"in/{key}", Body=body)["VersionId"]
    s3.client.put_object(Bucket=bucket, Key="in2/no.csv", Body=b"outside the prefix")
    place = open_place(f"s3://{bucket}/in")
    versions = place.versions()
    assert [(version.key, version.version, version.size) for version in versions] == [
        ("k.csv", put[b"22"], 2),
        ("k.csv", put[b"333"], 3),
    ]
    assert [(place.claim(version, 1), place.read(version, 1)) for version in versions] == [
        (versions[0], b"22"),
        (versions[1], b"333"),
    ]
    assert {version.modified.tzinfo for version in versions} == {UTC}
    assert versions[0].etag == "b6d767d2f8ed5d21a44b0e5886680cb9"


HOSTILE = [
    "a b.csv",
    "a+b.csv",
    "100%.csv",
    "a%20b.csv",
    'it\'s "quoted".csv',
    "räksmörgås/日本.csv",
    "tab\there.csv",
    "&<>.csv",
    "a/../../etc/x",
    "a//b.csv",
    "?versions#x&y=.csv",
    "\\back\\slash.csv",
    "k" * 996 + ".csv",
]


def test_s3_keys_of_any_characters(s3: S3Server) -> None:
    """Blanks, +, %, quotes, non-ASCII, dots, 1,000 bytes: listed, read, written and found under their own name."""
    place = open_place(f"s3://{s3.bucket()}/in put+é")
    for key in HOSTILE:
        place.put(key, key.encode())
    assert sorted(version.key for version in place.versions()) == sorted(HOSTILE) == place.keys()
    assert all(place.read(version, 1) == version.key.encode() for version in place.versions())
    assert [place.get(key) for key in HOSTILE] == [key.encode() for key in HOSTILE]
    assert (place.exists("a b.csv"), place.exists("a"), place.get("a")) == (True, False, None)


@pytest.mark.parametrize(
    ("key", "size", "is_drop"),
    [
        ("a.csv", 0, True),
        ("_old/e.csv", 1, True),
        ("f/", 9, True),
        ("f/", 0, False),
        ("", 9, False),
        ("sub/.a", 9, False),
        ("_SUCCESS", 9, False),
        ("b.tmp", 9, False),
        ("a\0.csv", 9, False),
    ],
)
def test_one_rule_says_which_keys_of_a_bucket_are_drops(key: str, size: int, is_drop: bool) -> None:  # noqa: FBT001
    """For the job that reads them and for the monitor that counts them."""
    assert is_drop_key(key, size) is is_drop


def test_s3_names_that_are_no_drops(s3: S3Server) -> None:
    """Folder markers and hidden or unfinished last components are not drops, but are keys."""
    place = open_place(f"s3://{s3.bucket()}/in")
    names = ["", "sub/", "sub/.a", "_SUCCESS", "b.tmp", "c.part", "d.csv._COPYING_", "_old/e.csv", "f/"]
    for name in names:
        place.put(name, b"" if name != "f/" else b"has bytes")
    assert [version.key for version in place.versions()] == ["_old/e.csv", "f/"]
    assert place.keys() == sorted(names)


def test_s3_lists_more_than_a_page(s3: S3Server) -> None:
    """Listings and versions of more than 1,000 objects are complete, also where a key's versions span two pages."""
    bucket = s3.bucket()
    keys = [f"in/{number:04d}.csv" for number in range(1_001)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda key: s3.client.put_object(Bucket=bucket, Key=key, Body=b"x"), keys))
    s3.client.put_object(Bucket=bucket, Key="in/0999.csv", Body=b"newer")
    place = open_place(f"s3://{bucket}/in")
    expected = sorted([*(f"{number:04d}.csv" for number in range(1_001)), "0999.csv"])
    assert sorted(version.key for version in place.versions()) == expected
    assert [version.size for version in place.versions() if version.key == "0999.csv"] == [1, 5]
    assert len(place.keys()) == 1_001


def test_s3_reads_ranges_and_empty_objects(s3: S3Server) -> None:
    """[start, end) as in a folder; an empty object is read, not refused."""
    place = open_place(f"s3://{s3.bucket()}")
    place.put("a.csv", b"0123456789")
    place.put("empty.csv", b"")
    by_key = {version.key: version for version in place.versions()}
    a = by_key["a.csv"]
    assert [place.read(a, 1, 3, 6), place.read(a, 1, 8), place.read(a, 1, 8, 99), place.read(a, 1, 5, 5)] == [
        b"345",
        b"89",
        b"89",
        b"",
    ]
    assert place.read(by_key["empty.csv"], 1) == b""
    with place.open(a, 1) as stream:
        assert stream.read() == b"0123456789"
    assert place.claimed() == set()


def test_an_s3_version_is_read_after_it_was_overwritten_and_deleted(s3: S3Server) -> None:
    """By its version id; once that is removed for good the drop has vanished."""
    bucket = s3.bucket()
    place = open_place(f"s3://{bucket}/in")
    place.put("a.csv", b"old")
    (version,) = place.versions()
    place.put("a.csv", b"new")
    s3.client.delete_object(Bucket=bucket, Key="in/a.csv")
    assert (place.read(version, 1), place.versions()) == (b"old", [])
    place.delete(version, 1)
    with pytest.raises(VanishedError, match=r"'a\.csv' in s3://"):
        place.read(version, 1)


def test_an_overwritten_object_without_versioning_has_vanished(s3: S3Server) -> None:
    """Without versions the bytes are gone; the ETag tells, and the newer object is not deleted."""
    place = open_place(f"s3://{s3.bucket(versioned=False)}/in")
    place.put("a.csv", b"old")
    (old,) = place.versions()
    assert (old.version, place.read(old, 1, 1)) == ("null", b"ld")
    place.put("a.csv", b"new")
    with pytest.raises(VanishedError, match="PreconditionFailed"):
        place.read(old, 1)
    place.delete(old, 1)
    (new,) = place.versions()
    assert place.read(new, 2) == b"new"
    place.delete(new, 2)
    assert place.versions() == []


@pytest.fixture
def before(s3: S3Server) -> Iterator[Callable[[str, Callable[[], object]], None]]:
    """Registers what happens just before each request of an operation is sent."""
    assert s3.endpoint
    events = aws_client.client().meta.events
    registered: list[tuple[str, Callable[..., None]]] = []

    def register(operation: str, react: Callable[[], object]) -> None:
        registered.append((f"before-call.s3.{operation}", lambda **_: react() and None))
        events.register(*registered[-1])

    yield register
    for name, react in registered:
        events.unregister(name, react)


def _taken(source: str, target: str, data: bytes) -> tuple[Place, Callable[[], None]]:
    """A place with one drop, and a call that takes it to `a.csv` of another."""
    drops, place = open_place(source), open_place(target)
    drops.check()
    drops.put("a.csv", data)
    (version,) = drops.versions()
    drops.claim(version, 1)
    return place, lambda: place.take(drops, version, 1, "a.csv")


@pytest.mark.parametrize(
    "case",
    [
        ("folder", 3, "PutObject"),
        ("folder", 9 << 20, "CompleteMultipartUpload"),
        ("bucket", 3, "CopyObject"),
        ("bucket", 9 << 20, "CompleteMultipartUpload"),
    ],
)
def test_an_object_that_comes_at_the_last_moment_is_not_overwritten(
    case: tuple[str, int, str],
    s3: S3Server,
    before: Callable[[str, Callable[[], object]], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The key was free when it was looked at: the request itself is refused by S3, whichever it is."""
    source, size, request_name = case
    monkeypatch.setattr(s3_place, "_LARGEST_COPY", 8 << 20)
    monkeypatch.setattr(s3_place, "_COPY_PART", 5 << 20)
    bucket = s3.bucket()
    url = str(tmp_path) if source == "folder" else f"s3://{s3.bucket()}/in"
    target, take = _taken(url, f"s3://{bucket}/out", bytes(size))
    before(request_name, lambda: s3.client.put_object(Bucket=bucket, Key="out/a.csv", Body=b"stranger's"))
    with pytest.raises(StorageError, match=r"'a\.csv' in .*/out exists already and is not overwritten"):
        take()
    assert target.get("a.csv") == b"stranger's"
    assert not s3.client.list_multipart_uploads(Bucket=bucket).get("Uploads")


@pytest.mark.parametrize("source", ["folder", "bucket"])
def test_a_copy_whose_answer_was_lost_is_known_again(source: str, s3: S3Server, tmp_path: Path) -> None:
    """boto3 asks once more and is told that the object exists: it is its own."""
    bucket = s3.bucket()
    target, take = _taken(str(tmp_path) if source == "folder" else f"s3://{s3.bucket()}", f"s3://{bucket}", b"loaded")
    lost = s3.faults(lose_answer=1.0, paths=f"/{bucket}/").get("lose_answer PUT", 0)
    try:
        take()
    finally:
        fired = s3.faults(lose_answer=0.0, paths="").get("lose_answer PUT", 0)
    assert (target.get("a.csv"), fired - lost) == (b"loaded", 1)


def test_a_source_that_was_replaced_has_vanished_for_a_copy(
    s3: S3Server, before: Callable[[str, Callable[[], object]], None]
) -> None:
    """Without versions S3 refuses by the source's ETag with the same word as for a key that is taken."""
    bucket = s3.bucket(versioned=False)
    target, take = _taken(f"s3://{bucket}", f"s3://{s3.bucket()}", b"loaded")

    def refuse() -> None:
        raise ClientError({"Error": {"Code": "PreconditionFailed"}}, "CopyObject")

    before("CopyObject", refuse)
    with pytest.raises(StorageError, match="exists already"):  # it came and went
        take()
    s3.client.put_object(Bucket=bucket, Key="a.csv", Body=b"newer")
    with pytest.raises(VanishedError, match="PreconditionFailed"):
        take()
    assert target.keys() == []


def test_a_source_that_was_replaced_is_not_copied_in_parts_either(
    s3: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without versions the newer bytes would pass for the drop's."""
    monkeypatch.setattr(s3_place, "_LARGEST_COPY", 8 << 20)
    bucket = s3.bucket(versioned=False)
    target, take = _taken(f"s3://{bucket}", f"s3://{s3.bucket()}", bytes(9 << 20))
    s3.client.put_object(Bucket=bucket, Key="a.csv", Body=b"n" * (9 << 20))
    with pytest.raises(VanishedError):
        take()
    assert target.keys() == []


def test_a_missing_bucket_is_a_plain_error(s3: S3Server) -> None:
    """It names the bucket, what was asked and what to check."""
    assert s3.endpoint
    place = open_place("s3://no-such-bucket/in")
    for ask in (place.check, place.versions, place.keys, lambda: place.put("a", b"")):
        with pytest.raises(SettingsError, match=r"(?s)s3://no-such-bucket/in.*NoSuchBucket.*check the name"):
            ask()


def test_missing_credentials_and_endpoints_are_plain_errors(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials or an unknown profile is a setting; a server that does not answer may come back."""
    place = open_place(f"s3://{s3.bucket()}/in")
    wrong = [
        ({"AWS_ACCESS_KEY_ID": None, "AWS_SECRET_ACCESS_KEY": None}, SettingsError, "set AWS_ACCESS_KEY_ID"),
        ({"AWS_PROFILE": "nobody"}, SettingsError, "nobody"),
        ({"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}, StorageError, "127.0.0.1:1"),
    ]
    for changes, error, text in wrong:
        with monkeypatch.context() as changed:
            for name, value in changes.items():
                if value is None:
                    changed.delenv(name)
                else:
                    changed.setenv(name, value)
            changed.setattr("streaming.storage.bucket.client", lambda: aws_client._client_of.__wrapped__("s3", 0))  # noqa: SLF001 - as below
            with pytest.raises(error, match=text):
                place.versions()


def test_an_endpoint_gets_the_bucket_in_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server of one's own has no subdomain for each bucket; AWS has."""
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    urls = []
    for endpoint in ("http://127.0.0.1:9", "http://localhost:9", "http://minio", None):
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        if endpoint:
            monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        client = aws_client._client_of.__wrapped__("s3", 0)  # noqa: SLF001 - past the cache of this process
        urls.append(client.generate_presigned_url("get_object", {"Bucket": "b-1", "Key": "k"}).partition("?")[0])
        client.close()
    assert urls == [
        "http://127.0.0.1:9/b-1/k",
        "http://localhost:9/b-1/k",
        "http://minio/b-1/k",
        "https://b-1.s3.amazonaws.com/k",
    ]
