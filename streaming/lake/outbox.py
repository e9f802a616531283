"""Rows on their way to the lake: kept beside the checkpoint once their batch is published.

A batch is some Parquet files and `<batch>.json`, which names them and is written last and removed first.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from streaming.checkpoint.inspection import damaged
from streaming.errors import StorageError
from streaming.lake import rows
from streaming.lake.rows import TABLES, RowsFile
from streaming.storage.locations import open_place
from streaming.storage.place import discard

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from streaming.checkpoint.checkpoint import Checkpoint
    from streaming.errors import CheckpointError

_ENTRY = re.compile(r"([0-9]+)\.json")


@dataclass(frozen=True)
class Kept:
    """A batch in the outbox: its files by table, and the drops whose rows of earlier batches it supersedes."""

    batch_id: int
    files: dict[str, list[RowsFile]]
    superseded: list[int]

    @property
    def every_file(self) -> list[RowsFile]:
        """Of all tables."""
        return [file for files in self.files.values() for file in files]

    @property
    def rows(self) -> int:
        """Of all its files."""
        return sum(file.rows for file in self.every_file)

    def to_json(self) -> bytes:
        """As it stands in `<batch>.json`."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Kept:
        """The inverse of `to_json`."""
        plain = json.loads(data)
        files = {name: [RowsFile(**file) for file in found] for name, found in plain["files"].items()}
        return cls(plain["batch_id"], files, plain["superseded"])


class LakeOutbox:
    """The batches of a checkpoint that the lake may lack, as files. One thread writes them, another removes them."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.url = rows.outbox_of(checkpoint.url)
        self._place = open_place(self.url)
        self._place.check()
        self._checkpoint = checkpoint

    def keep(
        self, batch_id: int, tables: Mapping[str, pa.Table], *, superseded: set[int], files: list[RowsFile]
    ) -> Kept:
        """Writes the rows of a batch, again after a replay. files: what the workers have written already."""
        every: dict[str, list[RowsFile]] = {name: [] for name in TABLES}
        for file in files:
            every[file.table].append(file)
        for name, table in tables.items():
            if table.num_rows:
                every[name].append(rows.write(self._place, name, batch_id, table))
        kept = Kept(batch_id, every, sorted(superseded))
        self._place.put(f"{batch_id}.json", kept.to_json())
        return kept

    def left_from_before(self) -> list[Kept]:
        """All batches but the open one, which its replay puts here again."""
        found = (_ENTRY.fullmatch(key) for key in self._place.keys())  # noqa: SIM118 (a method of a place)
        numbers = sorted(int(entry[1]) for entry in found if entry)
        return [self._entry(f"{number}.json") for number in numbers if number != self._checkpoint.open_batch()]

    def locations(self, batches: Sequence[Kept]) -> dict[str, list[str]]:
        """Where the files of these batches lie, by table."""
        return {
            name: [f"{self.url}/{file.key}" for kept in batches for file in kept.files.get(name, ())] for name in TABLES
        }

    def remove(self, batches: Sequence[Kept]) -> None:
        """Takes out what the lake has. Raises StorageError, SettingsError: then the caller does it again."""
        for kept in batches:
            discard(self._place, f"{kept.batch_id}.json")
            for file in kept.every_file:
                discard(self._place, file.key)

    def refuse_damaged(self, batches: Sequence[Kept]) -> None:
        """Raises CheckpointError if waiting does not help, since the rows to be appended are gone."""
        with contextlib.suppress(StorageError):  # that is what waiting helps against
            for kept in batches:
                for file in kept.every_file:
                    if not rows.is_whole(self._place, file):
                        raise self._damaged(file.key)

    def _entry(self, key: str) -> Kept:
        try:
            return Kept.from_json(self._place.get(key) or b"")
        except (ValueError, KeyError, TypeError) as error:
            raise self._damaged(key) from error

    def _damaged(self, key: str) -> CheckpointError:
        why = "cannot be read; without it the lake lacks rows that are in the tables"
        return damaged(self._checkpoint.url, f"{rows.OUTBOX}/{key}", why)
