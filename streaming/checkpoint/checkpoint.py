"""The checkpoint folder as the job sees it: its id, and what its logs say.

Spark owns `offsets/`, `commits/` and `state/` (https://spark.apache.org/docs/4.1.4/streaming/ss-checkpoints.html);
the job adds `stocketl.json`, written once before the first batch.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass

from streaming.checkpoint.inspection import damaged, inspect
from streaming.checkpoint.offset import EMPTY_OFFSET, Offset
from streaming.checkpoint.state_keys import state_keys
from streaming.errors import START_AGAIN, CheckpointError
from streaming.storage.locations import open_place


@dataclass(frozen=True)
class Checkpoint:
    """One checkpoint location: `id` names it in the ledger and in the lake.

    The number of buckets and their `keys` in the state are fixed for its life. keys None: the numbers of the buckets.
    """

    url: str
    id: str
    buckets: int
    text_ids: bool
    keys: list[int] | None = None

    def bucket(self, key: int) -> int:
        """The number of the bucket that has this key in the state."""
        return self.keys.index(key) if self.keys else key

    def offset(self, batch_id: int) -> Offset:
        """The source's offset at the end of a batch. Raises CheckpointError if the log cannot be read."""
        data = open_place(self.url).get(f"offsets/{batch_id}")
        try:
            return Offset.from_json(json.loads((data or b"").decode().splitlines()[2]))
        except (ValueError, LookupError, TypeError) as error:
            msg = f"{self.url}/offsets/{batch_id} is not an offset of this job: {data!r:.200}. {START_AGAIN}."
            raise CheckpointError(msg) from error

    def last_offset(self) -> Offset:
        """What has been admitted so far."""
        planned = self.planned()
        return self.offset(planned[-1]) if planned else EMPTY_OFFSET

    def planned(self) -> list[int]:
        """Batches whose list of drops is logged."""
        return _numbers(f"{self.url}/offsets")

    def committed(self) -> int:
        """The last batch that Spark has committed, -1 before the first."""
        return max(_numbers(f"{self.url}/commits"), default=-1)

    def is_committed(self, batch_id: int) -> bool:
        """Whether Spark has committed this batch."""
        return open_place(self.url).exists(f"commits/{batch_id}")

    def is_open(self) -> bool:
        """Whether a batch is planned and not yet committed."""
        return self.open_batch() is not None

    def open_batch(self) -> int | None:
        """The batch that is planned and not yet committed."""
        last = max(self.planned(), default=-1)
        return last if last > self.committed() else None

    def count_start_of_open_batch(self) -> int:
        """Counts this start. Returns how often a job has begun with the same planned but uncommitted batch."""
        open_batch = self.open_batch()
        if open_batch is None:
            return 0
        place = open_place(self.url)
        starts = _starts_before(place.get("open-batch.json"), open_batch) + 1
        place.put("open-batch.json", json.dumps({"batch": open_batch, "starts": starts}).encode())
        return int(starts)


def open_checkpoint(url: str, *, buckets: int, text_ids: bool) -> Checkpoint:
    """The checkpoint at `url`. If there is none, makes it.

    Raises CheckpointError for a checkpoint of something else, a damaged one, or one with another reading of ids.
    """
    inspect(url)
    place = open_place(url)
    data = place.get("stocketl.json")
    if data is None:
        if _numbers(f"{url}/offsets"):
            msg = (
                f"{url} holds a Spark checkpoint without stocketl.json. If it is another program's, give another "
                f"--checkpoint. If the file is gone: {START_AGAIN}."
            )
            raise CheckpointError(msg)
        made = Checkpoint(url, uuid.uuid4().hex, buckets, text_ids, state_keys(buckets))
        fixed = {name: value for name, value in vars(made).items() if name != "url"}
        place.put("stocketl.json", json.dumps(fixed).encode())
        return made
    found = _as_written(url, data)
    if found.text_ids != text_ids:
        msg = (
            f"the checkpoint {url} was begun {'with' if found.text_ids else 'without'} --text-ids: the tickers of its "
            f"history would change their names. Start it as before, or start anew: {START_AGAIN}."
        )
        raise CheckpointError(msg)
    return found


def _as_written(url: str, data: bytes) -> Checkpoint:
    """Raises CheckpointError if the file is damaged: without its keys the state cannot be read."""
    try:
        fields = json.loads(data)
        found = Checkpoint(url, **fields)
        keys = list(range(found.buckets)) if found.keys is None else found.keys
        if isinstance(found.id, str) and found.id and len(keys) == found.buckets and isinstance(found.text_ids, bool):
            return found
    except (ValueError, TypeError):
        pass
    raise damaged(url, "stocketl.json", f"is not what the job wrote there: {data.decode(errors='replace'):.80}")


def _starts_before(data: bytes | None, batch_id: int) -> int:
    """How often this batch was begun; 0 if the file says nothing of it. Nothing else needs the file."""
    try:
        before = json.loads(data or b"")
        return int(before["starts"]) if before["batch"] == batch_id else 0
    except (ValueError, KeyError, TypeError):
        return 0


def _numbers(url: str) -> list[int]:
    names = open_place(url).keys()
    return sorted(int(name) for name in names if name.isdecimal())
