"""Objects of a bucket that S3 refuses to give: the drop alone fails, or all of it waits."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from streaming import aws as aws_client
from streaming.checkpoint.offset import EMPTY_OFFSET
from streaming.drops.admission import admit, spans
from streaming.drops.options import Limits, ReadOptions
from streaming.drops.reading import rows_of
from streaming.errors import SettingsError, StorageError, UnreadableDropError
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fixture_s3 import S3Server

LIMITS = Limits(batch_bytes=1 << 20, split_bytes=1 << 20)
ROW = b"date,id,price,volume\n2024-01-01,A,1,2\n"


@pytest.fixture
def refuse(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Answers requests that fit a regular expression with a word of S3, until the end of the test."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    aws_client.forget_clients()  # made anew with that variable
    yield lambda **words: s3.faults(refuse={pattern: word for word, pattern in words.items()})
    s3.faults(refuse={})
    aws_client.forget_clients()  # as above


def _bucket(s3: S3Server, *names: str, versioned: bool = True) -> str:
    bucket = s3.bucket(versioned=versioned)
    for name in names:
        s3.client.put_object(Bucket=bucket, Key=f"in/{name}", Body=ROW)
    return f"s3://{bucket}/in"


def _read(url: str, name: str = "theirs.csv") -> bytes:
    place = open_place(url)
    (version,) = [version for version in place.versions() if version.key == name]
    return place.read(version, 1)


REFUSED = ["AccessDenied", "KMS.DisabledException", "InvalidRequest", "InvalidObjectState"]


@pytest.mark.parametrize("versioned", [True, False])
@pytest.mark.parametrize("word", REFUSED)
def test_an_object_that_s3_alone_refuses_is_unreadable(
    word: str,
    versioned: bool,  # noqa: FBT001 - a parameter of the test
    s3: S3Server,
    refuse: Any,
) -> None:
    """Another object can be read: the drop fails, with S3's own words."""
    url = _bucket(s3, "ours.csv", "theirs.csv", versioned=versioned)
    refuse(**{word: "GET .*theirs"})
    for _ in range(2):
        with pytest.raises(UnreadableDropError, match=rf"(?s)'theirs\.csv'|in/theirs\.csv.*{word}"):
            _read(url)
    assert _read(url, "ours.csv") == ROW


@pytest.mark.parametrize("word", ["InvalidRequest", "InvalidObjectState"])
def test_what_nobody_can_read_is_unreadable_though_nothing_can_be_compared(
    word: str, s3: S3Server, refuse: Any
) -> None:
    """Archived, or encrypted with a key that its producer keeps: no right would help."""
    url = _bucket(s3, "theirs.csv")
    refuse(**{word: "GET .*theirs"})
    with pytest.raises(UnreadableDropError):
        _read(url)


@pytest.mark.parametrize("word", ["AccessDenied", "KMS.DisabledException"])
def test_while_no_object_can_be_read_a_refused_one_waits(word: str, s3: S3Server, refuse: Any) -> None:
    """It may be the job's right to the key of all of them; the next object that can be read tells."""
    url = _bucket(s3, "theirs.csv", "theirs-too.csv")
    refuse(**{word: r"GET .*theirs"})
    with pytest.raises(StorageError, match="As soon as another one can be read, it fails alone"):
        _read(url)
    s3.client.put_object(Bucket=url[5:].split("/")[0], Key="in/zz.csv", Body=ROW)
    with pytest.raises(UnreadableDropError, match=r"such as 'in/zz\.csv'"):
        _read(url)


def test_a_job_without_the_right_to_read_fails_no_drop(s3: S3Server, refuse: Any) -> None:
    """Also what is not there is refused then: the setting is told."""
    url = _bucket(s3, "a.csv", "theirs.csv")
    refuse(AccessDenied=r"GET /.*/in/.*versionId")
    with pytest.raises(SettingsError, match="right to GetObject"):
        _read(url)


