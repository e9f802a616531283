"""Moving the file of one receipt: where it goes, what goes along, what stays, and what is refused."""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any

import pytest
import s3_objects
from botocore.exceptions import ClientError
from desk import PREFIX, Case, Desk, LocalS3, check_ended, local_s3
from monitor.copies import CopyLimits
from monitor.moves import Buckets, Moved, Outcome, ReceiptMoves
from monitor.names import reason_key
from monitor.receipts import UnreadableReceiptError

from streaming.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="module")
def server() -> Iterator[LocalS3]:
    with local_s3() as made:
        yield made


@pytest.fixture
def desk(server: LocalS3) -> Desk:
    return Desk(server)


def on(desk: Desk, event: str, react: Callable[..., None]) -> Any:
    """A client that reacts to a hook of botocore."""
    s3 = desk.others[0]
    s3.meta.events.register(event, react)
    return s3


def keys(desk: Desk, bucket: str) -> set[str]:
    return {key for _, key, _ in desk.server.lying(bucket)}


@pytest.mark.parametrize("failed", [False, True])
@pytest.mark.parametrize(
    "key",
    [
        "a.csv", "a b/c.csv", "a+b.csv", "100%.csv", "%2F%25.csv", "日本/å.csv", "it's \"q\".csv", "a?b=c&d#e.csv",
        "a\\b.csv", "/a.csv", "a//b.csv", "no suffix", "tab\t.csv", "…/../a.csv", "é" * 494 + "x",
    ],
)  # fmt: skip
def test_a_file_goes_where_its_fate_says_under_its_own_key(desk: Desk, key: str, failed: bool) -> None:  # noqa: FBT001
    """Bytes, headers, metadata and tags go along, beside a failed file lies its receipt; nothing else is left."""
    case = desk.case(key, failed=failed)
    described = desk.server.lying(desk.buckets.input)[desk.source(case)]
    assert described.headers.items() >= {"content-type": "text/x-prices", "x-amz-meta-from": "feed 7"}.items()
    bucket = desk.buckets.failed if failed else desk.buckets.success
    assert desk.moves(case) == Moved(Outcome.MOVED, case.seq, key, f"s3://{bucket}/{key}")
    check_ended(desk, case, described)
    assert desk.moves(case) == Moved(Outcome.ALREADY)
    places = [keys(desk, name) for name in (desk.buckets.input, desk.buckets.success, desk.buckets.failed)]
    assert places == [set(), set() if failed else {key}, {key, f"{key}.reason.json"} if failed else set()]


def test_a_key_that_would_lead_out_of_the_bucket_gets_another_name(desk: Desk) -> None:
    """Below the prefix of the input it does not, at the target S3 would refuse it each time."""
    case = desk.case("../a.csv", failed=True)
    assert desk.moves(case).target == f"s3://{desk.buckets.failed}/%2E./a.csv"
    assert keys(desk, desk.buckets.failed) == {"%2E./a.csv", "%2E./a.csv.reason.json"}


def test_the_done_receipt_and_the_reason_say_what_the_receipt_said(desk: Desk) -> None:
    """The done receipt adds where the file is; the reason is the receipt as it was."""
    case = desk.case("a.csv", failed=True)
    body = desk.json(case.name)
    desk.moves(case)
    assert desk.receipt(case) == (None, {**body, "moved_to": f"s3://{desk.buckets.failed}/a.csv"})
    assert desk.json("a.csv.reason.json", desk.buckets.failed) == body
    assert (body["fate"], body["reason"]) == ("failed", "not text")


