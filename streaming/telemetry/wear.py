"""Whether the job should begin anew before its processes have no descriptors left.

Spark before 4.1.4 leaves two sockets open in Java for each task of the state and batch (SPARK-58932). Only the end of
that Java closes them. At the limit nothing can be opened any more. So the job ends in good time, between two batches,
and begins anew: by itself on one machine, as another step under spark-submit.
"""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING

from streaming.descriptors import Descriptors, of_java_above, of_process
from streaming.telemetry.observer import Observer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streaming.telemetry.metrics import Metrics
    from streaming.telemetry.observer import Published

log = logging.getLogger(__name__)

WORN = 0.7  # of the limit: a batch opens a few dozen at most, so there is time to end in order
FRESH = 0.5  # if a job begins with more than this, beginning anew gains nothing


class Wear(Observer):
    """Hears after each batch what its processes have open. highest: the largest share of the last batch; None at first.

    ended: whether the job ends for this reason.
    """

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._least = 1.0
        self._told = False
        self.highest: Descriptors | None = None
        self.ended = self._out = False

    def published(self, batch: Published) -> None:
        """Looks at what each Java that worked on the state has open."""
        self.see(batch.held)

    def see(self, of_the_state: Iterable[Descriptors]) -> None:
        """of_the_state: each Java that worked on the state. Adds this process and its Java."""
        own = of_process(os.getpid(), "python"), of_java_above()
        found = [*of_the_state, *(one for one in own if one is not None)]
        if not found:
            return
        self.highest = highest = max(found, key=lambda one: one.share)
        self._metrics.descriptors(highest.share)
        self._least = min(self._least, highest.share)
        if highest.share < WORN or self._told:
            return
        self._told = True
        held = f"{highest.process} has {highest.open:,} of {highest.limit:,} descriptors open"
        if self._least < FRESH:
            self._out = True
            log.warning("%s: the job ends between two batches and begins anew; nothing is lost", held)
        else:
            log.warning("%s from the beginning: raise its limit (`ulimit -n`), else the job may end", held)

    def ends(self, *, between_batches: bool) -> bool:
        """Whether the job is to end now. between_batches: each published batch has its receipts."""
        self.ended = self.ended or (self._out and between_batches)
        return self.ended


def begin_anew() -> None:
    """Puts the same command in the place of this process and does not return. Not for a process that Java started."""
    os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 (what runs now, once more)
