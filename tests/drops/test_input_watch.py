"""What the source meets reaches the terminal of the job, though it runs in another process."""

from __future__ import annotations

import errno
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from streaming.checkpoint.offset import EMPTY_OFFSET, Offset
from streaming.drops.input_watch import InputReport, InputWatch
from streaming.drops.options import Limits, ReadOptions, SourceOptions, check_wake
from streaming.drops.source import DropReader
from streaming.errors import SettingsError
from streaming.settings import load
from streaming.storage import crash_safe as files
from streaming.waiting import under_way

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from fixture_s3 import S3Server

DEADLINE = 60.0


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[InputWatch]:
    """The job's end, running."""
    stop = threading.Event()
    watching = InputWatch(str(tmp_path / "in"), stop)
    watching.start()
    yield watching
    stop.set()
    watching.join(DEADLINE)
    assert (watching.error, _waits()) == (None, [])


def _eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def _reader(watch: InputWatch, url: str, **more: Any) -> DropReader:
    read, limits = ReadOptions(1, text_ids=False, unpacked_limit=1 << 20), Limits(1 << 20, 1 << 20)
    pace = {"every": 0.0} | more
    options = SourceOptions(
        url, 0.0, limits, read, [0], 1, isolate=False, resume=EMPTY_OFFSET, report=watch.address, **pace
    )
    return DropReader(SourceOptions.from_json(options.to_json()))


def _look(reader: DropReader) -> Offset:
    """One look, for which nobody waits until there is something."""
    reader._offset = reader._admitted()  # noqa: SLF001 - as above
    return reader._offset  # noqa: SLF001 - as above


def _told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "streaming.waiting"]


def _waits() -> list[str]:
    """Of the input; other waits of this process are other tests'."""
    return [held.reason for held in under_way() if "the input" in held.what]