def test_an_input_without_a_prefix_is_served_too(desk: Desk) -> None:
    """The key of the drop is then the key of the object."""
    version = desk.put("b.csv", b"x", desk.buckets.input)
    desk.s3.put_object(Bucket=desk.buckets.input, Key=f"{PREFIX}b.csv", Body=b"another")
    case = desk.case("b.csv", b"another", failed=False)
    body = {**desk.json(case.name), "version_id": version}
    desk.s3.put_object(Bucket=desk.buckets.receipts, Key=case.name, Body=json.dumps(body))
    buckets = Buckets(desk.buckets.receipts, desk.buckets.input, "", desk.buckets.success, desk.buckets.failed)
    assert ReceiptMoves(desk.s3, buckets, lambda: 900.0).move(case.name).outcome is Outcome.MOVED
    assert {thing.data for thing in desk.server.lying(desk.buckets.success).values()} == {b"x"}
    assert {key for key in keys(desk, desk.buckets.input) if not key.startswith(PREFIX)} == set()


def test_only_the_named_version_leaves(desk: Desk) -> None:
    """Older and newer versions and the producer's delete markers stay as they are."""
    older, case = desk.put("a.csv", b"older"), desk.case("a.csv", b"mine")
    newer = desk.put("a.csv", b"newer")
    marker = desk.s3.delete_object(Bucket=desk.buckets.input, Key=f"{PREFIX}a.csv")["VersionId"]
    desk.moves(case)
    lying = desk.server.lying(desk.buckets.input)
    assert {where[2]: thing.data for where, thing in lying.items()} == {
        older: b"older", newer: b"newer", marker: b"marker"
    }  # fmt: skip
    assert desk.server.lying(desk.buckets.success)[desk.target(case)].data == b"mine"


def test_a_name_that_is_taken_gets_the_seq_before_its_suffixes(desk: Desk) -> None:
    """By an earlier drop of the key or by a stranger's file, also one with the very same bytes; then `-2`."""
    first = desk.case("a.csv.gz", b"same")
    desk.moves(first)
    desk.put("a.43.csv.gz", b"same", desk.buckets.success)
    second, third = desk.case("a.csv.gz", b"same"), desk.case("a.csv.gz", b"same")
    assert (second.seq, third.seq) == (43, 44)
    assert [desk.moves(case).target for case in (second, third)] == [
        f"s3://{desk.buckets.success}/{name}" for name in ("a.43-2.csv.gz", "a.44.csv.gz")
    ]
    assert keys(desk, desk.buckets.success) == {"a.csv.gz", "a.43.csv.gz", "a.43-2.csv.gz", "a.44.csv.gz"}


def test_a_name_stays_kept_from_everybody_once_a_stranger_had_it(desk: Desk) -> None:
    """A call that crashed had passed the name over: if it is free now, the next call must not make a second copy."""
    case = desk.case("a.csv")
    desk.put("a.csv", b"stranger", desk.buckets.success)

    def die(**_: Any) -> None:
        raise KeyboardInterrupt

    s3 = on(desk, "before-send.s3.DeleteObject", die)
    with pytest.raises(KeyboardInterrupt):
        desk.moves(case, s3)
    desk.s3.delete_object(Bucket=desk.buckets.success, Key="a.csv")
    assert desk.moves(case).target == f"s3://{desk.buckets.success}/a.{case.seq}.csv"
    assert keys(desk, desk.buckets.success) == {f"a.{case.seq}.csv"}


def test_a_reason_never_takes_the_name_of_a_file(desk: Desk) -> None:
    """A producer may drop `a.csv.reason.json` too; whoever comes second gets another name, file and reason alike."""
    named_like_one, case = desk.case("a.csv.reason.json", failed=True), desk.case("a.csv", failed=True)
    later = desk.case(f"a.{case.seq}.csv.reason.json", failed=True)
    assert [desk.moves(one).target.rpartition("/")[2] for one in (named_like_one, case, later)] == [
        "a.csv.reason.json", f"a.{case.seq}.csv", f"a.{case.seq}.csv.reason.{later.seq}.json",
    ]  # fmt: skip
    assert len(keys(desk, desk.buckets.failed)) == 6


