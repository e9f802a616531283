"""What is written into a checkpoint: every file that appears is counted once, with its last size."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bench.watching import Watching

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOK_SECONDS = 0.1


class Watch(Watching):
    """Looks at a folder ten times a second; Spark keeps a file for many batches before it deletes it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(_LOOK_SECONDS)
        self._folder = folder
        self._before = dict(_files(folder))
        self._seen: dict[tuple[str, int], int] = {}

    @property
    def files(self) -> int:
        """Files that have appeared."""
        return len(self._seen)

    @property
    def bytes(self) -> int:
        """Their sizes together."""
        return sum(self._seen.values())

    def look(self) -> None:
        """One look at the folder."""
        self._seen |= {file: size for file, size in _files(self._folder) if file not in self._before}


def size(folder: Path) -> int:
    """Bytes of all files of a folder."""
    return sum(size for _, size in _files(folder))


def _files(folder: Path) -> Iterator[tuple[tuple[str, int], int]]:
    """((path, inode), bytes) of each finished file; one that is deleted meanwhile is left out."""
    for parent, _, names in os.walk(folder):
        for name in names:
            if ".tmp" not in name and not name.endswith(".part"):  # Spark's names for unfinished files, and ours
                path = f"{parent}/{name}"
                try:
                    found = os.stat(path)  # noqa: PTH116 (thousands of files, ten times a second)
                except FileNotFoundError:
                    continue
                yield (path, found.st_ino), found.st_size
