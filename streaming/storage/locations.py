"""Locations as a user writes them: whether they are on S3, and the places behind them."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from streaming.errors import SettingsError

if TYPE_CHECKING:
    from streaming.storage.place import Place

BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


def open_place(url: str, *, settle: float = 0.0) -> Place:
    """The place that a location names: `s3://bucket/prefix` (or `s3a://`), a folder or a `file://` URI.

    settle: seconds for which a file in a folder must have been left alone to be a drop. Touches nothing yet.
    Raises `SettingsError` for any other location.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme.lower() in {"s3", "s3a"}:
        bucket, _, prefix = rest.partition("/")
        if not BUCKET.fullmatch(bucket):
            msg = f"{url!r}: expected s3://bucket/prefix, got the bucket name {bucket!r}; correct the location"
            raise SettingsError(msg)
        from streaming.storage.bucket import Bucket  # noqa: PLC0415 - boto3 takes 0.3 s to load and is needed only for S3

        return Bucket(bucket, prefix)
    from streaming.storage.folder import Folder  # noqa: PLC0415 - `folder` builds on this module

    return Folder(_folder_path(url), settle)


def _folder_path(url: str) -> str:
    path = url
    if url.lower().startswith("file:"):
        parts = urlsplit(url)
        path = unquote(parts.path) if parts.netloc in {"", "localhost"} else ""
    elif "://" in url:
        path = ""
    if not path.strip() or "\0" in path:
        msg = f"{url!r} is no location: give a folder, file:///folder or s3://bucket/prefix"
        raise SettingsError(msg)
    return os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - a str on purpose: see `folder`


def location(value: object) -> str:
    """An absolute folder (symbolic links followed) or `s3://bucket/prefix`, no slash at its end; raises ValueError."""
    text = str(value).strip()
    scheme, colon, rest = text.partition("://")
    if not colon:
        if not text:
            msg = "expected a folder or s3://bucket/prefix"
            raise ValueError(msg)
        return str(Path(text).expanduser().resolve())
    if scheme != "s3":
        msg = f"expected a folder or s3://bucket/prefix; the scheme {scheme!r} is not known"
        raise ValueError(msg)
    bucket, _, prefix = rest.partition("/")
    if not BUCKET.fullmatch(bucket):
        msg = "expected s3://bucket/prefix; what follows s3:// is not a bucket name"
        raise ValueError(msg)
    return f"s3://{bucket}/{prefix}".rstrip("/")


def is_s3(place: str | Path) -> bool:
    """Whether a location is on S3 (else it is a folder)."""
    return str(place).startswith("s3://")


def hadoop_url(location: str) -> str:
    """A location as Hadoop names it: `s3a://…` for S3, for a folder its path behind `file://`, nothing encoded."""
    return "s3a://" + location.split("://", 1)[1] if is_s3(location) else f"file://{Path(location).absolute()}"