def test_the_reason_of_the_longest_key_fits() -> None:
    """A key may have 1,024 bytes; the reason's name is then a beginning of it, a digest and the suffix."""
    long = "é/" * 330 + "é" * 12
    keys_of = [f"{long}{end}" for end in ("a", "b")]
    names = [reason_key(key) for key in keys_of]
    assert [len(name.encode()) <= 1024 for name in names] == [True, True]
    assert reason_key("k" * 1012) == "k" * 1012 + ".reason.json"
    cut = [reason_key("k" * 1012 + end) for end in "ab"]
    assert len({*names, *cut}) == 4
    assert [len(name.encode()) for name in cut] == [1024, 1024]
    assert reason_key("é" * 512).endswith(".reason.json")


def test_a_version_that_is_gone_ends_its_receipt(desk: Desk) -> None:
    """Neither in the input nor at the target: done, and it says so; what the producer put there since stays."""
    case = desk.case("a.csv", failed=True)
    desk.s3.delete_object(Bucket=desk.buckets.input, Key=f"{PREFIX}a.csv", VersionId=case.version)
    newer = desk.put("a.csv", b"newer")
    desk.put("a.csv", case.data, desk.buckets.failed)
    body = desk.json(case.name)
    assert desk.moves(case) == Moved(Outcome.GONE, case.seq, "a.csv")
    assert desk.receipt(case) == (None, {**body, "moved_to": None, "moved": "gone"})
    assert [where[2] for where in desk.server.lying(desk.buckets.input)] == [newer]
    assert keys(desk, desk.buckets.failed) == {"a.csv"}


def test_a_bucket_that_is_not_there_is_no_version_that_is_gone(desk: Desk) -> None:
    """A wrong setting must not end receipts."""
    case = desk.case("a.csv")
    buckets = Buckets(desk.buckets.receipts, "no-such-bucket", PREFIX, desk.buckets.success, desk.buckets.failed)
    with pytest.raises(ClientError, match="404"):
        ReceiptMoves(desk.s3, buckets, lambda: 900.0).move(case.name)
    assert desk.receipt(case)[0] is not None


def test_a_receipt_that_the_job_writes_again_moves_nothing_again(server: LocalS3) -> None:
    """A crash of the job repeats receipts hours later; by then, without versions, a new file may look the same."""
    desk = Desk(server, versioned=False)
    case = desk.case("a.csv")
    desk.moves(case)
    desk.put("a.csv", case.data)
    desk.write_receipt(case)
    assert desk.moves(case) == Moved(Outcome.ALREADY, case.seq, "a.csv")
    assert desk.receipt(case)[0] is None
    assert [keys(desk, bucket) for bucket in (desk.buckets.input, desk.buckets.success)] == [
        {f"{PREFIX}a.csv"},
        {"a.csv"},
    ]


@pytest.mark.parametrize("versioned", [True, False])
def test_a_job_that_began_anew_counts_from_one_again(server: LocalS3, versioned: bool) -> None:  # noqa: FBT001
    """Its receipts are of other drops: the same seq and key and bytes get a name and a done receipt of their own."""
    desk = Desk(server, versioned=versioned)
    first = desk.case("a.csv", seq=1)
    desk.moves(first)
    again = desk.case("a.csv", seq=1, checkpoint="decaf")
    assert desk.moves(again).target == f"s3://{desk.buckets.success}/a.1.csv"
    assert desk.json("receipts/done/000000001.json")["moved_to"].endswith("/a.csv")
    assert desk.json("receipts/done/000000001.decaf.json")["moved_to"].endswith("/a.1.csv")
    desk.put(again.name, json.dumps(desk.json("receipts/done/000000001.decaf.json")).encode(), desk.buckets.receipts)
    assert desk.moves(again).outcome is Outcome.ALREADY


