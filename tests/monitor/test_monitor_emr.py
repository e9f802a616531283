"""The Lambda monitor_emr: which events it knows, what a sweep does and measures, and what it tells."""

from __future__ import annotations

import json
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import monitor_emr
import pytest
from botocore.exceptions import ClientError
from desk import PREFIX, Case, Desk, LocalS3, check_ended, check_safe, local_s3
from monitor.copies import CopyLimits
from monitor.moves import Moved, Outcome
from monitor.waiting import _lying, waiting

from streaming.errors import SettingsError, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from fixture_s3 import S3Server

EVENTS = Path(__file__).parents[1] / "support" / "aws" / "events"
SWEEPS = ["emr-step-status-change", "emr-cluster-state-change", "scheduled-event", "scheduler-event"]
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
    "AWS_DEFAULT_REGION": "us-east-1",
}
NOTHING = {"MovedDrops": 0, "GoneDrops": 0, "UnreadableReceipts": 0, "MoveErrors": 0}
SWEPT = NOTHING | {"PendingReceipts": 0, "WaitingDrops": 0, "DropsWaitingTooLong": 0, "OldestWaitingSeconds": 0.0}


def document(name: str) -> dict[str, Any]:
    return json.loads((EVENTS / f"{name}.json").read_text())


class Context:
    """What Lambda passes along: the time that is left."""

    def __init__(self, *milliseconds: int) -> None:
        self._milliseconds = list(milliseconds) or [900_000]
        self._lock = threading.Lock()

    def get_remaining_time_in_millis(self) -> int:
        with self._lock:
            return self._milliseconds.pop(0) if len(self._milliseconds) > 1 else self._milliseconds[0]


class StandardOutput:
    """That of the moment: the function's logger keeps for ever what it finds first."""

    def write(self, text: str) -> None:
        sys.stdout.write(text)

    def flush(self) -> None:
        sys.stdout.flush()


@pytest.fixture(scope="module")
def server() -> Iterator[LocalS3]:
    with local_s3() as made, pytest.MonkeyPatch.context() as patched:
        for name, value in CREDENTIALS.items():
            patched.setenv(name, value)
        made.serve(monitor_emr.client_for(made.endpoint))
        monitor_emr.logger().handlers[0].stream = StandardOutput()
        yield made
        monitor_emr.client_for.cache_clear()


