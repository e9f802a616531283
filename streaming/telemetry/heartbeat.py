"""A small object that says, every few seconds, that the job lives and how far it is. Who keeps the job alive reads it.

If the object `stop` lies beside it, the job ends itself: a signal may reach only the process around the job. It also
ends itself once a job of a newer epoch beats there: else it would look alive until its next batch is refused.

Delivery: at least once. If the storage does not answer, there is a warning instead of a beat.
"""

from __future__ import annotations

import json
import logging
import os
import re
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from streaming import __version__, waiting
from streaming.descriptors import shown
from streaming.errors import SettingsError, StockETLError, StorageError
from streaming.follower import Follower

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    from streaming.descriptors import Descriptors
    from streaming.storage.place import Place
    from streaming.telemetry.backlog import WaitingDrops

log = logging.getLogger(__name__)

HEARTBEAT, STOP = "heartbeat.json", "stop"
_FOLDER_OF_STEP = re.compile(r"s-[A-Z0-9]+")


class Heartbeat(Follower):
    """Writes `heartbeat.json` to `place` every `every` seconds. Once the marker `stop` is there, sets `stop`.

    committed: the last batch whose receipts are written, -1 before the first; drops: how many were last seen to wait
    in the input; held: the most descriptors that a process of the last batch had open.
    Nothing else is done in this thread: if something took long here, the job would look dead though it is well.
    """

    def __init__(
        self,
        place: Place,
        every: float,
        epoch: int,
        *,
        committed: Callable[[], int],
        drops: Callable[[], WaitingDrops | None],
        held: Callable[[], Descriptors | None],
        stop: threading.Event,
    ) -> None:
        super().__init__("heartbeat", stop, daemon=True)  # a slow storage must not keep an ended job alive
        self._place = place
        self._every = every
        self._epoch = epoch
        self._committed = committed
        self._drops = drops
        self._held = held
        self._began = datetime.now(UTC).replace(microsecond=0)

    def follow(self) -> None:
        """Until the stop event; raises what waiting does not mend."""
        while True:
            if not self._newer_beats():
                self._beat()
            self._look_for_stop()
            if self._stop_event.wait(self._every):
                break

    def _newer_beats(self) -> bool:
        """Of two jobs the newer one beats, and this one ends.

        A beat from before this start may be one of another database's, and counts for nothing.
        """
        try:
            found = json.loads(self._place.get(HEARTBEAT) or b"{}")
            newer = found.get("epoch", 0) > self._epoch and datetime.fromisoformat(found["time"]) >= self._began
        except StockETLError as error:
            log.warning("whether a newer job beats is not known this time: %s", error)
            return False
        except (ValueError, TypeError, KeyError, AttributeError):  # it is no heartbeat, and written anew
            return False
        if newer and not self._stop_event.is_set():
            log.error("a newer job beats (epoch %s, this one %s): this one ends", found["epoch"], self._epoch)
            self._stop_event.set()
        return bool(newer)

    def _beat(self) -> None:
        try:
            self._place.put(HEARTBEAT, json.dumps(self._document()).encode(), durable=False)
        except (StorageError, SettingsError) as error:  # SettingsError: it too may be over by the next beat
            log.warning("no heartbeat this time: %s", error)

    def _look_for_stop(self) -> None:
        try:
            there = self._place.get(STOP) is not None
        except StockETLError as error:  # or the right to see it is missing: no reason to end
            log.warning("whether to stop is not known this time: %s", error)
            return
        if there and not self._stop_event.is_set():
            log.info("%s/%s is there: the job ends", self._place.url, STOP)
            self._stop_event.set()

    def _document(self) -> dict[str, object]:
        drops = self._drops()
        return {
            "epoch": self._epoch,
            "batch": self._committed(),
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            "waiting": None if drops is None else drops.drops,
            "oldest_waiting_seconds": None if drops is None else round(drops.oldest_seconds, 1),
            "held_up": [asdict(wait) | {"seconds": round(wait.seconds, 1)} for wait in waiting.under_way()],
            "descriptors": shown(self._held()),
            "version": __version__,
            "step": step_id(),
        }


def step_id() -> str | None:
    """The EMR step that this process is; None if it is none.

    By EMR_STEP_ID, else by the working folder, which EMR names after the step (/mnt/var/lib/hadoop/steps/s-…).
    """
    if given := os.environ.get("EMR_STEP_ID"):
        return given
    *_, above, name = ("", "", *Path.cwd().parts)
    return name if above == "steps" and _FOLDER_OF_STEP.fullmatch(name) else None
