"""The whole job on a bucket, over the real S3 protocol."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import lake_reader
import pytest
from job_process import kill_at, run_once
from outcome import rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.spark

HEADER = "date,id,price,trade_volume\n"
PLACES = ("input", "success", "failed", "receipts", "checkpoint", "lake")
STRANGE_KEYS = [
    "with blanks .csv",
    "a+b.csv",
    "100%25 %.csv",
    'it\'s "quoted".csv',
    "Kurse für 株式.csv",
    "a&b=c;d?e#f.csv",
    "deep/er/file.csv",
    "long-" + "x" * (1_000 - len("input/long-.csv")) + ".csv",
]


def _content(ticker: str, price: int, day: str = "2024-01-02") -> bytes:
    return f"{HEADER}{day},{ticker},{price},{price}\n".encode()


def test_everything_on_s3_survives_a_kill_an_overwrite_and_a_delete(tmp_path: Path, database: str, s3: Any) -> None:
    """The replay reads the versions that were admitted; a later start goes on from the checkpoint in the bucket."""
    bucket, client = s3.bucket(versioned=True), s3.client
    options = [part for place in PLACES for part in (f"--{place}", f"s3://{bucket}/{place}")] + ["--move"]
    contents = {key: _content(f"T{number}", 10 + number) for number, key in enumerate(STRANGE_KEYS)}
    contents |= {"overwritten.csv": _content("O", 1), "deleted.csv": _content("D", 2), "bad.csv": b"no header\n"}
    for key, content in contents.items():
        client.put_object(Bucket=bucket, Key=f"input/{key}", Body=content)
    kill_at("reading", tmp_path / "marker", tmp_path / "home", database, *options, env=s3.env)
    newer = _content("O", 4)
    client.put_object(Bucket=bucket, Key="input/overwritten.csv", Body=newer)
    client.delete_object(Bucket=bucket, Key="input/deleted.csv")
    late = _content("O", 2, "2024-01-01")
    client.put_object(Bucket=bucket, Key="input/late.csv", Body=late)
    run_once(tmp_path / "home", database, *options, env=s3.env)

    everything = [*contents.values(), newer, late]
    assert_same(stored(database), expected(everything))
    ledger = rows(database, "SELECT seq, key, status FROM stocketl.drops ORDER BY seq")
    failed = {"bad.csv"}
    assert sorted((row["key"], row["status"]) for row in ledger) == sorted(
        (key, "failed" if key in failed else "loaded") for key in [*contents, "overwritten.csv", "late.csv"]
    )
    assert _objects(client, bucket, "input/") == {}
    moved = _objects(client, bucket, "success/") | _objects(client, bucket, "failed/")
    assert sorted(moved.values()) == sorted(everything)
    assert {f"success/{key}" for key in contents if key not in failed} | {"failed/bad.csv"} < set(moved)
    receipts = [json.loads(body) for body in _objects(client, bucket, "receipts/").values()]
    assert sorted((receipt["seq"], receipt["key"]) for receipt in receipts) == [
        (row["seq"], row["key"]) for row in ledger
    ]
    ticks = lake_reader.bucket_rows(client, bucket, "lake/ticks")
    assert sum(ticks.values()) == len(everything) - len(failed)
    assert _objects(client, bucket, "checkpoint/offsets/")


def _keys(client: S3Client, bucket: str, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]


def _objects(client: S3Client, bucket: str, prefix: str) -> dict[str, bytes]:
    """Key and bytes of what lies there now."""
    return {key: client.get_object(Bucket=bucket, Key=key)["Body"].read() for key in _keys(client, bucket, prefix)}
