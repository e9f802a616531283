"""Waits until something may have arrived in a bucket: a queue of its events says so, or the time is over.

Only the moment of a look depends on it, never what the look finds. Nobody reads what a message says: one that is
broken, repeated, late or of another bucket costs a listing, and nothing else. If the queue cannot be read, each wait
takes its whole time, and `trouble` says why.

Delivery: a message is removed at once, before the listing that it causes. The first look of each start needs none.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any

from streaming.aws import client_of_a_thread, plain_errors
from streaming.errors import StockETLError, StorageError
from streaming.queue_names import Queue

if TYPE_CHECKING:
    from collections.abc import Callable

_LONGEST_POLL_SECONDS, _MESSAGES = 20, 10  # the most that SQS takes of both
_LEAST_POLL_SECONDS, _UNASKED_SECONDS = 0.5, 60.0
_FIRST_PAUSE_SECONDS, _LONGEST_PAUSE_SECONDS = 1.0, 30.0


class ObjectEvents:
    """The queue that is named so (`Queue`). A context; closed, it asks for no more messages.

    Its thread keeps no process alive, so an end need not wait for a request that is under way. trouble: why the queue
    cannot be read now, empty if it can; clock: seconds that only go forward; poll: seconds that a request may wait for
    a message.
    """

    def __init__(
        self, queue: str, *, clock: Callable[[], float] = time.monotonic, poll: int = _LONGEST_POLL_SECONDS
    ) -> None:
        self._queue = Queue.of(queue)
        self._clock = clock
        self._poll = poll
        self._arrived = threading.Event()
        self._closed = threading.Event()
        self._troubles: dict[str, str] = {}
        self._asked = clock()
        self._pause = _FIRST_PAUSE_SECONDS
        self._client: Any = None
        threading.Thread(target=self._follow, name="object-events", daemon=True).start()

    @property
    def trouble(self) -> str:
        """As above."""
        return next(iter(self._troubles.copy().values()), "")

    def wait(self, seconds: float) -> bool:
        """Whether something may have arrived; else, False after so many seconds."""
        self._asked = self._clock()
        if not self._arrived.wait(seconds):
            return False
        self._arrived.clear()
        return True

    def close(self) -> None:
        """The request that is under way is the last one."""
        self._closed.set()

    def _follow(self) -> None:
        while not self._closed.is_set():
            if self._clock() - self._asked > _UNASKED_SECONDS:
                self._closed.wait(1.0)  # nobody looks: a newer job may want these messages
            elif self._tries("receive its messages", self._receive):
                self._pause = _FIRST_PAUSE_SECONDS
            else:
                self._client = None  # the next one reads the credentials again
                self._closed.wait(self._pause)
                self._pause = min(2 * self._pause, _LONGEST_PAUSE_SECONDS)

    def _tries(self, what: str, attempt: Callable[[], None]) -> bool:
        """Whether it worked. If it did not, the job tells it, and lists as it does without a queue."""
        try:
            with plain_errors(what):
                attempt()
        except StockETLError as error:
            self._troubles[what] = str(error)
            return False
        except Exception as error:  # noqa: BLE001 (whatever a queue answers must not end the job)
            self._troubles[what] = f"cannot {what}: {type(error).__name__}: {error}"
            return False
        if self._troubles.pop(what, None):
            self._arrived.set()  # the next look tells that it is over
        return True

    def _receive(self) -> None:
        if self._client is None:
            self._client = self._connected()
        began = self._clock()
        poll = 0 if self._troubles else self._poll  # that it can be read again is told at once, not after a long poll
        answer = self._client.receive_message(QueueUrl=self._url, MaxNumberOfMessages=_MESSAGES, WaitTimeSeconds=poll)
        handles = [message["ReceiptHandle"] for message in answer.get("Messages", ())]
        if handles:
            self._arrived.set()
        if handles and self._tries("remove its messages", lambda: self._remove(handles)):
            return
        if self._clock() - began < _LEAST_POLL_SECONDS:
            self._closed.wait(_LEAST_POLL_SECONDS)  # what answers so soon, or keeps its messages, is not asked at once

    def _connected(self) -> Any:
        named = self._queue
        made = client_of_a_thread("sqs", endpoint=named.endpoint, region=named.region, seconds=self._poll)
        self._url = named.url or made.get_queue_url(QueueName=named.name)["QueueUrl"]
        return made

    def _remove(self, handles: list[str]) -> None:
        entries = [{"Id": str(number), "ReceiptHandle": handle} for number, handle in enumerate(handles)]
        refused = self._client.delete_message_batch(QueueUrl=self._url, Entries=entries).get("Failed", ())
        if refused:
            msg = f"cannot remove its messages: {refused[0]}"
            raise StorageError(msg)
