"""The monitor's moves: killed, failing, doubled or overtaken at each single request to S3, then called once more."""

from __future__ import annotations

import contextlib
import itertools
import random
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from desk import PREFIX, Case, Desk, LocalS3, check_ended, check_safe, local_s3
from extent import extent
from monitor.copies import CopyLimits
from monitor.moves import Outcome

from streaming.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mypy_boto3_s3.client import S3Client

pytestmark = pytest.mark.thorough


class Killed(BaseException):
    """The process is gone: nothing of it runs any more."""


class Refused(Exception):  # noqa: N818 - what a request can meet
    """An error that boto3 raises."""


@pytest.fixture(scope="module")
def server() -> Iterator[LocalS3]:
    with local_s3() as made:
        yield made


@pytest.fixture(scope="module")
def desk(server: LocalS3) -> Desk:
    return Desk(server)


@pytest.fixture(scope="module")
def loose(server: LocalS3) -> Desk:
    """Its input has no versions."""
    return Desk(server, versioned=False)


def small(desk: Desk, folder: str) -> Case:
    return desk.case(f"{folder}/a.csv")


def failed(desk: Desk, folder: str) -> Case:
    return desk.case(f"{folder}/a.csv.gz", failed=True)


def strange_key(desk: Desk, folder: str) -> Case:
    return desk.case(f"{folder}/ /a b+c%25%/'q' \"日本\" å&=?#\\.csv", failed=True)


def longest_key(desk: Desk, folder: str) -> Case:
    """1,000 bytes with the prefix, so that the name with a number is cut."""
    room = 1000 - len(f"{PREFIX}{folder}/.csv".encode())
    return desk.case(f"{folder}/{'é' * (room // 2)}{'e' * (room % 2)}.csv")


def in_parts(desk: Desk, folder: str) -> Case:
    """Uploaded in parts, and copied in the same."""
    parts = [b"0123456789", b"9876543210", b"1"]
    version = desk.upload_in_parts(f"{folder}/a.csv", parts, ContentType="text/csv", Metadata={"a": "b"}, Tagging="c=d")
    return desk.case(f"{folder}/a.csv", b"".join(parts), version=version)


def above_the_limit(desk: Desk, folder: str) -> Case:
    """Too large for CopyObject, its parts unknown: the copy has another ETag and is compared by its bytes."""
    return desk.case(f"{folder}/a.csv", b"0123456789abcde", limits=CopyLimits(largest_copy=15, part=10))


def dropped_again(desk: Desk, folder: str) -> Case:
    """The same bytes under the same key: before, moved already, and after, not loaded yet."""
    first = desk.case(f"{folder}/a.csv")
    assert desk.moves(first).outcome is Outcome.MOVED
    seq = desk.next_seq()
    case = desk.case(f"{folder}/a.csv", seq=seq, target=f"{folder}/a.{seq}.csv")
    desk.put(f"{folder}/a.csv", case.data)
    return case


def older_lies_below(desk: Desk, folder: str) -> Case:
    """The older drop of the key is still to be moved."""
    desk.case(f"{folder}/a.csv", b"older")
    return desk.case(f"{folder}/a.csv", b"newer")


def under_a_delete_marker(desk: Desk, folder: str) -> Case:
    """The producer deletes the key: the loaded version moves, the marker stays."""
    case = desk.case(f"{folder}/a.csv")
    desk.s3.delete_object(Bucket=desk.buckets.input, Key=PREFIX + case.key)
    return case


def names_taken(desk: Desk, folder: str) -> Case:
    """Files that nobody has reserved a name for, one of them with the same bytes; and a reason's name is taken."""
    seq = desk.next_seq()
    case = desk.case(f"{folder}/a.csv", seq=seq, failed=True, target=f"{folder}/a.{seq}-2.csv")
    desk.put(case.key, case.data, desk.buckets.failed)
    desk.put(f"{folder}/a.{seq}.csv.reason.json", b"{}", desk.buckets.failed)
    return case


