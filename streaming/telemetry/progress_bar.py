"""One bar at the foot of a terminal while a batch takes long; the lines of the log scroll above it."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

from streaming.screen import shown

if TYPE_CHECKING:
    from rich.console import Console

_PART_OF_THE_WIDTH = 6


class ProgressBar:
    """Several threads show and hide it. console: the one that the log writes to as well."""

    def __init__(self, console: Console) -> None:
        what = TextColumn("{task.description}", markup=False, table_column=Column(ratio=1, no_wrap=True))
        far = TextColumn("{task.fields[far]}", markup=False, table_column=Column(no_wrap=True))
        self._file = console.file
        self._lock = threading.Lock()
        self._progress = Progress(
            what,
            BarColumn(console.width // _PART_OF_THE_WIDTH),
            far,
            console=console,
            expand=True,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        self._task: TaskID | None = None

    @property
    def in_front(self) -> bool:
        """Whether the job is in the foreground. In the background (`&`) a bar would overwrite what a person types."""
        try:
            return os.tcgetpgrp(self._file.fileno()) == os.getpgrp()
        except (OSError, ValueError):  # it is not a controlling terminal
            return True

    def show(self, what: str, *, done: int, of: int | None, far: str = "") -> None:
        """Shows it, or changes it. done, of: bytes, `of` None while nobody knows; far: the same in words.

        In a narrow window `what` is cut, not `far`.
        """
        with self._lock:
            if self._task is None:
                self._task = self._progress.add_task("", total=of, far="")
                self._progress.start()
            self._progress.update(self._task, description=shown(what), completed=done, far=far)
            self._progress.tasks[0].total = of

    def hide(self) -> None:
        """If it is shown, takes it away and gives the cursor back."""
        with self._lock:
            if self._task is not None:
                self._progress.stop()
                self._progress.remove_task(self._task)
                self._task = None