def test_a_receipt_that_was_written_meanwhile_stays(desk: Desk) -> None:
    """A job that began anew counts from 1 again: its receipt may come just before the older one is removed."""
    case = desk.case("a.csv", seq=1)
    newer: list[Case] = []

    def come(request: Any, **_: Any) -> None:
        if "/receipts/" in request.url and not newer:
            newer.append(desk.case("b.csv", b"newer", seq=1, checkpoint="decaf"))

    assert desk.moves(case, on(desk, "before-send.s3.DeleteObject", come)).outcome is Outcome.MOVED
    assert desk.json(case.name)["checkpoint_id"] == "decaf"
    assert desk.moves(newer[0]).target == f"s3://{desk.buckets.success}/b.csv"
    assert (desk.json(case.name), desk.server.lying(desk.buckets.input)) == (None, {})


@pytest.mark.parametrize(("code", "requests"), [("ConditionalRequestConflict", 2), ("NoSuchKey", 1)])
def test_a_receipt_that_somebody_else_removes_at_that_moment_is_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, code: str, requests: int
) -> None:
    """S3 says that there was another request for it, and is asked again, or that it is not there."""
    monkeypatch.setattr(s3_objects.time, "sleep", lambda _: None)
    case = desk.case("a.csv")
    asked: list[str] = []

    def refuse(request: Any, **_: Any) -> None:
        if "/receipts/" in request.url:
            asked.append(request.headers["If-Match"].decode())
            if len(asked) == 1:
                raise ClientError({"Error": {"Code": code}}, "DeleteObject")

    assert desk.moves(case, on(desk, "before-send.s3.DeleteObject", refuse)).outcome is Outcome.MOVED
    assert len(asked) == requests
    assert (desk.json(case.name) is None) is (requests == 2)


def test_an_object_uploaded_in_parts_is_copied_in_the_same_parts(desk: Desk) -> None:
    """So its ETag stays, and nothing is read to check the copy; headers, metadata and tags go along."""
    parts = [b"0123456789", b"9876543210", b"1"]
    described = {
        "ContentType": "text/csv",
        "ContentEncoding": "gzip",
        "ContentLanguage": "de",
        "Metadata": {"a": "ö"[:0]},
    }
    version = desk.upload_in_parts("a b+%.csv", parts, **described, Tagging="a%20b=c%2Bd&e=")
    case = desk.case("a b+%.csv", b"".join(parts), version=version)
    before = desk.server.lying(desk.buckets.input)[desk.source(case)]
    asked: list[str] = []
    s3 = on(desk, "before-send.s3", lambda event_name, **_: asked.append(event_name.rpartition(".")[2]))
    desk.moves(case, s3)
    check_ended(desk, case, before)
    assert before.tags == {"a b": "c+d", "e": ""}
    etag = desk.s3.head_object(Bucket=desk.buckets.success, Key=case.target)["ETag"]
    assert etag.strip('"') == desk.receipt(case)[1]["etag"]
    assert asked.count("UploadPartCopy") == 3
    assert asked[-3:] == ["DeleteObject", "PutObject", "DeleteObject"]
    assert asked.count("GetObject") == 2  # both receipts


def test_a_small_file_uploaded_as_one_part_is_copied_without_a_range(desk: Desk) -> None:
    """Some writers upload everything in parts; S3 takes a range only of what is larger than 5 MB."""
    case = desk.case("a.csv", b"0123456789", version=desk.upload_in_parts("a.csv", [b"0123456789"]))
    before = desk.server.lying(desk.buckets.input)[desk.source(case)]
    desk.moves(case)
    check_ended(desk, case, before)
    etag = desk.s3.head_object(Bucket=desk.buckets.success, Key=case.target)["ETag"]
    assert etag.strip('"') == desk.receipt(case)[1]["etag"]


@pytest.mark.parametrize("sizes", [(10, 3, 8), (3, 10)])
def test_parts_of_several_sizes_need_a_comparison(desk: Desk, sizes: tuple[int, ...]) -> None:
    """Only the first part's size is asked for: the copy may have another ETag and is then compared by its bytes."""
    parts = [bytes([65 + n]) * size for n, size in enumerate(sizes)]
    case = desk.case("a.csv", b"".join(parts), version=desk.upload_in_parts("a.csv", parts))
    before = desk.server.lying(desk.buckets.input)[desk.source(case)]
    assert desk.moves(case).outcome is Outcome.MOVED
    check_ended(desk, case, before)


