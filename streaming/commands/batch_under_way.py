"""The batch that a job works on, from the logs of its checkpoint. The ledger knows it only once it is committed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from streaming.checkpoint.checkpoint import Checkpoint
from streaming.errors import StockETLError
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from streaming.screen import Facts
    from streaming.settings import Settings

KEYS = 3


def batch_under_way(settings: Settings) -> Facts | None:
    """Its number, for how many seconds, how many drops and bytes, the first keys.

    None if there is none, or if the checkpoint cannot be read from here: it may be on another machine.
    """
    checkpoint = Checkpoint(settings.checkpoint, "", 0, text_ids=False)  # only its logs are read
    try:
        batch_id = checkpoint.open_batch()
        if batch_id is None:
            return None
        spans = checkpoint.offset(batch_id).drops
        planned = open_place(f"{settings.checkpoint}/offsets").head(str(batch_id))
    except (StockETLError, OSError):
        return None
    seconds = 0.0 if planned is None else (datetime.now(UTC) - planned.modified).total_seconds()
    return {
        "batch_id": batch_id,
        "seconds": max(seconds, 0.0),
        "drops": len(spans),
        "bytes": sum(span.bytes for span in spans),
        "first_keys": [span.version.key for span in spans[:KEYS]],
    }
