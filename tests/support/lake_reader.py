"""A Delta table without Spark: its log replayed, its active Parquet files read with pyarrow."""

from __future__ import annotations

import io
import json
import urllib.parse
from collections import Counter
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterable

    from mypy_boto3_s3 import S3Client

Row = tuple[Any, ...]


def folder_rows(table: pathlib.Path) -> Counter[Row]:
    """The rows of a table in a folder, as a multiset."""
    log = sorted((table / "_delta_log").glob("*.json"))
    return _rows((path.read_text() for path in log), lambda name: (table / name).read_bytes())


def bucket_rows(client: S3Client, bucket: str, prefix: str) -> Counter[Row]:
    """The rows of a table below a prefix (no slash at its end), as a multiset."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{prefix}/_delta_log/")
    keys = sorted(entry["Key"] for page in pages for entry in page.get("Contents", []))

    def read(key: str) -> bytes:
        return client.get_object(Bucket=bucket, Key=key)["Body"].read()

    log = (read(key).decode() for key in keys if key.endswith(".json"))
    return _rows(log, lambda name: read(f"{prefix}/{name}"))


def active_files(commits: Iterable[str]) -> list[str]:
    """Paths of the data files that stand after all commits, in the order in which they were added.

    commits: the text of each JSON file of the log, oldest first.
    """
    active: dict[str, None] = {}
    for commit in commits:
        for action in map(json.loads, commit.splitlines()):
            if "add" in action:
                added = action["add"]
                assert not added["partitionValues"], f"this reader knows no partitions: {added}"
                assert not added.get("deletionVector"), f"this reader knows no deletion vectors: {added}"
                active[urllib.parse.unquote(added["path"])] = None
            elif "remove" in action:
                active.pop(urllib.parse.unquote(action["remove"]["path"]))
    return list(active)


def _rows(commits: Iterable[str], read: Callable[[str], bytes]) -> Counter[Row]:
    tables = [pyarrow.parquet.read_table(io.BytesIO(read(name))) for name in active_files(commits)]
    return Counter(row for table in tables for row in _tuples(table))


def _tuples(table: pa.Table) -> Iterable[Row]:
    return zip(*(column.to_pylist() for column in table.columns), strict=True)
