"""Packed drops, told by their first bytes, → their text in pieces: bounded, and never by half.

gzip has a file of its own (`gunzip`). Of bzip2, xz and zstd several streams one after another are one file, as their
own programs read them; a zip archive holds one file.
"""

from __future__ import annotations

import bz2
import codecs
import io
import lzma
import zipfile
import zlib
from typing import TYPE_CHECKING

import pyarrow as pa

from streaming.profiles.profile import WIDE_ENCODINGS
from streaming.ticks.gunzip import GZIP, joined, unpack
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streaming.profiles.profile import Profile

BZIP2, XZ, ZSTD, ZIP = b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"PK\x03\x04"
_EMPTY_ZIP = b"PK\x05\x06"
_FED = 1 << 16
_PIECE = 1 << 20
_XZ_MEMORY = 256 << 20


def is_packed(data: bytes) -> bool:
    """Whether a drop that begins so is packed."""
    return data.startswith((GZIP, BZIP2, XZ, ZSTD, ZIP, _EMPTY_ZIP))


def unpacked(data: bytes, *, limit: int, chunk: int) -> Iterator[bytes]:
    """The unpacked bytes in pieces of `chunk` bytes, the last one shorter.

    Raises UnreadableError if `data` is truncated, corrupt, encrypted, holds several files or unpacks to more than
    `limit` bytes: possibly after pieces were given, so nothing may be believed before the end.
    """
    if data.startswith(GZIP):
        return unpack(data, limit=limit, chunk=chunk)
    if data.startswith(BZIP2):
        return joined(_streams(data, "bzip2", bz2.BZ2Decompressor), "bzip2", limit, chunk)
    if data.startswith(XZ):
        return joined(_streams(data, "xz", lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY)), "xz", limit, chunk)
    if data.startswith(ZSTD):
        return joined(_zstd(data), "zstd", limit, chunk)
    return joined(_zip(data, limit), "zip", limit, chunk)


def as_utf8(chunks: Iterable[bytes], profile: Profile | None) -> Iterator[bytes]:
    """The text of a profile's UTF-16 or UTF-32 as UTF-8; any other text as it is."""
    if profile is None or profile.csv.encoding not in WIDE_ENCODINGS:
        yield from chunks
        return
    name = profile.csv.encoding
    decoder = codecs.getincrementaldecoder(name)()
    try:
        for piece in chunks:
            yield decoder.decode(piece).encode()
        yield decoder.decode(b"", final=True).encode()
    except UnicodeError as error:
        msg = f"the file is not {name}, as its profile says: {error}"
        raise UnreadableError(msg) from None


def _streams(
    data: bytes, name: str, decompressor: Callable[[], bz2.BZ2Decompressor | lzma.LZMADecompressor]
) -> Iterator[bytes]:
    at, magic = 0, data[:3]
    while data.startswith(magic, at):
        stream, fed = decompressor(), b""
        while not stream.eof:
            if stream.needs_input:
                fed, at = data[at : at + _FED], at + len(data[at : at + _FED])
                if not fed:
                    msg = f"the {name} is truncated: it ends after {len(data):,} bytes in the middle of its data"
                    raise UnreadableError(msg)
            try:
                yield stream.decompress(fed if stream.needs_input else b"", _PIECE)
            except (OSError, ValueError, lzma.LZMAError, EOFError) as error:
                msg = f"the {name} is corrupt: {error}"
                raise UnreadableError(msg) from None
        at -= len(stream.unused_data)
    if data[at:].strip(b"\x00"):
        msg = f"the {name} is followed by something that is no {name}, from byte {at:,} of {len(data):,}"
        raise UnreadableError(msg)


def _zstd(data: bytes) -> Iterator[bytes]:
    try:
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            while piece := stream.read(_PIECE):
                yield piece
    except (OSError, pa.ArrowException) as error:
        kind = "truncated" if "runcated" in str(error) or "end of" in str(error).lower() else "corrupt"
        msg = f"the zstd is {kind}: {error}"
        raise UnreadableError(msg) from None


def _zip(data: bytes, limit: int) -> Iterator[bytes]:
    """The one file of an archive; folders and the notes of a Mac are none."""
    try:
        archive = zipfile.ZipFile(io.BytesIO(data))
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError, IndexError) as error:
        msg = f"the zip is truncated or corrupt: {error}"
        raise UnreadableError(msg) from None
    with archive:
        member = _only_member(archive)
        if member.flag_bits & 0x1:
            msg = f"the zip is encrypted: {member.filename[-100:]!r} needs a password; drop it unpacked"
            raise UnreadableError(msg)
        if member.file_size > limit:
            msg = f"the zip unpacks to more than {limit:,} bytes, the limit for a packed drop; drop it uncompressed"
            raise UnreadableError(msg)
        try:
            with archive.open(member) as file:
                while piece := file.read(_PIECE):
                    yield piece
        except (
            zipfile.BadZipFile,
            EOFError,
            zlib.error,
            OSError,
            NotImplementedError,
            RuntimeError,
            ValueError,
        ) as error:
            msg = f"the zip is truncated or corrupt: {error}"
            raise UnreadableError(msg) from None


def _only_member(archive: zipfile.ZipFile) -> zipfile.ZipInfo:
    files = [info for info in archive.infolist() if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
    if any(info.filename == "[Content_Types].xml" for info in files):
        msg = "not a CSV file: expected text, plain or packed, got a spreadsheet; save it as CSV"
        raise UnreadableError(msg)
    if len(files) != 1:
        names = ", ".join(repr(info.filename[-60:]) for info in files[:3])
        msg = f"the zip holds {len(files)} files, expected one{f': {names}' if files else ''}; drop each by itself"
        raise UnreadableError(msg)
    return files[0]
