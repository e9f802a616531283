"""A message of a bucket's queue ends the wait, whatever it says; a queue that cannot be read ends nothing."""

from __future__ import annotations

import contextlib
import pathlib
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from streaming.drops.object_events import ObjectEvents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fixture_s3 import S3Server

DEADLINE, SHORT = 60.0, 0.3
EVENTS = pathlib.Path(__file__).parents[1] / "support" / "aws" / "events"
TEST_EVENT = '{"Service": "Amazon S3", "Event": "s3:TestEvent", "Bucket": "bucket"}'
ATTRIBUTES = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]


class Told:
    """A bucket, its queue, and whoever waits for it."""

    def __init__(self, s3: S3Server, sqs: Any) -> None:
        self.s3, self.sqs = s3, sqs
        self.bucket = s3.bucket()
        self.url = s3.queue(self.bucket)

    def left(self) -> int:
        """Messages that nobody has removed."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.url, AttributeNames=ATTRIBUTES)["Attributes"]
        return sum(int(found[name]) for name in ATTRIBUTES)


@pytest.fixture
def told(s3: S3Server) -> Iterator[Told]:
    with contextlib.closing(s3.client_of("sqs")) as sqs:
        yield Told(s3, sqs)


@contextlib.contextmanager
def listening(queue: str, **options: Any) -> Iterator[ObjectEvents]:
    """Its requests are short, or the last ones would keep the server's threads."""
    with contextlib.closing(ObjectEvents(queue, poll=1, **options)) as events:
        yield events


def eventually(condition: Callable[[], object]) -> None:
    end = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("named", ["by its URL", "by its name"])
def test_an_object_that_arrives_ends_the_wait_and_its_message_is_removed(told: Told, named: str) -> None:
    """Also if it arrives while nobody waits, as during a batch; the next wait takes its time again."""
    queue = told.url if named == "by its URL" else f"sqs://of-{told.bucket}"
    with listening(queue) as events:
        assert not events.wait(SHORT)
        told.s3.client.put_object(Bucket=told.bucket, Key="drops/a.csv", Body=b"x")
        assert events.wait(DEADLINE)
        eventually(lambda: told.left() == 0)
        assert not events.wait(SHORT)
        assert events.trouble == ""


@pytest.mark.parametrize(
    "body",
    [
        TEST_EVENT,
        (EVENTS / "s3-object-created-notification.json").read_text(),
        '{"Records": [{"s3": {"object": {"key": "elsewhere/../../etc/passwd"}}}]}',
        "{",
        "Robert'); DROP TABLE prices;--" + "ä" * 100_000,
    ],
    ids=["test event", "of S3 itself", "another prefix", "broken", "long"],
)
def test_whatever_a_message_says_it_ends_one_wait_and_is_removed(told: Told, body: str) -> None:
    """Nobody reads it: it may be broken, or come from whoever may send to the queue."""
    with listening(told.url) as events:
        told.sqs.send_message(QueueUrl=told.url, MessageBody=body)
        assert events.wait(DEADLINE)
        eventually(lambda: told.left() == 0)
        assert (events.wait(SHORT), events.trouble) == (False, "")


def test_a_burst_is_taken_from_the_queue_while_nobody_waits_and_ends_one_wait(told: Told) -> None:
    """A hundred messages that came during a batch cost one listing."""
    with listening(told.url) as events:
        for first in range(0, 100, 10):
            entries = [{"Id": str(number), "MessageBody": TEST_EVENT} for number in range(first, first + 10)]
            told.sqs.send_message_batch(QueueUrl=told.url, Entries=entries)
        eventually(lambda: told.left() == 0)
        assert (events.wait(DEADLINE), events.wait(SHORT)) == (True, False)


def test_a_queue_that_is_deleted_is_a_trouble_until_it_is_made_again(told: Told) -> None:
    """Meanwhile each wait takes its time; the wait after that ends, so that somebody looks and tells."""
    with listening(told.url) as events:
        told.sqs.delete_queue(QueueUrl=told.url)
        eventually(lambda: events.trouble)
        assert "NonExistentQueue" in events.trouble
        assert events.trouble.startswith("cannot receive its messages: ReceiveMessage was answered")
        assert not events.wait(SHORT)
        told.sqs.create_queue(QueueName=f"of-{told.bucket}")
        assert events.wait(DEADLINE)
        assert events.trouble == ""
        told.sqs.send_message(QueueUrl=told.url, MessageBody="x")
        assert events.wait(DEADLINE)