SCENARIOS = [
    small, failed, strange_key, longest_key, in_parts, above_the_limit, dropped_again, older_lies_below,
    under_a_delete_marker, names_taken,
]  # fmt: skip
DOUBLED = [failed, in_parts, above_the_limit, dropped_again, names_taken]
SOME = [in_parts, dropped_again]
SEEDS = range(extent(2, 12))
FOLDERS = itertools.count(1)


@dataclass
class Boundary:
    """Does something before the `at`-th request is sent, or after it was answered and before anybody sees that."""

    at: int
    when: str
    act: Callable[[], None]
    sent: int = 0
    answered: int = 0
    reached: str = ""
    dead: bool = False
    _lock: Any = field(default_factory=threading.Lock)

    def call(self, desk: Desk, case: Case) -> Outcome:
        """A call of the monitor that comes to the boundary."""
        s3 = desk.others[0]
        with _registered(s3, "before-send.s3", self._before), _registered(s3, "after-call.s3", self._after):
            return desk.moves(case, s3).outcome

    def _before(self, event_name: str, **_: Any) -> None:
        with self._lock:
            self.sent += 1
            here = self.sent == self.at and self.when == "before"
        self._stop(event_name, here=here)

    def _after(self, event_name: str, **_: Any) -> None:
        with self._lock:
            self.answered += 1
            here = self.answered == self.at and self.when == "after"
        self._stop(event_name, here=here)

    def _stop(self, event_name: str, *, here: bool) -> None:
        if self.dead:
            raise Killed
        if here:
            self.reached = event_name.rpartition(".")[2]
            try:
                self.act()
            except Killed:
                self.dead = True
                raise


@contextlib.contextmanager
def _registered(s3: S3Client, event: str, react: Callable[..., None]) -> Iterator[None]:
    s3.meta.events.register(event, react)
    try:
        yield
    finally:
        s3.meta.events.unregister(event, react)


def kill() -> None:
    raise Killed


def refuse() -> None:
    raise Refused


def _begun(desk: Desk, scenario: Callable[[Desk, str], Case]) -> tuple[Case, Any]:
    case = desk.remember_bystanders(scenario(desk, f"{next(FOLDERS)}"))
    return case, desk.lying(case)[desk.source(case)]


def _at_each(desk: Desk, scenario: Callable[[Desk, str], Case], when: str, stop: Callable[[], None]) -> list[str]:
    """Interrupts at each request in turn and calls again; the names of the requests."""
    names = []
    for at in itertools.count(1):
        case, described = _begun(desk, scenario)
        boundary = Boundary(at, when, stop)
        with contextlib.suppress(Killed, Refused):
            boundary.call(desk, case)
        check_safe(desk, case)
        assert desk.moves(case).outcome in {Outcome.MOVED, Outcome.ALREADY}
        check_ended(desk, case, described)
        if not boundary.reached:
            return names
        names.append(boundary.reached)
    raise AssertionError


@pytest.mark.parametrize("scenario", extent(SOME, SCENARIOS), ids=lambda scenario: scenario.__name__)
def test_a_call_killed_after_any_request_is_made_good_by_the_next(desk: Desk, scenario: Any) -> None:
    """The request has taken effect and nobody has seen its answer; the same state as before the next is sent."""
    requests = _at_each(desk, scenario, "after", kill)
    assert requests[:2] == ["GetObject", "GetObject"]
    assert requests[-3:] == ["DeleteObject", "PutObject", "DeleteObject"]
    assert len(requests) >= 10


@pytest.mark.parametrize("scenario", extent([in_parts], [failed, in_parts]), ids=lambda scenario: scenario.__name__)
def test_a_call_killed_before_any_request_is_made_good_by_the_next(desk: Desk, scenario: Any) -> None:
    """The request is never sent."""
    assert len(_at_each(desk, scenario, "before", kill)) >= 10


def _uploads(desk: Desk) -> list[Any]:
    return desk.s3.list_multipart_uploads(Bucket=desk.buckets.success).get("Uploads", [])