@pytest.mark.parametrize(("size", "parts"), [(19, 0), (20, 2), (21, 3)])
def test_from_the_limit_on_a_file_is_copied_in_parts(desk: Desk, size: int, parts: int) -> None:
    """S3's limit is 5 GiB and a part has 256 MiB here; with more than 10,000 of them they grow."""
    case = desk.case("a.csv", b"x" * size, limits=CopyLimits(largest_copy=20, part=10, read=7))
    before = desk.server.lying(desk.buckets.input)[desk.source(case)]
    asked: list[str] = []
    s3 = on(desk, "before-send.s3", lambda event_name, **_: asked.append(event_name.rpartition(".")[2]))
    desk.moves(case, s3)
    check_ended(desk, case, before)
    assert (asked.count("UploadPartCopy"), asked.count("CopyObject")) == (parts, 0 if parts else 1)


def test_an_empty_file_is_moved(desk: Desk) -> None:
    """Also one that was uploaded in parts, of which there is one without bytes."""
    in_parts = desk.upload_in_parts("b/b.csv", [b""])
    for case in (desk.case("a/a.csv", b""), desk.case("b/b.csv", b"", version=in_parts)):
        before = desk.server.lying(desk.buckets.input)[desk.source(case)]
        assert desk.moves(case).outcome is Outcome.MOVED
        check_ended(desk, case, before)


