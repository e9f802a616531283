"""Looks at the files of a checkpoint before Spark does: a damaged one is named within a second, with the way out.

It looks at what a start needs: the logs, the schema of the state and, in a folder, the files of the state that the last
commit refers to, by their checksums. S3 keeps its own sums, so there the state's files are only looked up.
"""

from __future__ import annotations

import json
import logging
import os
import pwd
import uuid
from typing import TYPE_CHECKING, Any

from streaming.checkpoint import checksums, lineage
from streaming.errors import START_AGAIN, CheckpointError
from streaming.storage.locations import is_s3, open_place
from streaming.storage.place import discard

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from streaming.storage.place import Place

log = logging.getLogger(__name__)

OPERATORS = "state/0/_metadata/v2"
_SCHEMA = "/state/0/_stateSchema/"
_OF_NUMBERS = {"offsets", "commits", OPERATORS}
_OF_FILES = {"handover", "lake-outbox"}
_FILES = {"metadata", "stocketl.json", "open-batch.json"}
_NEEDED_OFFSETS = 2  # Spark needs them if the last batch is open
_SUMMED_BYTES = 64 << 20  # of one file of the state; Spark checks the sums of larger ones when it reads them


def damaged(url: str, key: str, why: str) -> CheckpointError:
    """The error that names a file and the way out."""
    msg = (
        f"the checkpoint is damaged: {url}/{key} {why}. If you have a copy of the whole checkpoint and of the database "
        f"from the same moment, restore both. Else {START_AGAIN}."
    )
    return CheckpointError(msg)


def inspect(url: str) -> None:
    """Raises CheckpointError for the first damaged file, or if this user may not read or write a file.

    Spark's `metadata` is written anew: it holds only a name, which nothing refers to.
    """
    if not is_s3(url):
        _refuse_what_may_not_be_used(url)
    checked = _Checked(url)
    planned, committed = checked.numbers("offsets"), checked.numbers("commits")
    if not planned and not committed:
        return
    checked.mend_metadata()
    newest = max(planned, default=0)
    for batch_id in range(max(newest - _NEEDED_OFFSETS, -1) + 1, newest + 1):
        checked.log(f"offsets/{batch_id}", "v1", _is_offset)
    last = max(committed, default=-1)
    if newest > last + 1:
        raise damaged(url, f"commits/{newest - 1}", f"is missing, though batch {newest} has begun after it")
    if not committed:
        return
    *_, commit = checked.log(f"commits/{last}", "v2", _is_commit)
    checked.schema()
    lineage.check(commit.get("stateUniqueIds", {}).get("0", []), last + 1, checked.has, checked.state_file)


def relocate(url: str) -> None:
    """Writes this checkpoint's path into the one kind of file in which Spark keeps an absolute path.

    `state/0/_metadata/v2/<batch>` names the files of the schema. A checkpoint may be moved, or restored in another
    bucket; then its own files are meant. The path is the only change. The old checksum goes first.
    """
    place = open_place(f"{url}/{OPERATORS}")
    for key in (name for name in place.keys() if name.isdecimal()):  # noqa: SIM118 (a method of a place)
        version, _, text = (place.get(key) or b"").partition(b"\n")
        try:
            found = json.loads(text)
            for store in found["stateStoreInfo"]:
                store["stateSchemaFilePaths"] = [_here(url, path) for path in store["stateSchemaFilePaths"]]
        except (ValueError, KeyError, TypeError):
            continue  # an older one, which a start does not need: `inspect` has read the newest
        if found != json.loads(text):
            discard(place, checksums.name_of(key))
            place.put(key, version + b"\n" + json.dumps(found, separators=(",", ":")).encode())


def _here(url: str, path: str) -> str:
    """The path of a schema's file in this checkpoint, as Hadoop writes it. If it is that already, unchanged."""
    root, found, name = path.rpartition(_SCHEMA)
    if not found or _plain(root) == _plain(url):
        return path
    own = "s3a://" + url.split("://", 1)[1] if is_s3(url) else f"file:{url}"
    return f"{own}{_SCHEMA}{name}"


def _plain(url: str) -> str:
    """A location as Spark or we write it: `file:/a`, `file:///a` and `/a` are one place, `s3a://b` and `s3://b` too."""
    scheme, colon, rest = url.partition(":/")
    return f"{'' if scheme == 'file' else 's3:/'}/{rest.lstrip('/')}" if colon else url


