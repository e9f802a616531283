"""A bucket as a place: versions, keys, reads, and copies that overwrite nothing."""

from __future__ import annotations

import threading
from datetime import UTC
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import ClientError

from streaming import aws as aws_client
from streaming.errors import SettingsError, StorageError, VanishedError
from streaming.storage import bucket as s3_place
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixture_s3 import S3Server

    from streaming.storage.place import Place


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


def test_s3_names_that_are_no_drops(s3: S3Server) -> None:
    """Folder markers and hidden or unfinished last components are not drops, but are keys."""
    place = open_place(f"s3://{s3.bucket()}/in")
    names = ["", "sub/", "sub/.a", "_SUCCESS", "b.tmp", "c.part", "d.csv._COPYING_", "_old/e.csv", "f/"]
    for name in names:
        place.put(name, b"" if name != "f/" else b"has bytes")
    assert [version.key for version in place.versions()] == ["_old/e.csv", "f/"]
    assert place.keys() == sorted(names)


def test_s3_lists_more_than_a_page(s3: S3Server) -> None:
    """Listings and versions are complete, even if a key's versions span two pages; a page here holds ten."""
    bucket = s3.bucket()
    for number in range(11):
        s3.client.put_object(Bucket=bucket, Key=f"in/{number:02d}.csv", Body=b"x")
    s3.client.put_object(Bucket=bucket, Key="in/09.csv", Body=b"newer")
    place, pages = open_place(f"s3://{bucket}/in"), []

    def ten(params: dict[str, Any], **_: object) -> None:
        pages.append(params)
        params["MaxKeys"] = 10

    events = aws_client.client().meta.events
    events.register("before-parameter-build.s3", ten)
    try:
        expected = sorted([*(f"{number:02d}.csv" for number in range(11)), "09.csv"])
        assert sorted(version.key for version in place.versions()) == expected
        assert [version.size for version in place.versions() if version.key == "09.csv"] == [1, 5]
        assert len(place.keys()) == 11
    finally:
        events.unregister("before-parameter-build.s3", ten)
    assert len(pages) == 6


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
    with pytest.raises(StorageError, match=r"'a\.csv' in .*/out already exists and is not overwritten"):
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
    with pytest.raises(StorageError, match="already exists"):  # it came and went
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


def test_threads_that_begin_at_once_share_one_client(monkeypatch: pytest.MonkeyPatch) -> None:
    """boto3 needs 0.1 s to make one, and its sessions are not for several threads."""
    clients: list[object] = []
    made: list[object] = []
    other = threading.Thread(target=lambda: clients.append(aws_client.client()))

    class _Session:
        def __init__(self, **_: object) -> None:
            made.append(self)
            if len(made) == 1:
                other.start()
                other.join(0.2)  # it waits for this one, so this ends by time

        def client(self, *_: object, **__: object) -> Any:
            return boto3.client("s3", region_name="eu-west-1")

    aws_client.forget_clients()
    monkeypatch.setattr("boto3.session.Session", _Session)
    try:
        clients.append(aws_client.client())
        other.join()
    finally:
        aws_client.forget_clients()
    assert len(made) == 1
    assert clients[0] is clients[1]