def _other_etags(
    desk: Desk, *, checksums: tuple[str | None, str | None] = (None, None), kind: str | None = None
) -> Any:
    """As encryption with KMS has it: the copy's ETag says nothing. The checksums of original and copy are chosen."""

    def remember(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["at_target"] = f"/{desk.buckets.success}/" in params["url"]

    def alter(parsed: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        if "ETag" in parsed:
            parsed |= {"ETag": '"kms#"'} if context["at_target"] else {}
            parsed |= {"ChecksumSHA256": checksums[context["at_target"]], "ChecksumType": kind}
            for name in [name for name, value in parsed.items() if value is None or name == "ChecksumCRC32"]:
                del parsed[name]

    s3 = on(desk, "before-call.s3.HeadObject", remember)
    s3.meta.events.register("after-call.s3.HeadObject", alter)
    s3.meta.events.register("before-parameter-build.s3.GetObject", _without_kms_etag)
    return s3


def _without_kms_etag(params: dict[str, Any], **_: Any) -> None:
    if params.get("IfMatch") == '"kms#"':
        del params["IfMatch"]


@pytest.mark.parametrize(
    ("checksums", "kind", "reads"),
    [
        (("s", "s"), "FULL_OBJECT", 0),
        (("s-3", "s-3"), "COMPOSITE", 0),
        (("s-3", "s-4"), "COMPOSITE", 4),
        ((None, "s"), "FULL_OBJECT", 4),
        ((None, None), None, 4),
    ],
)
def test_where_etags_differ_checksums_tell_and_else_the_bytes(
    desk: Desk, checksums: tuple[str | None, str | None], kind: str | None, reads: int
) -> None:
    """A copy that is encrypted with KMS has an ETag of its own."""
    case = desk.case("a.csv", b"0123456789", limits=CopyLimits(read=5))
    s3 = _other_etags(desk, checksums=checksums, kind=kind)
    ranges: list[str] = []
    s3.meta.events.register(
        "before-parameter-build.s3.GetObject", lambda params, **_: ranges.append(params.get("Range"))
    )
    assert desk.moves(case, s3).outcome is Outcome.MOVED
    assert [one for one in ranges if one] == ["bytes=0-4", "bytes=0-4", "bytes=5-9", "bytes=5-9"][:reads]


@pytest.mark.parametrize("damage", ["checksum", "bytes", "size", "removed"])
def test_a_copy_that_is_not_whole_deletes_nothing(desk: Desk, damage: str) -> None:
    """The original stays; the next call leaves what lies there alone and takes another name."""
    case = desk.case("a.csv", b"0123456789", limits=CopyLimits(read=5))
    s3 = _other_etags(desk, checksums=("a", "b") if damage == "checksum" else (None, None), kind="FULL_OBJECT")

    def spoil(**_: Any) -> None:
        if damage == "removed":
            desk.s3.delete_object(Bucket=desk.buckets.success, Key="a.csv")
        elif damage != "checksum":
            desk.put("a.csv", b"01234X6789" if damage == "bytes" else b"", desk.buckets.success)

    s3.meta.events.register("after-call.s3.CopyObject", spoil)
    with pytest.raises(StorageError, match="the original stays until a copy is whole"):
        desk.moves(case, s3)
    assert desk.source(case) in desk.server.lying(desk.buckets.input)
    assert desk.receipt(case)[1] is None
    if damage != "checksum":
        name = "a.csv" if damage == "removed" else f"a.{case.seq}.csv"
        assert desk.moves(case).target == f"s3://{desk.buckets.success}/{name}"


@pytest.mark.parametrize("parts", [[b"01234", b"56789"], [b"0123456789"]])
@pytest.mark.parametrize("stranger", [b"stranger's", b"stranger"])
def test_a_strangers_file_that_comes_just_before_the_copy_is_not_overwritten(
    desk: Desk, parts: list[bytes], stranger: bytes
) -> None:
    """The name was free and reserved a moment ago; the file gets the next name."""
    version = desk.upload_in_parts("a.csv", parts) if len(parts) > 1 else None
    case = desk.case("a.csv", b"".join(parts), version=version)
    last = "CopyObject" if version is None else "CompleteMultipartUpload"
    came: list[str] = []

    def come(**_: Any) -> None:
        if not came:
            came.append(desk.put("a.csv", stranger, desk.buckets.success))

    assert desk.moves(case, on(desk, f"before-send.s3.{last}", come)).outcome is Outcome.MOVED
    lying = desk.server.lying(desk.buckets.success)
    assert {key: thing.data for (_, key, _), thing in lying.items()} == {
        "a.csv": stranger, f"a.{case.seq}.csv": case.data
    }  # fmt: skip
    assert not desk.s3.list_multipart_uploads(Bucket=desk.buckets.success).get("Uploads")


def test_a_strangers_file_is_not_taken_for_a_copy_of_what_is_gone(desk: Desk) -> None:
    """A call crashed before it copied; then a file of another size came to its name, and the version vanished."""
    case = desk.case("a.csv", b"0123456789")

    def come(**_: Any) -> None:
        desk.put("a.csv", b"stranger", desk.buckets.success)
        desk.s3.delete_object(Bucket=desk.buckets.input, Key=f"{PREFIX}a.csv", VersionId=case.version)

    assert desk.moves(case, on(desk, "before-send.s3.CopyObject", come)) == Moved(Outcome.GONE, case.seq, "a.csv")
    assert {thing.data for thing in desk.server.lying(desk.buckets.success).values()} == {b"stranger"}


def test_a_comparison_ends_before_the_time_does(desk: Desk) -> None:
    """It says how far it came; nothing is deleted."""
    case = desk.case("a.csv", b"0123456789", limits=CopyLimits(read=5))
    times = itertools.chain([900.0] * 3, itertools.repeat(29.0))
    with pytest.raises(StorageError, match=r"no time is left to compare .*: 5 of 10 bytes are equal"):
        desk.moves(case, _other_etags(desk), time_left=lambda: next(times))
    assert desk.source(case) in desk.server.lying(desk.buckets.input)


@pytest.mark.parametrize("parts", [0, 2])
def test_a_copy_in_parts_ends_before_the_time_does(desk: Desk, parts: int) -> None:
    """A file may be too large for one call: it is named, with what helps, nothing of the copy stays, the original does.

    Whoever makes the copy by hand and deletes the original ends the receipt.
    """
    case = desk.case("a.csv", b"x" * 60, limits=CopyLimits(largest_copy=20, part=10, parts_at_once=1))
    times = itertools.chain([900.0] * (2 + parts), itertools.repeat(30.0))
    where = rf"s3://input.*/a\.csv \(version {case.version}\) to s3://success.*/a\.csv after {10 * parts} of 60 bytes"
    with pytest.raises(StorageError, match=f"no time is left to copy {where}; .* the file is too large for one call. "):
        desk.moves(case, time_left=lambda: next(times))
    assert desk.source(case) in desk.server.lying(desk.buckets.input)
    assert desk.server.lying(desk.buckets.success) == {}
    assert not desk.s3.list_multipart_uploads(Bucket=desk.buckets.success).get("Uploads")
    desk.put("a.csv", case.data, desk.buckets.success)
    desk.s3.delete_object(Bucket=desk.buckets.input, Key=PREFIX + case.key, VersionId=case.version)
    assert desk.moves(case).target == f"s3://{desk.buckets.success}/a.csv"


def test_a_move_is_begun_only_if_there_is_time_for_it(desk: Desk) -> None:
    """A minute, and more for a large file; else it is left for the next sweep and nothing is changed."""
    case = desk.case("a.csv")
    assert desk.moves(case, time_left=lambda: 59.0) == Moved(Outcome.LEFT)
    body = {**desk.json(case.name), "size": 3_000_000_000}
    desk.put(case.name, json.dumps(body).encode(), desk.buckets.receipts)
    assert desk.moves(case, time_left=lambda: 119.0) == Moved(Outcome.LEFT, case.seq, "a.csv")
    assert desk.source(case) in desk.server.lying(desk.buckets.input)
    assert not list(desk.server.lying(desk.buckets.receipts, "moves/"))


def test_a_write_that_meets_another_is_tried_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """S3 answers 409 to conditional writes of one key at the same moment; after a few pauses the error goes on."""
    pauses: list[float] = []
    monkeypatch.setattr(s3_objects.time, "sleep", pauses.append)
    conflicts = [2]

    def conflict(**_: Any) -> None:
        if conflicts[0]:
            conflicts[0] -= 1
            raise ClientError({"Error": {"Code": "ConditionalRequestConflict"}}, "PutObject")

    s3 = on(desk, "before-send.s3.PutObject", conflict)
    case = desk.case("a.csv")
    assert desk.moves(case, s3).outcome is Outcome.MOVED
    assert pauses == [0.1, 0.2]
    conflicts[0] = 99
    with pytest.raises(ClientError, match="ConditionalRequestConflict"):
        desk.moves(desk.case("b.csv"), s3)
    assert pauses == [0.1, 0.2, 0.1, 0.2, 0.4, 0.8, 1.6]


@pytest.mark.parametrize(
    "change",
    [
        None, b"not json", b"\xff", b"[]", b"null", {"seq": 7}, {"seq": "42"}, {"key": ""}, {"key": 7}, {"size": -1},
        {"size": "1"}, {"etag": None}, {"etag": ""}, {"version_id": 3}, {"version_id": ""}, {"fate": None},
        {"fate": "loading"}, {"fate": []},
    ],
)  # fmt: skip
def test_what_is_no_receipt_is_left_alone(desk: Desk, change: bytes | dict[str, Any] | None) -> None:
    """Not JSON, a field missing or wrong, another seq than its name says: neither it nor any file is touched."""
    case = desk.case("a.csv")
    body = desk.json(case.name)
    written = change if isinstance(change, bytes) else json.dumps({} if change is None else {**body, **change}).encode()
    desk.put(case.name, written, desk.buckets.receipts)
    with pytest.raises(UnreadableReceiptError, match=r"'receipts/000000042.json' is not a receipt.* left alone"):
        desk.moves(case)
    assert desk.server.lying(desk.buckets.receipts)[desk.buckets.receipts, case.name, "null"].data == written
    assert desk.source(case) in desk.server.lying(desk.buckets.input)


def test_a_version_id_of_null_is_the_object_without_versions(server: LocalS3) -> None:
    """Also where versioning was switched on since, with and without a newer version on top."""

    def say_null(parsed: dict[str, Any], **_: Any) -> None:
        parsed.setdefault("VersionId", "null")  # S3 says so of an older object, moto does not

    for newer in (False, True):
        desk = Desk(server, versioned=False)
        case = desk.case("a.csv")
        body = {**desk.json(case.name), "version_id": None}
        desk.put(case.name, json.dumps(body).encode(), desk.buckets.receipts)
        desk.s3.put_bucket_versioning(Bucket=desk.buckets.input, VersioningConfiguration={"Status": "Enabled"})
        left = {desk.put("a.csv", b"newer")} if newer else set()
        assert desk.moves(case, on(desk, "after-call.s3.HeadObject", say_null)).outcome is Outcome.MOVED
        assert desk.server.lying(desk.buckets.success)[desk.target(case)].data == case.data
        assert {version for _, _, version in desk.server.lying(desk.buckets.input)} == left


def test_a_version_null_below_a_delete_marker_is_moved(server: LocalS3) -> None:
    """Versions were switched on since, then the key was deleted: the loaded file still lies there, the marker stays."""
    for same in (True, False):
        desk = Desk(server, versioned=False)
        case = desk.case("a.csv")
        if not same:
            desk.put("a.csv", b"newer")
        desk.s3.put_bucket_versioning(Bucket=desk.buckets.input, VersioningConfiguration={"Status": "Enabled"})
        marker = desk.s3.delete_object(Bucket=desk.buckets.input, Key=f"{PREFIX}a.csv")["VersionId"]
        assert desk.moves(case).outcome is (Outcome.MOVED if same else Outcome.GONE)
        left = {version for _, _, version in desk.server.lying(desk.buckets.input)}
        assert left == ({marker} if same else {marker, "null"})
        assert {thing.data for thing in desk.server.lying(desk.buckets.success).values()} == (
            {case.data} if same else set()
        )


def test_a_file_that_took_the_reasons_name_meanwhile_is_not_overwritten(desk: Desk) -> None:
    """The move stops with a message, the original stays, and goes on once the stranger's file has another name."""
    case = desk.case("a.csv", failed=True)
    s3 = on(desk, "after-call.s3.CopyObject", lambda **_: desk.put("a.csv.reason.json", b"x", desk.buckets.failed))
    with pytest.raises(StorageError, match="Nothing is overwritten: give that file another name"):
        desk.moves(case, s3)
    assert desk.source(case) in desk.server.lying(desk.buckets.input)
    assert desk.server.lying(desk.buckets.failed)[desk.buckets.failed, "a.csv.reason.json", "null"].data == b"x"
    desk.s3.delete_object(Bucket=desk.buckets.failed, Key="a.csv.reason.json")
    assert desk.moves(case).outcome is Outcome.MOVED


def test_a_copy_that_somebody_took_away_before_the_comparison_is_made_again(desk: Desk) -> None:
    """A crash left the copy; while it is compared with the original it vanishes: that is no vanished original."""
    case = desk.case("a.csv", b"0123456789", limits=CopyLimits(read=5))

    def die(**_: Any) -> None:
        raise KeyboardInterrupt

    desk.others[1].meta.events.register("before-send.s3.DeleteObject", die)
    with pytest.raises(KeyboardInterrupt):
        desk.moves(case, desk.others[1])
    s3, removed = _other_etags(desk), []

    def remove(params: dict[str, Any], **_: Any) -> None:
        if params.get("Range") and not removed:
            removed.append(desk.s3.delete_object(Bucket=desk.buckets.success, Key="a.csv"))

    s3.meta.events.register("before-parameter-build.s3.GetObject", remove)
    assert desk.moves(case, s3).target == f"s3://{desk.buckets.success}/a.csv"
    assert len(removed) == 1
    assert keys(desk, desk.buckets.success) == {"a.csv"}