@pytest.mark.parametrize("word", ["ExpiredToken", "RequestTimeTooSkewed", "KMS.ThrottlingException", "slow_down"])
def test_what_concerns_the_caller_or_the_moment_fails_no_drop(word: str, s3: S3Server, refuse: Any) -> None:
    """Also if another object could be read."""
    url = _bucket(s3, "a.csv", "theirs.csv")
    refuse(**{word: "GET .*theirs"})
    with pytest.raises(StorageError):
        _read(url)


def test_one_readable_object_among_hundreds_is_found(s3: S3Server, refuse: Any) -> None:
    """A producer's thousand files with its own key do not hide the one that can be read."""
    url = _bucket(s3, *(f"theirs-{number}.csv" for number in range(60)), "theirs.csv", "m.csv")
    refuse(AccessDenied="GET .*theirs")
    with pytest.raises(UnreadableDropError, match=r"such as 'in/m\.csv'"):
        _read(url)


@pytest.mark.parametrize(("size", "split"), [(len(ROW), 1 << 20), (200, 64)])
def test_an_unreadable_drop_fails_with_its_word_and_the_others_load(
    size: int, split: int, s3: S3Server, refuse: Any
) -> None:
    """Whether it would have been cut or not, and though it is larger than what may be read as a whole."""
    url = _bucket(s3, "ours.csv")
    s3.client.put_object(Bucket=url[5:].split("/")[0], Key="in/theirs.csv", Body=ROW.ljust(size))
    refuse(AccessDenied="GET .*theirs")
    limits = Limits(batch_bytes=1 << 20, split_bytes=split)
    options = ReadOptions(buckets=1, text_ids=False, unpacked_limit=100)
    place = open_place(url)
    todo = spans(admit(EMPTY_OFFSET, place, limits), limits)
    failures = {span.version.key: _failure(span, place, options) for span in todo}
    assert failures["ours.csv"] is None
    assert str(failures["theirs.csv"]).startswith("unreadable: 'in/theirs.csv' in s3://")


def _failure(span: Any, place: Any, options: ReadOptions) -> Any:
    *_, facts = rows_of(span, place, options)
    return json.loads(facts[-1])["failure"]


@pytest.mark.parametrize("word", ["InvalidObjectState", "InvalidRequest", "KMS.DisabledException"])
def test_a_copy_that_s3_refuses_for_the_object_is_the_drops_own_failure(word: str, s3: S3Server, refuse: Any) -> None:
    """Its move is refused, not put off: `--once` ends without it, as without one that the rights do not allow."""
    url = _bucket(s3, "theirs.csv")
    place, failed = open_place(url), open_place(f"{url[:-3]}/failed")
    (version,) = place.versions()
    refuse(**{word: "PUT .*failed.*theirs"})
    with pytest.raises(UnreadableDropError, match=rf"'theirs\.csv' cannot be copied to .*{word}"):
        failed.take(place, version, 1, version.key)
    refuse(AccessDenied="PUT .*failed.*theirs")
    with pytest.raises(SettingsError, match="right to CopyObject"):
        failed.take(place, version, 1, version.key)


@pytest.mark.parametrize("word", ["slow_down", "conflict", "ExpiredToken", "RequestTimeTooSkewed"])
def test_a_copy_that_s3_refuses_for_the_moment_is_put_off(word: str, s3: S3Server, refuse: Any) -> None:
    """It is tried again."""
    url = _bucket(s3, "theirs.csv")
    place, failed = open_place(url), open_place(f"{url[:-3]}/failed")
    (version,) = place.versions()
    refuse(**{word: "PUT .*failed.*theirs"})
    with pytest.raises(StorageError):
        failed.take(place, version, 1, version.key)


@pytest.mark.parametrize("word", ["NotImplemented", "MethodNotAllowed", "AccessDenied"])
def test_a_storage_without_the_listing_of_versions_is_a_setting(word: str, s3: S3Server, refuse: Any) -> None:
    """It names the request that the job needs."""
    url = _bucket(s3, "a.csv")
    refuse(**{word: r"GET .*\?.*versions"})
    with pytest.raises(SettingsError, match="ListObjectVersions"):
        open_place(url).versions()
