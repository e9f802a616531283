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
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BLOCK = struct.Struct("<8sBIII")
_LZ4, _RAW = 0x20, 0x10
_END_OF_TABLE = (0x88E241B785F4CFF7).to_bytes(
    8, "little"
)  # https://github.com/facebook/rocksdb/wiki/Rocksdb-BlockBasedTable-Format
_SCHEMA_V3 = b"\0\2v3"


def check(unique_ids: list[list[str]], version: int, has: Callable[[str], bool], read: Callable[[str], bytes]) -> None:
    """Reads every file that the state of this version needs, by partition.

    unique_ids: of the version, one list a partition. read: raises for a damaged or missing file; its answer may be
    empty if the content is not known.
    """
    for partition, ids in enumerate(unique_ids):
        folder = f"state/0/{partition}"
        for unique_id in ids:
            for key in _needed(folder, version, unique_id, has, read):
                read(key)


def is_whole(key: str, data: bytes) -> bool:
    """Whether a file of the state has its end. True for kinds that are not known here.

    For files without checksums: after a full disk, or a copy that broke off, files are cut off or empty.
    """
    if key.endswith(".changelog"):
        return _has_its_blocks(data)
    if key.endswith(".zip"):
        return zipfile.is_zipfile(io.BytesIO(data))
    return data.endswith(_END_OF_TABLE) if key.endswith(".sst") else bool(data)


def describes_columns(schema: bytes) -> bool:
    """Whether a file of `_stateSchema` holds the columns of key and value of each family. True for other versions.

    Spark would end its query with a bare EOFException, again and again.
    """
    if not schema.startswith(_SCHEMA_V3):
        return bool(schema) and not _SCHEMA_V3.startswith(schema)
    families = int.from_bytes(schema[4:8], "big")
    text, at, structs = schema.decode("latin-1"), 0, 0
    while (at := text.find('{"', at)) >= 0:
        try:
            document, at = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            return False
        structs += document.get("type") == "struct"
    return structs >= 2 * families > 0


def _has_its_blocks(changelog: bytes) -> bool:
    """Blocks one after the other, the last one without content."""
    at, unpacked = 0, -1
    while len(changelog) - at >= _BLOCK.size:
        magic, _, packed, unpacked, _ = _BLOCK.unpack_from(changelog, at)
        if magic != b"LZ4Block":
            return True  # packed by something else: not known here
        at += _BLOCK.size + packed
    return at == len(changelog) and unpacked == 0


def _needed(
    folder: str, version: int, unique_id: str, has: Callable[[str], bool], read: Callable[[str], bytes]
) -> Iterator[str]:
    """Keys, back to the newest snapshot."""
    name = f"{folder}/{version}_{unique_id}"
    older: list[tuple[int, str]] = []
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
    """(version, id) of the versions before, or nothing if this is not known."""
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
    """The names of the files in `SSTs/` that a snapshot is made of, or nothing if this is not known."""
    try:
        with zipfile.ZipFile(io.BytesIO(snapshot)) as archive:
            _, _, text = archive.read("metadata").partition(b"\n")
        return [str(file["dfsSstFileName"]) for file in json.loads(text)["sstFiles"]]
    except (zipfile.BadZipFile, ValueError, KeyError, TypeError):
        return []