@pytest.fixture
def desk(server: LocalS3, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """A deployment, and the function's environment."""
    made = Desk(server)
    for name, value in {
        "AWS_ENDPOINT_URL": server.endpoint,
        "RECEIPTS_BUCKET": made.buckets.receipts,
        "INPUT_BUCKET": made.buckets.input,
        "INPUT_PREFIX": PREFIX.rstrip("/"),
        "SUCCESS_BUCKET": made.buckets.success,
        "FAILED_BUCKET": made.buckets.failed,
        "WAITING_LIMIT_SECONDS": "600",
    }.items():
        monkeypatch.setenv(name, value)
    return made


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[[], tuple[list[dict[str, Any]], dict[str, Any]]]:
    """The log lines, and the metrics, since the last call."""

    def read() -> tuple[list[dict[str, Any]], dict[str, Any]]:
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        metrics: dict[str, Any] = {}
        for line in lines:
            if "_aws" in line:
                (kind,) = line["_aws"]["CloudWatchMetrics"]
                assert (kind["Namespace"], kind["Dimensions"]) == ("StockETL", [["service"]])
                metrics |= {one["Name"]: (line[one["Name"]][0], one["Unit"]) for one in kind["Metrics"]}
        return [line for line in lines if "_aws" not in line], metrics

    return read


def receipt_event(desk: Desk, key: str) -> dict[str, Any]:
    event = document("s3-receipt-created-eventbridge")
    event["detail"]["bucket"]["name"], event["detail"]["object"]["key"] = desk.buckets.receipts, key
    return event


def handle(event: dict[str, Any], *milliseconds: int) -> dict[str, float]:
    return monitor_emr.handler(event, Context(*milliseconds))


def waited(answer: dict[str, float], drops: int) -> dict[str, float]:
    """What a sweep tells of so many drops; their age is what it is."""
    return {"WaitingDrops": drops, "OldestWaitingSeconds": answer["OldestWaitingSeconds"]}


def outcome(desk: Desk, *cases: Case) -> list[bool]:
    """Which of them are done."""
    return [desk.receipt(case)[1] is not None for case in cases]


def test_a_new_receipt_moves_its_file_and_no_other(desk: Desk) -> None:
    """EventBridge's event; delivered once more, hours later, it finds nothing to do."""
    first, second = desk.case("1/a b+%.csv"), desk.case("2/b.csv")
    described = desk.server.lying(desk.buckets.input)[desk.source(first)]
    event = receipt_event(desk, first.name)
    assert handle(event) == NOTHING | {"MovedDrops": 1}
    check_ended(desk, first, described)
    assert outcome(desk, first, second) == [True, False]
    assert handle(event) == NOTHING


def test_a_notification_of_s3_is_understood_too(desk: Desk) -> None:
    """Its records encode the keys; each receipt among them is moved."""
    cases = [desk.case("a.csv"), desk.case("b.csv", failed=True)]
    event = document("s3-object-created-notification")
    (record,) = event["Records"]
    event["Records"] = []
    for case in cases:
        of = {"bucket": {**record["s3"]["bucket"], "name": desk.buckets.receipts}}
        of["object"] = {**record["s3"]["object"], "key": case.name.replace("/", "%2F")}
        event["Records"].append({**record, "s3": {**record["s3"], **of}})
    assert handle(event) == NOTHING | {"MovedDrops": 2}
    assert outcome(desk, *cases) == [True, True]


def test_the_key_of_a_receipt_is_taken_as_each_event_has_it() -> None:
    """Encoded in a notification, as it is in EventBridge's event."""
    event = document("s3-object-created-eventbridge")
    event["detail"]["bucket"]["name"], event["detail"]["object"]["key"] = "receipts", "receipts/a+b%20c.json"
    assert monitor_emr.receipts_named(event, "receipts") == ["receipts/a+b%20c.json"]
    event = document("s3-object-created-notification")
    of = event["Records"][0]["s3"]
    of["bucket"]["name"], of["object"]["key"] = "receipts", "receipts/a+b%20c%2B.json"
    assert monitor_emr.receipts_named(event, "receipts") == ["receipts/a b c+.json"]


@pytest.mark.parametrize("name", ["s3-object-created-eventbridge", "s3-object-created-notification"])
def test_an_event_of_another_object_moves_nothing(desk: Desk, name: str) -> None:
    """Of the input, of another bucket, or of a done receipt, for which the monitor's own write is an event too."""
    case = desk.case("a.csv")
    event = document(name)
    assert handle(event) == NOTHING
    (event["Records"][0]["s3"] if "Records" in event else event["detail"])["object"]["key"] = case.name
    assert handle(event) == NOTHING
    assert handle(receipt_event(desk, "receipts/done/000000042.json")) == NOTHING
    assert handle(receipt_event(desk, "receipts/")) == NOTHING


@pytest.mark.parametrize("event", [{}, {"detail-type": "AWS API Call via CloudTrail", "source": "aws.s3"}])
def test_an_event_for_somebody_else_is_an_error(desk: Desk, event: dict[str, Any]) -> None:
    """A rule that sends it is wrong; nothing is touched."""
    case = desk.case("a.csv")
    with pytest.raises(ValueError, match="expected an event of S3, EMR or a schedule, got"):
        handle(event)
    assert outcome(desk, case) == [False]


@pytest.mark.parametrize("name", SWEEPS)
def test_a_sweep_moves_what_has_a_receipt_and_nothing_else(desk: Desk, name: str) -> None:
    """Also when it was called because the step failed: what was committed moves, the rest stays for the next step."""
    cases = [desk.case(f"{n}/a.csv", failed=n % 2 == 0) for n in range(6)]
    before = desk.server.lying(desk.buckets.input)
    desk.put("7/not loaded.csv", b"x")
    answer = handle(document(name))
    assert (answer["MovedDrops"], answer["WaitingDrops"], answer["MoveErrors"]) == (6, 7, 0)
    for case in cases:
        check_ended(desk, case, before[desk.source(case)])
    assert [key for _, key, _ in desk.server.lying(desk.buckets.input)] == [f"{PREFIX}7/not loaded.csv"]
    assert len(desk.server.lying(desk.buckets.failed)) == 2 * 3


def test_one_receipt_that_fails_does_not_stop_the_others(desk: Desk, told: Any) -> None:
    """A sweep tells of it and goes on; called by an event it ends with an error, so that Lambda calls again."""
    cases = [desk.case(f"{n}.csv") for n in range(4)]
    archive = {"Bucket": desk.buckets.input, "Key": f"{PREFIX}cold.csv", "StorageClass": "GLACIER"}
    cold = desk.case("cold.csv", b"cold", version=desk.s3.put_object(**archive, Body=b"cold")["VersionId"])
    answer = handle(document("scheduled-event"))
    assert (answer["MovedDrops"], answer["MoveErrors"], answer["PendingReceipts"]) == (4, 1, 1)
    assert outcome(desk, *cases, cold) == [True] * 4 + [False]
    logged, metrics = told()
    (error,) = [line for line in logged if line["level"] == "ERROR"]
    assert (error["receipt"], "ObjectNotInActiveTier" in error["exception"]) == (cold.name, True)
    assert (metrics["MoveErrors"], metrics["MovedDrops"]) == ((1.0, "Count"), (4.0, "Count"))
    with pytest.raises(StorageError, match="1 of 1 files could not be moved; nothing is lost") as raised:
        handle(receipt_event(desk, cold.name))
    assert "ObjectNotInActiveTier" in str(raised.value.__cause__)
    assert told()[1]["MoveErrors"] == (1.0, "Count")


def test_what_is_no_receipt_is_told_and_left_alone(desk: Desk, told: Any) -> None:
    """A retry would not mend it, so no error is raised: the metric has an alarm."""
    case = desk.case("a.csv")
    for key in ("receipts/000000001.json", "receipts/note.txt", "receipts/done/000000001.json", "receipts/"):
        desk.put(key, b"{not json", desk.buckets.receipts)
    answer = handle(document("scheduled-event"))
    assert answer == SWEPT | {"UnreadableReceipts": 2, "MovedDrops": 1} | waited(answer, 1)
    assert handle(receipt_event(desk, "receipts/note.txt")) == NOTHING | {"UnreadableReceipts": 1}
    logged, metrics = told()
    assert metrics["UnreadableReceipts"] == (1.0, "Count")
    assert sorted(line["receipt"] for line in logged if line["level"] == "ERROR") == [
        "receipts/000000001.json", "receipts/note.txt", "receipts/note.txt"
    ]  # fmt: skip
    assert outcome(desk, case) == [True]
    assert {"receipts/note.txt", "receipts/000000001.json"} <= {
        k for _, k, _ in desk.server.lying(desk.buckets.receipts)
    }


def test_the_log_says_where_each_file_went(desk: Desk, told: Any) -> None:
    """JSON lines with the drop's key; a file that is gone is a warning, and counted; no secret."""
    case, gone = desk.case("ä.csv"), desk.case("gone.csv")
    desk.s3.delete_object(Bucket=desk.buckets.input, Key=f"{PREFIX}gone.csv", VersionId=gone.version)
    answer = handle(document("scheduled-event"))
    assert answer == SWEPT | {"MovedDrops": 1, "GoneDrops": 1} | waited(answer, 1)
    logged, metrics = told()
    moved, warned = sorted(logged, key=lambda line: line["receipt"])
    facts = {"receipt": case.name, "seq": 42, "drop": "ä.csv", "target": f"s3://{desk.buckets.success}/ä.csv"}
    assert moved.items() >= ({"level": "INFO", "message": "moved"} | facts).items()
    assert warned.items() >= {"level": "WARNING", "receipt": gone.name, "seq": 43, "drop": "gone.csv"}.items()
    assert metrics["GoneDrops"] == (1.0, "Count")
    assert "a-secret" not in json.dumps(logged)


class Later(datetime):
    """Two hours ahead: whatever was dropped has waited for too long."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> datetime:
        return datetime.now(tz) + timedelta(hours=2)


def test_a_sweep_measures_what_waits(desk: Desk, told: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The number of drops in the input, the age of the oldest, and how many are older than the limit."""
    desk.put("new.csv", b"x")
    handle(document("scheduled-event"))
    logged, metrics = told()
    assert (logged, metrics["WaitingDrops"], metrics["DropsWaitingTooLong"]) == ([], (1.0, "Count"), (0.0, "Count"))
    assert 0 <= metrics["OldestWaitingSeconds"][0] < 600
    assert metrics["OldestWaitingSeconds"][1] == "Seconds"
    monkeypatch.setattr(monitor_emr, "datetime", Later)
    assert handle(document("scheduled-event"))["DropsWaitingTooLong"] == 1
    (warning,) = told()[0]
    assert (warning["drops"], warning["count"]) == ([f"{PREFIX}new.csv"], 1)


def test_only_drops_wait(desk: Desk) -> None:
    """Every version counts; not what lies under a delete marker, unfinished names and what is outside the prefix.

    However the pages of the listing cut the versions of a key.
    """
    for key in ("a.csv", "a.csv", "b/c.csv", ".hidden", "x/_SUCCESS", "z.tmp", "folder/"):
        desk.put(key, b"" if key.endswith("/") else b"x")
    deleted = {key: desk.put(key, b"x") for key in ("deleted.csv", "back.csv")}
    for key in deleted:
        desk.s3.delete_object(Bucket=desk.buckets.input, Key=PREFIX + key)
    older = desk.server.backend.get_object(desk.buckets.input, f"{PREFIX}back.csv", version_id=deleted["back.csv"])
    older.last_modified -= timedelta(minutes=1)
    back = desk.put("back.csv", b"x")
    desk.put("outside.csv", b"x", desk.buckets.input)
    assert (desk.buckets.input, f"{PREFIX}back.csv", back) in desk.server.lying(desk.buckets.input)
    now = datetime.now(UTC) + timedelta(hours=1)

    def found(limit: float, page: int = 1000) -> tuple[int, bool, int, list[str]]:
        s3 = desk.server.client()
        s3.meta.events.register(
            "before-parameter-build.s3.ListObjectVersions", lambda params, **_: params.update(MaxKeys=page)
        )
        told = waiting(s3, desk.buckets.input, PREFIX, now=now, limit_seconds=limit, time_left=lambda: 900.0)
        return told.drops, 3595 < told.oldest_seconds < 3660, told.too_long, sorted(told.oldest)

    expected = sorted(PREFIX + key for key in ("a.csv", "a.csv", "b/c.csv", "back.csv"))
    assert found(3500) == (4, True, 4, expected)
    assert found(3700) == (4, True, 0, [])
    for size in range(1, 9):
        assert found(3500, size) == (4, True, 4, expected)


def test_an_upload_in_parts_that_began_before_a_delete_marker_waits_all_the_same() -> None:
    """Its time is that of its beginning; what is on top is on top."""
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    version = {"Key": "a.csv", "Size": 9, "LastModified": noon}
    marker = {"Key": "a.csv", "LastModified": noon + timedelta(minutes=5), "IsLatest": False}
    page = {"DeleteMarkers": [marker], "IsTruncated": False}
    versions = [version | {"IsLatest": True}, version | {"IsLatest": False}]
    assert list(_lying([page | {"Versions": versions}], "")) == [[("a.csv", noon)]]


def test_a_sweep_ends_before_its_time_does(desk: Desk, told: Any) -> None:
    """What is left is for the next sweep; more than a page of receipts (1,000) is no matter."""
    cases = [desk.case(f"{n}.csv") for n in range(3)]
    for n in range(1001):
        desk.server.backend.put_object(desk.buckets.receipts, f"receipts/{n + 1000:09d}.json", b"{}")
    answer = handle(document("scheduled-event"), 900_000, 900_000, 900_000, 900_000, 50_000)
    assert answer == SWEPT | waited(answer, 3) | {name: answer[name] for name in ("MovedDrops", "PendingReceipts")}
    assert answer["MovedDrops"] + answer["PendingReceipts"] == 1004
    assert answer["MovedDrops"] == sum(outcome(desk, *cases)) <= 1
    assert told()[1]["PendingReceipts"] == (float(answer["PendingReceipts"]), "Count")
    with pytest.raises(StorageError, match="no time is left to count what waits"):
        handle(document("scheduled-event"), 1_000)


def test_a_sweep_that_dies_while_it_moves_has_told_what_waits(
    desk: Desk, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The alarm rings by what is measured: it must not stay silent because a move takes all the time there is."""
    monkeypatch.setattr(monitor_emr, "datetime", Later)
    desk.case("a.csv")

    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(monitor_emr.ReceiptMoves, "move", die)
    with pytest.raises(KeyboardInterrupt):
        handle(document("scheduled-event"))
    assert told()[1]["DropsWaitingTooLong"] == (1.0, "Count")


def test_neither_measuring_nor_moving_stops_the_other(desk: Desk, told: Any) -> None:
    """What one of them meets is raised once both have done what they can."""
    case = desk.case("a.csv")
    s3 = monitor_emr.client_for(desk.server.endpoint)

    def refuse(**_: Any) -> None:
        raise ClientError({"Error": {"Code": "AccessDenied"}}, "List")

    for operation, metric in (("ListObjectsV2", "WaitingDrops"), ("ListObjectVersions", "MovedDrops")):
        s3.meta.events.register(f"before-call.s3.{operation}", refuse)
        with pytest.raises(ClientError, match="AccessDenied"):
            handle(document("scheduled-event"))
        s3.meta.events.unregister(f"before-call.s3.{operation}", refuse)
        assert told()[1][metric] == (1.0, "Count")
    assert outcome(desk, case) == [True]


def test_measuring_leaves_time_for_the_moves(desk: Desk) -> None:
    """A listing without an end is given up after a quarter of the time; a file of any size is begun with the rest."""
    case = desk.case("a.csv")
    huge = {**desk.json(case.name), "size": 1 << 42}
    desk.put(case.name, json.dumps(huge).encode(), desk.buckets.receipts)
    with pytest.raises(StorageError, match="no time is left to count what waits"):
        handle(document("scheduled-event"), 900_000, 679_000, 675_000)
    assert outcome(desk, case) == [True]


class Moves:
    """Counts the receipts that have been moved; the first is not before the `others` are."""

    def __init__(self, others: int) -> None:
        self.ended, self._others = 0, others
        self._lock, self._enough = threading.Lock(), threading.Event()

    def move(self, name: str) -> Moved:
        if name == "0" and not self._enough.wait(30):
            raise TimeoutError
        with self._lock:
            self.ended += 1
            if self.ended == self._others:
                self._enough.set()
        if name.endswith("7"):
            raise ValueError(name)
        return Moved(Outcome.MOVED)


def test_a_sweep_takes_few_receipts_at_a_time_and_none_holds_up_the_others() -> None:
    """Of 100,000 pending ones each would else wait in memory; of many errors the first is kept, all are counted."""
    moves, taken, ahead = Moves(999), 0, 0

    def names() -> Iterator[str]:
        nonlocal taken, ahead
        for n in range(1000):
            taken, ahead = n, max(ahead, n - moves.ended)
            yield str(n)

    report = monitor_emr.MonitorReport()
    monitor_emr._move(moves, names(), report)  # noqa: SLF001 - what a sweep does with names
    assert (taken, report.outcomes[Outcome.MOVED], report.errors) == (999, 900, 100)
    assert ahead <= 100
    assert str(report.first_error).endswith("7")


def test_what_was_moved_is_told_also_where_the_listing_breaks_off(
    desk: Desk, told: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S3 may fail between two pages of the pending receipts."""
    cases = [desk.case(f"{n}.csv") for n in range(3)]

    def pages(*_: Any) -> Iterator[str]:
        yield from (case.name for case in cases)
        msg = "SlowDown"
        raise StorageError(msg)

    monkeypatch.setattr(monitor_emr, "pending", pages)
    with pytest.raises(StorageError, match="SlowDown"):
        handle(document("scheduled-event"))
    logged, metrics = told()
    assert (len(logged), metrics["MovedDrops"]) == (3, (3.0, "Count"))


def test_a_file_that_is_not_begun_for_its_size_is_told(desk: Desk, told: Any) -> None:
    """With a short timeout it would be left for ever, and nobody would know which and why."""
    case = desk.case("a.csv")
    large = {**desk.json(case.name), "size": 20_000_000_000}
    desk.put(case.name, json.dumps(large).encode(), desk.buckets.receipts)
    assert handle(receipt_event(desk, case.name), 300_000) == NOTHING
    (warning,) = told()[0]
    assert warning.items() >= {"level": "WARNING", "receipt": case.name, "drop": "a.csv"}.items()
    assert "needs more time" in warning["message"]


def test_there_is_a_connection_for_each_part_and_no_thread_too_many(server: LocalS3) -> None:
    """Lambda ends a process of more than 1,024 threads; a request without a connection of its own makes a new one."""
    client = monitor_emr.client_for(server.endpoint)
    at_once = monitor_emr._MOVES_AT_ONCE  # noqa: SLF001 - what may run together
    assert client.meta.config.max_pool_connections >= at_once * CopyLimits().parts_at_once
    assert at_once * (1 + CopyLimits().parts_at_once) < 1000


def test_a_sweep_that_is_killed_is_made_good_by_the_next(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Several files are on their way at that moment."""
    s3 = monitor_emr.client_for(desk.server.endpoint)
    sent = [0, 0]

    def die(**_: Any) -> None:
        sent[0] += 1
        if sent[0] > sent[1]:
            raise KeyboardInterrupt

    for last in range(3, 45, 7):
        cases = [desk.remember_bystanders(desk.case(f"{last}-{n}/a.csv", failed=n == 1)) for n in range(4)]
        before = desk.server.lying(desk.buckets.input)
        sent[:] = [0, last]
        with monkeypatch.context() as patched:
            s3.meta.events.register("before-send.s3", die)
            patched.setattr(monitor_emr, "_MOVES_AT_ONCE", 4)
            with pytest.raises(KeyboardInterrupt):
                handle(document("scheduled-event"))
            s3.meta.events.unregister("before-send.s3", die)
        for case in cases:
            check_safe(desk, case)
        assert handle(document("scheduled-event"))["MoveErrors"] == 0
        for case in cases:
            check_ended(desk, case, before[desk.source(case)])


def test_two_sweeps_at_once_over_the_network(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both with threads of their own, against a server in another process: each file once, under a name of its own."""
    state, source, success = s3.bucket(versioned=False), s3.bucket(), s3.bucket(versioned=False)
    names = {"RECEIPTS_BUCKET": state, "INPUT_BUCKET": source, "INPUT_PREFIX": "in", "SUCCESS_BUCKET": success}
    for name, value in (names | {"FAILED_BUCKET": success}).items():
        monkeypatch.setenv(name, value)
    for seq in range(1, 13):
        key, data = f"{seq % 6}/a b+%é.csv", b"%d" % seq
        put = s3.client.put_object(Bucket=source, Key=f"in/{key}", Body=data)
        body = {
            "seq": seq,
            "key": key,
            "version_id": put["VersionId"],
            "etag": put["ETag"].strip('"'),
            "size": len(data),
        }
        receipt = json.dumps(body | {"fate": "success", "checkpoint_id": "c0ffee"}).encode()
        s3.client.put_object(Bucket=state, Key=f"receipts/{seq:09d}.json", Body=receipt)
    with ThreadPoolExecutor(2) as pool:
        first, second = pool.map(handle, [document("scheduled-event"), document("scheduled-event")])
    assert first["MoveErrors"] + second["MoveErrors"] == 0
    assert first["MovedDrops"] + second["MovedDrops"] >= 12
    listed = [entry["Key"] for entry in s3.client.list_objects_v2(Bucket=success)["Contents"]]
    bodies = [s3.client.get_object(Bucket=success, Key=key)["Body"].read() for key in listed]
    assert sorted(map(int, bodies)) == [*range(1, 13)]
    assert s3.client.list_object_versions(Bucket=source).get("Versions", []) == []
    receipts = [entry["Key"] for entry in s3.client.list_objects_v2(Bucket=state, Prefix="receipts/")["Contents"]]
    assert receipts == [f"receipts/done/{seq:09d}.json" for seq in range(1, 13)]


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("RECEIPTS_BUCKET", None, "RECEIPTS_BUCKET is not set"),
        ("FAILED_BUCKET", "", "FAILED_BUCKET is not set"),
        (
            "WAITING_LIMIT_SECONDS",
            "an hour",
            "WAITING_LIMIT_SECONDS: expected a number from 1 to 1000000, got 'an hour'",
        ),
    ],
)
def test_a_wrong_setting_is_named(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, value: str | None, expected: str
) -> None:
    """With its value."""
    case = desk.case("a.csv")
    if value is None:
        monkeypatch.delenv(name)
    else:
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=expected):
        handle(document("scheduled-event"))
    assert outcome(desk, case) == [name == "WAITING_LIMIT_SECONDS"]


def test_without_a_prefix_the_whole_bucket_is_the_input(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The setting is empty then, or not there."""
    for value in ("", "/", None):
        if value is None:
            monkeypatch.delenv("INPUT_PREFIX")
        else:
            monkeypatch.setenv("INPUT_PREFIX", value)
        desk.put("outside.csv", b"x", desk.buckets.input)
        assert monitor_emr.environment_buckets().prefix == ""
    assert handle(document("scheduled-event"))["WaitingDrops"] == 3