class _Checked:
    """Reads files of a checkpoint. If one is not whole, a CheckpointError names it."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._place: Place = open_place(url)
        self._keys = set(self._place.keys())

    def numbers(self, folder: str) -> list[int]:
        """The batches that have a file there."""
        names = (key.removeprefix(f"{folder}/") for key in self._keys if key.startswith(f"{folder}/"))
        return sorted(int(name) for name in names if name.isdecimal())

    def has(self, key: str) -> bool:
        """Whether the file is there."""
        return key in self._keys

    def log(self, key: str, version: str, is_right: Callable[[list[object]], bool]) -> list[Any]:
        """The lines of one of Spark's log files, after its version: JSON each."""
        first, *lines = self._bytes(key).decode(errors="replace").splitlines() or [""]
        try:
            values = [json.loads(line) for line in lines]
        except ValueError:
            values = []
        if first != version or not values or not is_right(values):
            raise damaged(self._url, key, f"is not what Spark wrote there: {first + ' ' + ' '.join(lines):.80}")
        return values

    def mend_metadata(self) -> None:
        """If Spark cannot read `metadata`, it refuses the checkpoint, though the file holds only an unused name."""
        data = self._place.get("metadata") if self.has("metadata") else None
        try:
            if isinstance(json.loads(data or b"")["id"], str) and self._sums_fit("metadata", data or b""):
                return
        except (ValueError, KeyError, TypeError):
            pass
        discard(self._place, checksums.name_of("metadata"))
        self._place.put("metadata", json.dumps({"id": str(uuid.uuid4())}).encode())
        log.warning("%s/metadata was missing or damaged and is written anew: it only holds a name", self._url)

    def schema(self) -> None:
        """The newest description of the state, and the files that it names, wherever the checkpoint lies now."""
        numbers = self.numbers(OPERATORS)
        if not numbers:
            raise damaged(self._url, OPERATORS, "is empty: expected the description of the state")
        key = f"{OPERATORS}/{numbers[-1]}"
        described, *_ = self.log(key, "v2", _describes_state)
        for store in described["stateStoreInfo"]:
            for path in store["stateSchemaFilePaths"]:
                file = f"{_SCHEMA}{path.rpartition(_SCHEMA)[2]}".removeprefix("/")
                if not lineage.describes_columns(self._bytes(file)):
                    raise damaged(self._url, file, "does not describe the columns of the state: cut off or changed")

    def state_file(self, key: str) -> bytes:
        """A file of the state. On S3 it is not read."""
        if is_s3(self._url):
            return b""
        found = self._place.head(key)
        if found is not None and found.size > _SUMMED_BYTES:
            return b""
        data = self._bytes(key)
        if not lineage.is_whole(key, data):
            raise damaged(self._url, key, f"({len(data):,} bytes) is cut off")
        return data

    def _bytes(self, key: str) -> bytes:
        data = self._place.get(key) if self.has(key) else None
        if data is None:
            raise damaged(self._url, key, "is no file" if self._place.exists(key) else "is missing")
        if not self._sums_fit(key, data):
            name = checksums.name_of(key).rpartition("/")[2]
            raise damaged(self._url, key, f"({len(data):,} bytes) does not fit its checksum in {name} beside it")
        return data

    def _sums_fit(self, key: str, data: bytes) -> bool:
        return is_s3(self._url) or checksums.fits(data, self._place.get(checksums.name_of(key)))


def _is_offset(values: list[object]) -> bool:
    settings, offset = (*values, None, None)[:2]
    return isinstance(settings, dict) and isinstance(offset, dict) and {"seq", "drops", "lying"} <= offset.keys()


def _is_commit(values: list[object]) -> bool:
    return isinstance(values[0], dict) and "nextBatchWatermarkMs" in values[0]


def _describes_state(values: list[object]) -> bool:
    stores = values[0].get("stateStoreInfo", []) if isinstance(values[0], dict) else []
    return bool(stores) and all("stateSchemaFilePaths" in store for store in stores)


def _refuse_what_may_not_be_used(url: str) -> None:
    def refuse(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            raise _not_ours(str(error.filename), error.strerror or "")

    for folder, folders, names in os.walk(url, onerror=refuse):
        key = folder.removeprefix(url).removeprefix("/")
        if wrong := [name for name in folders if _is_of_a_file(key, name)]:
            raise damaged(url, f"{key}/{wrong[0]}".removeprefix("/"), "is a folder: expected a file")
        paths = [folder, *(f"{folder}/{name}" for name in names)]
        for path in paths:
            if not os.access(path, os.R_OK | os.W_OK | (os.X_OK if path == folder else 0)) and os.path.lexists(path):
                raise _not_ours(path, "Permission denied")


def _is_of_a_file(folder: str, name: str) -> bool:
    """Whether only a file has this name: a folder there would be taken for a missing one, or keep it from its place."""
    if folder in _OF_NUMBERS:
        return name.isdecimal()
    in_state = folder.startswith("state/") and name.endswith((".zip", ".changelog", ".sst"))
    return folder in _OF_FILES or in_state or (not folder and name in _FILES)


def _not_ours(path: str | Path, why: str) -> CheckpointError:
    try:
        owner = f", which belongs to the user {_name(os.stat(path).st_uid)}"  # noqa: PTH116 (as above)
    except OSError:
        owner = ""
    msg = (
        f"the checkpoint cannot be used: {path}{owner}: {why} for the user {_name(os.geteuid())}. Start the job as the "
        f"user that began it, or give this user the right to read and write: chown -R {_name(os.geteuid())} PLACE."
    )
    return CheckpointError(msg)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
