"""A thread beside the query: what follows the batches, or looks at the job now and then."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Follower(threading.Thread):
    """Does its work in `follow` until `stop` is set. error: what ended it early, for whoever watches it.

    daemon: a slow storage or a long query in it must not keep an ended job alive.
    """

    def __init__(self, name: str, stop: threading.Event, *, daemon: bool = False) -> None:
        super().__init__(name=name, daemon=daemon)
        self._stop_event = stop
        self.error: BaseException | None = None

    def run(self) -> None:
        """What the thread does: `follow`, and keeps its error."""
        try:
            self.follow()
        except BaseException as error:  # noqa: BLE001 (handed to the thread that watches this one)
            self.error = error

    def follow(self) -> None:
        """The work; returns when the stop event is set, raises what waiting does not mend."""
        raise NotImplementedError


def raise_error_of(followers: Sequence[Follower]) -> None:
    """Raises what ended a follower early, if any."""
    for follower in followers:
        if follower.error is not None:
            raise follower.error