@pytest.mark.parametrize(
    ("actions", "refused"),
    [([], "ReceiveMessage"), (["sqs:ReceiveMessage"], "DeleteMessageBatch")],
    ids=["to receive", "to remove"],
)
def test_a_right_that_is_missing_is_a_trouble_until_it_is_given(
    told: Told, monkeypatch: pytest.MonkeyPatch, actions: list[str], refused: str
) -> None:
    """Messages that may be received and not removed end waits all the same."""
    role = f"role-of-{told.bucket}"
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", role)
    arn = f"arn:aws:sqs:us-east-1:123456789012:of-{told.bucket}"
    told.s3.rights(**{role: [{"Action": actions, "Resource": arn}]})
    told.sqs.set_queue_attributes(QueueUrl=told.url, Attributes={"VisibilityTimeout": "1"})
    told.sqs.send_message(QueueUrl=told.url, MessageBody="x")
    with listening(told.url) as events:
        eventually(lambda: events.trouble)
        assert f"{refused} was answered with AccessDeniedException" in events.trouble
        assert events.wait(SHORT) == bool(actions)
        told.s3.rights(**{role: [{"Action": ["sqs:ReceiveMessage", "sqs:DeleteMessage"], "Resource": arn}]})
        eventually(lambda: not events.trouble)
        eventually(lambda: told.left() == 0)


def test_a_queue_that_is_away_is_a_trouble(s3: S3Server) -> None:  # noqa: ARG001 (its environment)
    """Nothing listens there; waits take their time."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with listening(f"http://127.0.0.1:{port}/1/drops") as events:
        eventually(lambda: "Could not connect" in events.trouble)
        assert not events.wait(SHORT)


def test_a_server_that_answers_nonsense_at_once_is_asked_with_pauses(s3: S3Server) -> None:  # noqa: ARG001 (as above)
    """It wakes nobody, and the next request comes later."""
    nonsense = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nConnection: close\r\n\r\n<a>"
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(DEADLINE)
        with listening(f"http://127.0.0.1:{server.getsockname()[1]}/1/drops") as events:
            for _ in range(2):
                connection, _ = server.accept()
                with connection:
                    connection.recv(1 << 16)
                    connection.sendall(nonsense)
                assert not events.wait(0.01)
                server.settimeout(SHORT)
                with pytest.raises(TimeoutError):
                    server.accept()
                server.settimeout(DEADLINE)


def test_messages_are_left_to_others_if_nobody_has_looked_for_a_minute(told: Told) -> None:
    """A frozen job must not take what would wake its successor; once it looks again, it listens again."""
    asked: list[float] = []

    def clock() -> float:
        asked.append(61.0 if asked else 0.0)
        return asked[-1]

    told.sqs.send_message(QueueUrl=told.url, MessageBody="for its successor")
    with listening(told.url, clock=clock) as events:
        eventually(lambda: len(asked) >= 4)  # by then it would have taken the message
        (taken,) = told.sqs.receive_message(QueueUrl=told.url, WaitTimeSeconds=1)["Messages"]
        told.sqs.delete_message(QueueUrl=told.url, ReceiptHandle=taken["ReceiptHandle"])
        assert not events.wait(SHORT)
        told.sqs.send_message(QueueUrl=told.url, MessageBody="for whoever looks")
        assert events.wait(DEADLINE)


def test_an_end_does_not_wait_for_a_request_that_is_under_way(s3: S3Server) -> None:
    """The server takes the request and never answers; the process ends all the same."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}/1/drops"
        script = f"""
from streaming.drops.object_events import ObjectEvents
import sys
events = ObjectEvents({url!r})
sys.stdin.read(1)
events.close()
"""
        with subprocess.Popen([sys.executable, "-c", script], stdin=subprocess.PIPE, env=s3.env) as process:
            connection, _ = server.accept()
            with connection:
                assert connection.recv(4)
                process.stdin.close()
                assert process.wait(20) == 0
