"""A checkpoint as Spark leaves it, made without Spark: two batches committed, a third begun; one partition."""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

OFFSET = {"seq": 0, "drops": [], "lying": {}}
SCHEMA = "state/0/_stateSchema/default/0_schema"
SNAPSHOT, SHARED = "state/0/0/1_a.zip", "state/0/0/SSTs/000008-shared.sst"
CHANGES, OPEN_CHANGES = "state/0/0/2_b.changelog", "state/0/0/3_c.changelog"
DESCRIPTION = "state/0/_metadata/v2/0"


def make(folder: Path, buckets: int = 1) -> Path:
    """The folder, filled."""
    put(folder, "metadata", b'{"id":"6f9b344e"}')
    for batch_id in range(3):
        put(folder, f"offsets/{batch_id}", lines("v1", {"batchWatermarkMs": 0, "conf": {}}, OFFSET))
    for batch_id, unique_id in enumerate("ab"):
        commit = {"nextBatchWatermarkMs": 0, "stateUniqueIds": {"0": [[unique_id]]}}
        put(folder, f"commits/{batch_id}", lines("v2", commit))
    stores = [{"storeName": "default", "stateSchemaFilePaths": [f"file:{folder}/{SCHEMA}"]}]
    put(folder, DESCRIPTION, lines("v2", {"operatorInfo": {"operatorId": 0}, "stateStoreInfo": stores}))
    put(folder, SCHEMA, _schema("chunks", "index"))
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr("metadata", lines("v1", {"sstFiles": [{"dfsSstFileName": "000008-shared.sst"}]}))
    put(folder, SNAPSHOT, archive.getvalue())
    put(folder, SHARED, bytes(1_500) + 0x88E241B785F4CFF7.to_bytes(8, "little"))
    put(folder, SNAPSHOT.replace(".zip", ".changelog"), _changelog([]))
    put(folder, CHANGES, _changelog([(1, "a")]))
    put(folder, OPEN_CHANGES, _changelog([(1, "a"), (2, "b")]))
    job = {"id": "c", "buckets": buckets, "text_ids": False, "keys": list(range(buckets))}
    (folder / "stocketl.json").write_text(json.dumps(job))
    return folder


def put(folder: Path, key: str, data: bytes) -> None:
    """A file and its checksums."""
    path = folder / key
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    sums = [zlib.crc32(data[start : start + 512]) for start in range(0, len(data), 512)]
    path.with_name(f".{path.name}.crc").write_bytes(struct.pack(f">4si{len(sums)}I", b"crc", 512, *sums))


def lines(version: str, *values: object) -> bytes:
    return "\n".join([version, *(json.dumps(value) for value in values)]).encode()


def _schema(*families: str) -> bytes:
    """As Spark's SchemaV3Writer does: name, then key and value with their numbers, then how keys are encoded."""

    def utf(text: str) -> bytes:
        return struct.pack(">H", len(text)) + text.encode()

    def columns(name: str) -> bytes:
        described = {"type": "struct", "fields": [{"name": name, "type": "binary", "nullable": True, "metadata": {}}]}
        return struct.pack(">HI", 0, 1) + utf(json.dumps(described, separators=(",", ":")))

    made = utf("v3") + struct.pack(">I", len(families))
    for family in families:
        made += utf(family) + columns("key") + columns("value")
        made += struct.pack(">I", 1) + utf('{"keyStateEncoderType":"NoPrefixKeyStateEncoderSpec"}')
        made += struct.pack(">I", 1) + utf("{    }")
    return made


def _changelog(lineage: list[tuple[int, str]]) -> bytes:
    """A block that is not compressed, and the one that says that no more follow."""
    text = json.dumps([{"version": version, "checkpointUniqueId": name} for version, name in lineage]).encode()
    body = struct.pack(">H2sH", 2, b"v4", len(text)) + text
    end = struct.pack("<8sBIII", b"LZ4Block", 0x15, 0, 0, 0)
    return struct.pack("<8sBIII", b"LZ4Block", 0x10, len(body), len(body), 0) + body + end
