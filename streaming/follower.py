"""A thread beside the query: what follows the batches, or looks at the job now and then."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Follower(threading.Thread):
    """Works in `follow` until `stop` is set. error: what ended it early, for the thread that watches it.

    daemon: for a follower whose storage may be slow or whose query may be long. It does not keep an ended job alive.
    """

    def __init__(self, name: str, stop: threading.Event, *, daemon: bool = False) -> None:
        super().__init__(name=name, daemon=daemon)
        self._stop_event = stop
        self.error: BaseException | None = None

    def run(self) -> None:
        """Runs `follow` and keeps its error."""
        try:
            self.follow()
        except BaseException as error:  # noqa: BLE001 (the thread that watches this one gets it)
            self.error = error

    def follow(self) -> None:
        """The work. Returns when the stop event is set; raises an error that waiting does not mend."""
        raise NotImplementedError


def raise_error_of(followers: Sequence[Follower]) -> None:
    """If a follower ended early, raises its error."""
    for follower in followers:
        if follower.error is not None:
            raise follower.error