def test_an_input_folder_that_is_removed_is_told_as_a_wait_and_taken_up_again(
    watch: InputWatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Its drops are admitted once it is back."""
    url = tmp_path / "in"
    reader = _reader(watch, str(url))
    for _ in range(2):
        assert _look(reader).seq == 0
    _eventually(_waits)
    url.mkdir()
    (url / "a.csv").write_bytes(b"x")
    assert _look(reader).seq == 1
    _eventually(lambda: not _waits())
    first, *_, last = _told(caplog)
    assert first == (
        f"waiting for the input {url}, nothing is lost: cannot list {url}: No such file or directory (ENOENT); the "
        "folder is gone: make it again, or mount its disk. Drops are loaded once it answers."
    )
    assert last.startswith(f"the input {url} is back after ")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_claims_that_cannot_be_written_are_a_wait_that_is_told(
    number: int, watch: InputWatch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No drop is passed over meanwhile, and nothing half written stays."""
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.csv").write_bytes(b"x")
    reader = _reader(watch, str(tmp_path / "in"))

    def full(*_: Any) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patched:
        patched.setattr(files, "_copy_bytes", full)
        assert _look(reader).seq == 0
    _eventually(lambda: any(errno.errorcode[number] in reason for reason in _waits()))
    assert list((tmp_path / "in" / ".claims").iterdir()) == []
    assert _look(reader).seq == 1
    _eventually(lambda: not _waits())


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.EBUSY, errno.EREMOTEIO, errno.ETXTBSY, errno.EFBIG])
def test_a_file_that_cannot_be_read_waits_and_the_others_are_admitted(
    number: int,
    watch: InputWatch,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever the file system says of it: a lock of Windows, a bad block, a right that is missing."""
    (tmp_path / "in").mkdir()
    for name in ("a.csv", "b.csv"):
        (tmp_path / "in" / name).write_bytes(b"x")
    reader, copy = _reader(watch, str(tmp_path / "in")), files.copy_as_it_was

    def refused(path: str, *rest: Any) -> bool:
        if path.endswith("a.csv"):
            raise OSError(number, os.strerror(number), path)
        return copy(path, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(files, "copy_as_it_was", refused)
        assert [span.version.key for span in _look(reader).drops] == ["b.csv"]
    _eventually(_waits)
    assert [span.version.key for span in _look(reader).drops] == ["a.csv"]
    _eventually(lambda: not _waits())
    assert _told(caplog)[0] == (
        "waiting for access to files in the input, nothing is lost: "
        f"'a.csv': {os.strerror(number)} ({errno.errorcode[number]}). "
        "The others are loaded meanwhile. Give the job's user the right to read these, or take them away."
    )


def test_a_listing_that_s3_refuses_while_the_job_runs_is_a_wait_that_is_told(s3: S3Server, watch: InputWatch) -> None:
    """The right to it, or the bucket, may come back: the job does not end."""
    bucket = s3.bucket()
    s3.client.put_object(Bucket=bucket, Key="in/a.csv", Body=b"x")
    reader = _reader(watch, f"s3://{bucket}/in")
    s3.faults(refuse={r"GET .*\?.*versions": "AccessDenied"})
    try:
        assert _look(reader).seq == 0
        _eventually(lambda: any("their right to ListObjectVersions" in reason for reason in _waits()))
    finally:
        s3.faults(refuse={})
    assert _look(reader).seq == 1
    _eventually(lambda: not _waits())
    reader = _reader(watch, "s3://no-such-bucket-at-all/in")
    assert _look(reader).seq == 0
    _eventually(lambda: any("NoSuchBucket" in reason for reason in _waits()))


def test_a_report_that_nobody_waits_for_is_no_error(tmp_path: Path) -> None:
    """The job may have ended, and benchmarks have none."""
    for address in ("", "stocketl-nobody"):
        InputReport(address).looked("no answer", {"a.csv": "Permission denied"})
    watching = InputWatch(str(tmp_path), threading.Event())
    for number in range(1_000):  # it does not listen yet, and the socket's room is limited
        InputReport(watching.address).looked(f"no answer {number}", {})


def test_many_long_names_fit_into_a_report(watch: InputWatch, caplog: pytest.LogCaptureFixture) -> None:
    """The first ones are named, all are counted."""
    InputReport(watch.address).looked(
        "", {f"{number}{'x' * 2_000}.csv": "Permission denied" for number in range(1_000)}
    )
    _eventually(lambda: _told(caplog))
    assert "(1000 files in all)" in _told(caplog)[0]
    assert len(_told(caplog)[0]) < 1_500


def test_a_queue_that_cannot_be_read_is_a_wait_that_is_told_and_drops_are_admitted(
    s3: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    """The source looks by its own pace until the queue is there; then it is woken."""
    bucket, stop = s3.bucket(), threading.Event()
    watching = InputWatch(f"s3://{bucket}/in", stop, f"sqs://of-{bucket}")
    watching.start()
    reader = _reader(watching, f"s3://{bucket}/in", every=0.1, wake=f"sqs://of-{bucket}")
    looking = threading.Thread(target=_look_until, args=(reader, stop))
    looking.start()
    try:
        _eventually(lambda: any(held.what == f"the queue sqs://of-{bucket}" for held in under_way()))
        s3.client.put_object(Bucket=bucket, Key="in/a.csv", Body=b"x")
        _eventually(lambda: reader._offset.seq == 1)  # noqa: SLF001 - as above
        s3.queue(bucket)
        _eventually(lambda: not any(held.what.startswith("the queue") for held in under_way()))
        s3.client.put_object(Bucket=bucket, Key="in/b.csv", Body=b"x")
        _eventually(lambda: reader._offset.seq == 2)  # noqa: SLF001 - as above
    finally:
        stop.set()
        looking.join(DEADLINE)
        reader.stop()
        watching.join(DEADLINE)
    told = [line for line in _told(caplog) if "the queue" in line]
    assert told[0].startswith(
        f"waiting for the queue sqs://of-{bucket}, nothing is lost: cannot receive its messages: "
    )
    assert "NonExistentQueue" in told[0]
    assert told[0].endswith("on it (with sqs://NAME also sqs:GetQueueUrl).")
    assert told[-1].startswith(f"the queue sqs://of-{bucket} is back after ")


def _look_until(reader: DropReader, stop: threading.Event) -> None:
    """As Spark asks, again and again; before the first drop it waits for the answer."""
    while not stop.is_set():
        reader.latestOffset()


def test_a_listing_that_fails_is_tried_again_soon_though_there_is_a_queue(s3: S3Server) -> None:
    """Its message is gone by then; without another try the drop would wait for a minute."""
    bucket = s3.bucket()
    reader = _reader(InputWatch("", threading.Event()), f"s3://{bucket}/in", every=0.1, wake=s3.queue(bucket))
    s3.client.put_object(Bucket=bucket, Key="in/a.csv", Body=b"x")
    assert reader.latestOffset()["seq"] == 1
    s3.faults(refuse={r"GET .*\?.*versions": "AccessDenied"})
    try:
        s3.client.put_object(Bucket=bucket, Key="in/b.csv", Body=b"x")
        before = s3.lists(bucket)
        _eventually(lambda: reader.latestOffset()["seq"] == 1 and s3.lists(bucket) >= before + 3)
    finally:
        s3.faults(refuse={})
    _eventually(lambda: reader.latestOffset()["seq"] == 2)
    reader.stop()


def test_a_queue_beside_a_folder_is_refused(tmp_path: Path) -> None:
    """It would never be asked; with an input on S3 it is taken, whether it is there or not."""
    check_wake(load(environment=False, home=str(tmp_path), input="s3://bucket/in", wake="sqs://nobody"))
    with pytest.raises(SettingsError, match=r"wake: expected an input on S3 beside it, got '/"):
        check_wake(load(environment=False, home=str(tmp_path), wake="sqs://drops"))
