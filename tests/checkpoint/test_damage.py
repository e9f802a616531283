"""Spark's words on damaged files become a plain message that names the file and the way out."""

from __future__ import annotations

import pytest

from streaming.checkpoint.damage import told_by_spark

AWAITED = "An error occurred while calling o146.getResult.\n: org.apache.spark.SparkException: Exception thrown\n"
LOADING = "[CANNOT_LOAD_STATE_STORE.UNCATEGORIZED] during loading state.\nCaused by: "
UNPACKED = "/tmp/spark-1/StateStoreId(opId=0,partId=0,name=default)-2/workingDir-3"  # noqa: S108 (a text of Spark's)
CHANGES = "state/0/1/12_ac3aaa11-cb29-42e8-a53f-36b02f730c8c.changelog"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            f"Caused by: java.io.FileNotFoundException: File `/a b/ü/checkpoint/{CHANGES}` does not exist.",
            f"/a b/ü/checkpoint/{CHANGES} is missing",
        ),
        (
            f"X Error reading streaming state file of file:/h/checkpoint/{CHANGES} does not exist.",
            f"/h/checkpoint/{CHANGES} is missing",
        ),
        (
            f"Caused by: org.apache.hadoop.fs.ChecksumException: Checksum error: file:/h/checkpoint/{CHANGES} at 1536",
            f"/h/checkpoint/{CHANGES} does not fit its checksum",
        ),
        (
            "[CANNOT_LOAD_STATE_STORE.UNCATEGORIZED] during loading state.\nCaused by: java.io.EOFException",
            "a file in its folder `state` is cut off",
        ),
        (
            "[CANNOT_LOAD_STATE_STORE.UNCATEGORIZED] during loading state.\nCaused by: java.lang.NullPointerException",
            "a file in its folder `state` is missing or damaged",
        ),
        (
            f"java.io.FileNotFoundException: No such file or directory: s3a://bucket-1/a/checkpoint/{CHANGES}",
            f"s3a://bucket-1/a/checkpoint/{CHANGES} is missing",
        ),
        (
            f"{LOADING}java.io.IOException: Stream is corrupted\nCaused by: net.jpountz.lz4.LZ4Exception: offset 641",
            "a file in its folder `state` is damaged",
        ),
        (
            f"{LOADING}org.rocksdb.RocksDBException: block checksum mismatch: stored = 1 in {UNPACKED}/a",
            "a file in its folder `state` is damaged",
        ),
        (
            f"{LOADING}java.nio.file.NoSuchFileException: {UNPACKED}/metadata",
            "a file in its folder `state` is missing",
        ),
        (
            "java.io.FileNotFoundException: /h/checkpoint/offsets/13 (Permission denied)",
            "/h/checkpoint/offsets/13 may not be read",
        ),
    ],
)
def test_the_file_is_named_with_what_is_wrong_and_what_to_do(text: str, told: str) -> None:
    """Whatever Spark has wrapped around it."""
    error = told_by_spark(AWAITED + text)
    assert error is not None
    assert str(error).startswith(f"the checkpoint is damaged: {told}. ")
    assert "stocketl rebuild" in str(error)


@pytest.mark.parametrize(
    "text",
    [
        "java.net.ConnectException: Connection refused while reading s3a://b/checkpoint/offsets/3",
        "ValueError: the input file does not exist",
        "java.io.FileNotFoundException: /h/checkpoint/offsets/13 (Too many open files)",
        "java.io.FileNotFoundException: /h/checkpoint/commits/13 (No space left on device)",
        "[CANNOT_LOAD_STATE_STORE.X] Python worker exited unexpectedly (crashed)\nCaused by: java.io.EOFException",
        "",
    ],
)
def test_other_trouble_is_not_called_damage(text: str) -> None:
    """A storage that does not answer is waited for, and an error of a parser is its own."""
    assert told_by_spark(AWAITED + text) is None
