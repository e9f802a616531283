"""If something keeps the source from looking at the input, the job tells it to a person.

Spark runs the source in a Python process of its own, and its log lines go to a file. So the source sends its troubles
to the job as datagrams on this machine, which need neither a disk nor a port. The job tells them like every wait.

Delivery: at most once. While a trouble lasts, each look sends it again.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import secrets
import socket
from typing import TYPE_CHECKING

from streaming.follower import Follower
from streaming.waiting import Waiting

if TYPE_CHECKING:
    import threading
    from collections.abc import Mapping

_LOOK_SECONDS = 0.5
_MOST_BYTES, _NAMED, _NAME_LENGTH = 60_000, 3, 300
_WITHOUT_A_QUEUE = (
    "Drops are loaded all the same: meanwhile the input is listed by --trigger. Make the queue again, or give the job "
    "sqs:ReceiveMessage and sqs:DeleteMessage on it (with sqs://NAME also sqs:GetQueueUrl)."
)


class InputReport:
    """The source's end. address: that of the job's `InputWatch`; empty: there is none."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._last = ""

    def looked(self, failed: str, held: Mapping[str, str], queue: str = "") -> None:
        """After each look. failed: why it failed, empty if it did not; held: files that wait, and why.

        queue: why the queue of the bucket's events cannot be read, empty if it can or there is none.
        """
        some = {key[:_NAME_LENGTH]: reason for key, reason in itertools.islice(held.items(), _NAMED)}
        text = json.dumps({"failed": failed[:2_000], "held": some, "count": len(held), "queue": queue[:2_000]})
        troubled = bool(failed or held or queue)
        if not self._address or (not troubled and text == self._last):
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(0)
            sender.sendto(text.encode(), f"\0{self._address}")
            self._last = text


class InputWatch(Follower):
    """The job's end: tells failing looks at the input, and files that may not be read, until that is over.

    wake: the queue of the bucket's events, if there is one. It tells one that cannot be read too.
    """

    def __init__(self, url: str, stop: threading.Event, wake: str | None = None) -> None:
        super().__init__("input-watch", stop, daemon=True)
        self._input = Waiting(f"the input {url}")
        self._files = Waiting("access to files in the input")
        self._queue = Waiting(f"the queue {wake}")
        self.address = f"stocketl-{secrets.token_hex(16)}"
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(f"\0{self.address}")
        self._socket.settimeout(_LOOK_SECONDS)

    def follow(self) -> None:
        """Until the stop event."""
        with self._socket:
            while not self._stop_event.is_set():
                with contextlib.suppress(TimeoutError, ValueError):
                    self._tell(json.loads(self._socket.recv(_MOST_BYTES)))
        for wait in (self._input, self._files, self._queue):
            wait.given_up()

    def _tell(self, told: dict[str, object]) -> None:
        failed, held, count = told["failed"], told["held"], told["count"]
        if queue := told["queue"]:
            self._queue.failed(str(queue), _WITHOUT_A_QUEUE)
        else:
            self._queue.over()
        if failed:
            self._input.failed(str(failed), "Drops are loaded once it answers.")
            return
        self._input.over()
        if not isinstance(held, dict) or not held:
            self._files.over()
            return
        named = "; ".join(f"{key!r}: {reason}" for key, reason in held.items())
        more = f" ({count} files in all)" if count != len(held) else ""
        advice = "The others are loaded meanwhile. Give the job's user the right to read these, or take them away."
        self._files.failed(f"{named}{more}", advice)