@pytest.mark.parametrize(
    ("scenario", "when"), extent([(in_parts, "after")], [(in_parts, "before"), (in_parts, "after"), (failed, "after")])
)
def test_a_request_that_fails_is_made_good_by_the_next_call(desk: Desk, scenario: Any, when: str) -> None:
    """With or without effect; the call itself goes on to its end, and clears up what it has begun."""
    unfinished = len(_uploads(desk))
    assert len(_at_each(desk, scenario, when, refuse)) >= 10
    without_a_known_id = 1 if scenario is in_parts and when == "after" else 0
    assert len(_uploads(desk)) == unfinished + without_a_known_id


@pytest.mark.parametrize("scenario", extent([failed], DOUBLED), ids=lambda scenario: scenario.__name__)
def test_a_second_call_between_any_two_requests_of_the_first_does_no_harm(desk: Desk, scenario: Any) -> None:
    """The event is delivered twice: the one call does all its work inside the other."""
    for at in itertools.count(1):
        case, described = _begun(desk, scenario)

        def second(case: Case = case) -> None:
            desk.moves(case)
            check_safe(desk, case)

        boundary = Boundary(at, "before", second)
        assert boundary.call(desk, case) in {Outcome.MOVED, Outcome.ALREADY}
        check_ended(desk, case, described)
        if not boundary.reached:
            return


@pytest.mark.parametrize(
    ("scenario", "newer"),
    extent(
        [(small, b"newer"), (failed, None)],
        [(small, b"newer"), (failed, None), (in_parts, b"newer"), (dropped_again, None)],
    ),
)
def test_a_newer_version_put_between_any_two_requests_stays_and_stays_current(
    desk: Desk, scenario: Any, newer: bytes | None
) -> None:
    """Under the same key, with other bytes or with the very same."""
    for at in itertools.count(1):
        case, described = _begun(desk, scenario)

        def put(case: Case = case) -> None:
            desk.put(case.key, case.data if newer is None else newer)
            desk.remember_bystanders(case)
            case.bystanders = {where: thing for where, thing in case.bystanders.items() if where != desk.target(case)}

        boundary = Boundary(at, "before", put)
        assert boundary.call(desk, case) is Outcome.MOVED
        case.bystanders = {w: t for w, t in case.bystanders.items() if not w[1].endswith(".reason.json")}
        check_ended(desk, case, described)
        if not boundary.reached:
            return


def test_a_receipt_written_in_its_place_between_any_two_requests_is_not_lost(desk: Desk) -> None:
    """The job began anew and counts from 1 again: both files are moved, under names of their own."""
    for at in itertools.count(2):  # before the first request the older receipt is overwritten unread
        case, described = _begun(desk, small)
        newer: list[Case] = []

        def write(case: Case = case, newer: list[Case] = newer) -> None:
            newer.append(desk.case(f"{case.key}/b.csv", b"newer", seq=case.seq, checkpoint="decaf"))

        boundary = Boundary(at, "before", write)
        assert boundary.call(desk, case) is Outcome.MOVED
        if not boundary.reached:
            check_ended(desk, case, described)
            return
        assert desk.moves(newer[0]).target == f"s3://{desk.buckets.success}/{newer[0].key}"
        lying = {where: thing.data for where, thing in desk.lying(case).items()}
        assert lying == {desk.target(case): case.data, desk.target(newer[0]): b"newer"}
        assert desk.json(case.name) is None


def test_without_versions_a_call_killed_after_any_request_is_made_good_too(loose: Desk) -> None:
    """As with versions."""
    assert len(_at_each(loose, failed, "after", kill)) >= 10


@pytest.mark.parametrize("scenario", [small, in_parts], ids=lambda scenario: scenario.__name__)
def test_without_versions_a_file_is_told_from_a_newer_one_by_its_etag(loose: Desk, scenario: Any) -> None:
    """Its producer replaces it between any two requests: it is moved or has vanished, and the newer one stays."""
    outcomes = set()
    for at in itertools.count(1):
        case = scenario(loose, f"{next(FOLDERS)}")
        boundary = Boundary(at, "before", lambda case=case: loose.put(case.key, b"newer"))
        with contextlib.suppress(StorageError):  # replaced in the middle of its copy
            boundary.call(loose, case)
        loose.moves(case)
        pending, done = loose.receipt(case)
        things = {where[0]: thing.data for where, thing in loose.lying(case).items()}
        kept = {} if done["moved_to"] is None else {loose.buckets.success: case.data}
        newer = {loose.buckets.input: b"newer"} if boundary.reached else {}
        assert (things, pending) == (kept | newer, None)
        outcomes.add(done["moved_to"] is None)
        if not boundary.reached:
            break
    assert outcomes == {True, False}


