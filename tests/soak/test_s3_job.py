"""The whole job on a bucket with many objects, and with one that may not be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from job_process import kill_at, run_once
from outcome import rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3 import S3Client

pytestmark = pytest.mark.soak

HEADER = "date,id,price,trade_volume\n"
PLACES = ("input", "success", "failed", "receipts")


def _content(ticker: str, price: int, day: str = "2024-01-02") -> bytes:
    return f"{HEADER}{day},{ticker},{price},{price}\n".encode()


def test_more_than_a_thousand_objects_are_each_loaded_once(tmp_path: Path, database: str, s3: Any) -> None:
    """A listing has several pages; without `--move` the objects stay where they are, and the next start leaves them."""
    bucket, client = s3.bucket(versioned=True), s3.client
    drops = [_content(f"T{number % 7}", 1 + number, f"{1900 + number % 199}-01-02") for number in range(1_003)]
    for number, content in enumerate(drops):
        client.put_object(Bucket=bucket, Key=f"input/{number:04}.csv", Body=content)
    options = [part for place in PLACES for part in (f"--{place}", f"s3://{bucket}/{place}")] + ["--lake", "none"]
    for _ in range(2):
        run_once(tmp_path / "home", database, *options, env=s3.env)
        by_seq = rows(database, "SELECT key, status, rows_loaded FROM stocketl.drops ORDER BY seq")
        assert sorted(row["key"] for row in by_seq) == [f"{number:04}.csv" for number in range(1_003)]
        assert {(row["status"], row["rows_loaded"]) for row in by_seq} == {("loaded", 1)}
        assert_same(stored(database), expected(drops[int(row["key"][:4])] for row in by_seq))
        assert len(_keys(client, bucket, "receipts/")) == 1_003
    assert len(_keys(client, bucket, "input/")) == 1_003


def test_an_object_that_may_not_be_read_fails_alone_for_good_and_its_move_holds_up_no_other(
    tmp_path: Path, database: str, s3: Any
) -> None:
    """The right comes between publication and Spark's commit: the replay gives the fate that the ledger has."""
    bucket, client = s3.bucket(versioned=True), s3.client
    options = [part for place in PLACES for part in (f"--{place}", f"s3://{bucket}/{place}")]
    options += ["--lake", "none", "--move"]
    client.put_object(Bucket=bucket, Key="input/ours.csv", Body=_content("O", 1))
    client.put_object(Bucket=bucket, Key="input/theirs.csv", Body=_content("T", 2))
    s3.faults(refuse={"GET .*theirs": "AccessDenied", "PUT .* .*theirs": "AccessDenied"})
    try:
        kill_at("published", tmp_path / "marker", tmp_path / "home", database, *options, env=s3.env)
        s3.faults(refuse={"PUT .* .*theirs": "AccessDenied"})
        client.put_object(Bucket=bucket, Key="input/later.csv", Body=_content("L", 3))
        told = run_once(tmp_path / "home", database, *options, env=s3.env)
    finally:
        s3.faults(refuse={})
    assert "waiting for the move of files, nothing is lost: drop " in told
    assert _keys(client, bucket, "input/") == ["input/theirs.csv"]
    run_once(tmp_path / "home", database, *options, env=s3.env)
    assert_same(stored(database), expected([_content("O", 1), _content("L", 3)]))
    ledger = rows(database, "SELECT key, status, split_part(reason, ':', 1) AS word FROM stocketl.drops ORDER BY key")
    assert [tuple(row.values()) for row in ledger] == [
        ("later.csv", "loaded", None),
        ("ours.csv", "loaded", None),
        ("theirs.csv", "failed", "unreadable"),
    ]
    assert _keys(client, bucket, "input/") == []
    assert _keys(client, bucket, "failed/") == ["failed/theirs.csv"]


def _keys(client: S3Client, bucket: str, prefix: str) -> list[str]:
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return [entry["Key"] for page in pages for entry in page.get("Contents", [])]
