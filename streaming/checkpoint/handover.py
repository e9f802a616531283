"""If there is too much to pass through Spark, a worker writes a file, and the next worker or the driver reads it.

Delivery: a replay writes the files of its batch again. They are removed once the batch is published.
A million changes are 33 MB, which Java would hold three times over on their way.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pyarrow as pa

from streaming.errors import StorageError
from streaming.packets import write_ipc
from streaming.storage.entries import path_of
from streaming.storage.folder import Folder
from streaming.storage.locations import open_place
from streaming.storage.place import discard

if TYPE_CHECKING:
    from collections.abc import Iterable


MANY_BYTES = 2 << 20
"""Of one thing; more goes as a file, not through Spark."""


class Handover:
    """The files in `<checkpoint>/handover`, by key."""

    def __init__(self, checkpoint_url: str) -> None:
        self._place = open_place(f"{checkpoint_url}/handover")

    def write(self, name: str, rows: pa.RecordBatch | pa.Table) -> str:
        """The key of the new file. name: of what it holds, with the batch or the drop; a replay gives the same."""
        key = f"{name}.arrow"
        self._place.put(key, lambda file: write_ipc(rows, file), durable=False)
        return key

    def read(self, key: str) -> pa.Buffer:
        """What was written. Raises StorageError if it is gone: the batch is tried again and writes it again."""
        if isinstance(self._place, Folder):  # not a copy: the bytes stay readable if the file is replaced or removed
            with suppress(OSError), pa.memory_map(path_of(self._place.url, key)) as file:
                return file.read_buffer()
        data = self._place.get(key)
        if data is None:
            msg = f"{self._place.url}/{key} is gone: expected what the batch under way has worked out"
            raise StorageError(msg)
        return pa.py_buffer(data)

    def remove(self, keys: Iterable[str]) -> None:
        """Removes those of the files that are there."""
        for key in keys:
            discard(self._place, key)

    def clear(self) -> None:
        """Removes every file: also those that a process has written for a batch that was read otherwise later."""
        self.remove(self._place.keys())
