r"""Hadoop's checksums of files in a folder: `.NAME.crc` beside `NAME` holds a CRC-32 for each 512 bytes of it.

Format: `crc\0`, the bytes of a piece as a big-endian integer, then the sums (org.apache.hadoop.fs.ChecksumFileSystem).
"""

from __future__ import annotations

import struct
import zlib

_MAGIC = b"crc\0"
_HEADER = 8


def name_of(key: str) -> str:
    """The key of the checksums of a file."""
    folder, slash, name = key.rpartition("/")
    return f"{folder}{slash}.{name}.crc"


def fits(data: bytes, checksums: bytes | None) -> bool:
    """Whether the checksums are those of these bytes. Also True if Hadoop would not look: no sums, no header.

    >>> fits(b"abc", struct.pack(">4siI", b"crc", 512, zlib.crc32(b"abc")))
    True
    >>> fits(b"abd", struct.pack(">4siI", b"crc", 512, zlib.crc32(b"abc")))
    False
    """
    if checksums is None or len(checksums) < _HEADER or not checksums.startswith(_MAGIC):
        return True
    (piece,) = struct.unpack(">i", checksums[4:_HEADER])
    if piece <= 0:
        return False
    view = memoryview(data)
    sums = [zlib.crc32(view[start : start + piece]) for start in range(0, len(data), piece)]
    return checksums[_HEADER:] == struct.pack(f">{len(sums)}I", *sums)
