"""Whether the lake has a batch: it lies in the outbox before Spark commits it, and until Delta has it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streaming.errors import StockETLError
from streaming.lake.rows import outbox_of
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.settings import Settings

_LOOK_SECONDS = 0.2
_TELL_SECONDS = 1.0


class NotInLakeError(StockETLError):
    """The lake does not have what is asked for; the message says whether waiting helps."""


def wait_for_batch(
    settings: Settings,
    batch_id: int,
    limit: float,
    *,
    tell: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Returns when the lake has this batch and all before it. limit: seconds. tell: gets a line if it takes a while.

    Raises NotInLakeError after the limit.
    """
    began, told = clock(), False
    while not is_in_lake(settings.checkpoint, batch_id):
        waited = clock() - began
        if waited >= limit:
            msg = (
                f"the lake does not have batch {batch_id} yet, after a wait of {limit:.0f} s: its rows are kept in "
                f"{outbox_of(settings.checkpoint)} until a running job brings them; is a job running? `stocketl "
                "status` says so. --wait gives it more time"
            )
            raise NotInLakeError(msg)
        if not told and waited >= _TELL_SECONDS:
            tell(f"waiting up to {limit:.0f} s until the lake has batch {batch_id}")
            told = True
        pause(_LOOK_SECONDS)


def is_in_lake(checkpoint_url: str, batch_id: int) -> bool:
    """Whether the lake has this batch and all before it, as far as the checkpoint says.

    If there is no checkpoint here, it does not say otherwise. Raises StorageError.
    """
    if not open_place(checkpoint_url).exists("stocketl.json"):
        return True
    # in this order: a batch that Spark has committed is in the outbox already, or not any more
    committed = max(_numbers(f"{checkpoint_url}/commits", ""), default=-1)
    waiting = min(_numbers(outbox_of(checkpoint_url), ".json"), default=batch_id + 1)
    return committed >= batch_id and waiting > batch_id


def _numbers(url: str, suffix: str) -> list[int]:
    names = (key.removesuffix(suffix) for key in open_place(url).keys() if key.endswith(suffix))  # noqa: SIM118 (a method of a place)
    return [int(name) for name in names if name.isdecimal()]