def test_a_vanished_file_is_told_once(desk: Desk) -> None:
    """Whatever request a second call comes between, and whichever it kills the first at."""
    for at, stop in itertools.product(range(1, 8), (None, kill)):
        case = small(desk, f"{next(FOLDERS)}")
        desk.s3.delete_object(Bucket=desk.buckets.input, Key=PREFIX + case.key, VersionId=case.version)
        told: list[Outcome] = []

        def second(case: Case = case, told: list[Outcome] = told) -> None:
            told.append(desk.moves(case).outcome)

        with contextlib.suppress(Killed):
            told.append(Boundary(at, "before", stop or second).call(desk, case))
        told.append(desk.moves(case).outcome)
        pending, done = desk.receipt(case)
        assert (pending, done["moved"], done["moved_to"]) == (None, "gone", None)
        assert told.count(Outcome.GONE) <= 1
        assert told.count(Outcome.MOVED) == 0
        assert desk.lying(case) == {}


class Turns:
    """Lets one request of one of two threads, A and B, run at a time, in an order drawn by seed."""

    def __init__(self, seed: int) -> None:
        self._order = deque(random.Random(seed).choices("AB", k=40))  # noqa: S311 - no secret
        self._turn = threading.Condition()
        self._holder = ""
        self._over: set[str] = set()

    def run(self, who: str, desk: Desk, case: Case) -> Outcome:
        s3 = desk.others["AB".index(who)]
        try:
            with _registered(s3, "before-send.s3", lambda **_: self._wait(who)):
                return desk.moves(case, s3).outcome
        finally:
            with self._turn:
                self._over.add(who)
                self._release(who)

    def _wait(self, who: str) -> None:
        with self._turn:
            self._release(who)
            assert self._turn.wait_for(lambda: not self._holder and self._next() in {who, ""}, timeout=30)
            if self._order:
                self._order.popleft()
            self._holder = who

    def _next(self) -> str:
        while self._order and self._order[0] in self._over:
            self._order.popleft()
        return self._order[0] if self._order else ""

    def _release(self, who: str) -> None:
        if self._holder == who:
            self._holder = ""
        self._turn.notify_all()


@pytest.mark.parametrize("scenario", [failed, dropped_again], ids=lambda scenario: scenario.__name__)
def test_two_calls_at_once_end_as_one(desk: Desk, scenario: Any) -> None:
    """The same event, delivered twice at once: their requests in any order, drawn by seed."""
    with ThreadPoolExecutor(2) as pool:
        for seed in SEEDS:
            case, described = _begun(desk, scenario)
            turns = Turns(seed)
            calls = [pool.submit(turns.run, who, desk, case) for who in "AB"]
            assert {call.result() for call in calls} <= {Outcome.MOVED, Outcome.ALREADY}
            check_ended(desk, case, described)


def test_two_drops_of_one_key_at_once_get_two_names(desk: Desk) -> None:
    """Their requests in any order, drawn by seed: nothing is overwritten, each receipt tells its own name."""
    with ThreadPoolExecutor(2) as pool:
        for seed in SEEDS:
            folder = f"{next(FOLDERS)}"
            cases = {who: desk.case(f"{folder}/a.csv", who.encode()) for who in "AB"}
            turns = Turns(seed)
            calls = [pool.submit(turns.run, who, desk, case) for who, case in cases.items()]
            assert {call.result() for call in calls} == {Outcome.MOVED}
            told = {desk.receipt(case)[1]["moved_to"]: case.data for case in cases.values()}
            lying = {
                f"s3://{bucket}/{key}": thing.data for (bucket, key, _), thing in desk.lying(case_of(cases)).items()
            }
            assert lying == told
            assert f"s3://{desk.buckets.success}/{folder}/a.csv" in told


def case_of(cases: dict[str, Case]) -> Case:
    return next(iter(cases.values()))
