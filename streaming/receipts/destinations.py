"""Where the job's files go. Each place is checked before anything is read or written."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.storage import crash_safe
from streaming.storage.folder_errors import wait_for_space
from streaming.storage.locations import is_s3, open_place

if TYPE_CHECKING:
    import threading

    from streaming.settings import Settings
    from streaming.storage.place import Place


@dataclass(frozen=True)
class Destinations:
    """Where receipts and files go; `move` is False if the monitor moves the files."""

    input: Place
    receipts: Place
    success: Place
    failed: Place
    move: bool


def destinations(settings: Settings, stop: threading.Event) -> Destinations:
    """As the settings name them. If a disk is full, waits.

    Raises SettingsError if a place is missing or may not be used.
    """
    to = Destinations(
        input=open_place(settings.input),
        receipts=open_place(settings.receipts),
        success=open_place(settings.success),
        failed=open_place(settings.failed),
        move=settings.moves,
    )
    to.input.check(of_drops=True)
    for place in (to.receipts, open_place(settings.checkpoint), *((to.success, to.failed) if to.move else ())):
        place.check()
    for url in (settings.input, settings.receipts, settings.checkpoint):
        if not is_s3(url):
            wait_for_space(url, stop)
    if not is_s3(settings.checkpoint):
        crash_safe.remove_leftovers(f"{settings.checkpoint}/handover")
    return to
