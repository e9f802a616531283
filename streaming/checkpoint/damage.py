"""If Spark cannot read a file of the checkpoint, says it plainly: which file, what is wrong, what to do.

Spark gives Python only the text of its errors. Most damage is found by `inspection` before Spark starts; this is for
what happens under a running job, and for what only Spark reads.
"""

from __future__ import annotations

import re

from streaming.errors import START_AGAIN, CheckpointError

_KEY = r"(?:state/\d+/[^\s`'\",;)]+|offsets/\d+|commits/\d+|metadata)"
_FILES = [
    re.compile(before + rf"(?P<path>{start}[^`'\n]*?/{_KEY})")
    for before, start in (("file:/*?", "/"), ("", "s3a://"), (r"[`'\s]", "/"))
]
# in this order: the cause says more than what Spark wraps around it
_SIGNS = {
    "AccessDeniedException": "may not be read",
    "Permission denied": "may not be read",
    "NoSuchFileException": "is missing",
    "FileNotFoundException": "is missing",
    "does not exist": "is missing",
    "ChecksumException": "does not fit its checksum",
    "ZipException": "is cut off or damaged",
    "EOFException": "is cut off",
    "Corruption": "is damaged",
    "Stream is corrupted": "is damaged",
    "RocksDBException: ": "is damaged",
    "MalformedInputException": "is damaged",
    "Is a directory": "is a folder: expected a file",
    "NullPointerException": "is missing or damaged",  # without the snapshot that comes before the changes
}
# Java calls this a file that is not found, or its end; it passes, and the file is good
_PASSING = (
    "Too many open files",
    "No space left on device",
    "Disk quota exceeded",
    "Cannot allocate memory",
    "Input/output error",
    "Python worker exited unexpectedly",
    "Python worker failed to connect back",
)
_READING = "Error reading streaming state file"
_OWN_COPY = "/StateStoreId("  # what Spark has unpacked for itself
_OF_THE_STATE = ("CANNOT_LOAD_STATE_STORE", "STATE_STORE_", "RocksDBException: Corruption", "STREAMING_STATE")


def told_by_spark(text: str) -> CheckpointError | None:
    """The error, or None if the text is not about a damaged file of the checkpoint."""
    said = next((plain for sign, plain in _SIGNS.items() if sign in text), None)
    if said is None or any(sign in text for sign in _PASSING):
        return None
    lines = [line for line in text.splitlines() if any(sign in line for sign in (*_SIGNS, _READING))]
    paths = [path["path"] for line in lines for file in _FILES if (path := file.search(line))]
    found = [path for path in paths if _OWN_COPY not in path]
    if found:
        return _error(f"{found[0]} {said}")
    return _error(f"a file in its folder `state` {said}") if any(sign in text for sign in _OF_THE_STATE) else None


def _error(what: str) -> CheckpointError:
    msg = (
        f"the checkpoint is damaged: {what}. If you have a copy of the whole checkpoint and of the database from the "
        f"same moment, restore both. Else {START_AGAIN}."
    )
    return CheckpointError(msg)
