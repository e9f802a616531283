"""Which files the state of a committed batch is made of: a snapshot, the changes after it, and RocksDB's own files.

In `state/0/<partition>`: `<version>_<id>.zip` is a snapshot, `<version>_<id>.changelog` what changed since the version
before, and begins with the list of (version, id) back to an older snapshot; `SSTs/` holds what snapshots share.
Formats: org.apache.spark.sql.execution.streaming.state (RocksDBFileManager, StateStoreChangelog; LZ4BlockOutputStream).
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import TYPE_CHECKING, Any

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLOCK = struct.Struct("<8sBIII")
_LZ4, _RAW = 0x20, 0x10


def check(unique_ids: list[list[str]], version: int, has: Callable[[str], bool], read: Callable[[str], bytes]) -> None:
    """Reads every file that the state of this version needs, by partition.

    unique_ids: of the version, one list a partition. read: raises for a damaged or missing file; its answer may be
    empty where the content is not known.
    """
    for partition, ids in enumerate(unique_ids):
        folder = f"state/0/{partition}"
        for unique_id in ids:
            for key in _needed(folder, version, unique_id, has, read):
                read(key)


def _needed(
    folder: str, version: int, unique_id: str, has: Callable[[str], bool], read: Callable[[str], bytes]
) -> Iterator[str]:
    """Keys, back to the newest snapshot."""
    name = f"{folder}/{version}_{unique_id}"
    older: list[Any] = []
    if not has(f"{name}.zip"):
        yield f"{name}.changelog"
        older = sorted(_lineage(read(f"{name}.changelog")), reverse=True)
    for number, its_id in [(version, unique_id), *older]:
        name = f"{folder}/{number}_{its_id}"
        if has(f"{name}.zip"):
            yield f"{name}.zip"
            yield from (f"{folder}/SSTs/{file}" for file in _shared(read(f"{name}.zip")))
            return
        yield f"{name}.changelog"
    if older:  # the first version of all has a snapshot, without which Spark cannot read the changes
        yield f"{name}.zip"


def _lineage(changelog: bytes) -> list[tuple[int, str]]:
    """(version, id) of the versions before, or nothing where this is not known."""
    try:
        magic, token, packed, unpacked, _ = _BLOCK.unpack_from(changelog)
        body = changelog[_BLOCK.size : _BLOCK.size + packed]
        if magic != b"LZ4Block" or token & 0xF0 not in {_LZ4, _RAW}:
            return []
        if token & 0xF0 == _LZ4:
            body = pa.Codec("lz4_raw").decompress(body, unpacked).to_pybytes()
        (version_length,) = struct.unpack_from(">H", body)
        (length,) = struct.unpack_from(">H", body, 2 + version_length)
        text = body[4 + version_length : 4 + version_length + length]
        return [(int(item["version"]), str(item["checkpointUniqueId"])) for item in json.loads(text)]
    except (struct.error, ValueError, KeyError, TypeError, OSError):
        return []


def _shared(snapshot: bytes) -> list[str]:
    """The names of the files in `SSTs/` that a snapshot is made of, or nothing where this is not known."""
    try:
        with zipfile.ZipFile(io.BytesIO(snapshot)) as archive:
            _, _, text = archive.read("metadata").partition(b"\n")
        return [str(file["dfsSstFileName"]) for file in json.loads(text)["sstFiles"]]
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError):
        return []
