"""What a folder and a bucket have in common as places."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from streaming.storage.locations import open_place
from streaming.storage.place import is_drop_key

if TYPE_CHECKING:
    from pathlib import Path


def test_places_travel_between_processes(tmp_path: Path) -> None:
    """A place is pickled by what it names; its client and memory stay behind."""
    places = [open_place(str(tmp_path), settle=3), open_place("s3://bucket/in")]
    assert [pickle.loads(pickle.dumps(place)).__reduce__()[1] for place in places] == [  # noqa: S301 - our own
        (str(tmp_path), 3),
        ("bucket", "in/"),
    ]


@pytest.mark.parametrize(
    ("key", "size", "is_drop"),
    [
        ("a.csv", 0, True),
        ("_old/e.csv", 1, True),
        ("_GSPC.csv", 1, True),
        ("exchange=NASDAQ/date=2024-03-04/part-00000 a+b%20c.csv", 1, True),
        ("AAPL (1).csv", 1, True),
        ("day.csv.20240304", 1, True),
        ("f/", 9, True),
        ("f/", 0, False),
        ("", 9, False),
        ("sub/.a", 9, False),
        (".staging/part-00000.csv", 9, False),
        ("out/_temporary/0/part-00000.csv", 9, False),
        ("_SUCCESS", 9, False),
        ("lake/_delta_log/0.json", 9, False),
        ("_spark_metadata/0", 9, False),
        ("_committed_123", 9, False),
        ("_started_123", 9, False),
        ("b.tmp", 9, False),
        ("b.csv.part", 9, False),
        ("b.csv.partial", 9, False),
        ("b.csv.crdownload", 9, False),
        ("b.csv.filepart", 9, False),
        ("b.csv.download", 9, False),
        ("b.csv_.gstmp", 9, False),
        ("b.csv.swp", 9, False),
        ("b.csv~", 9, False),
        ("b.csv._COPYING_", 9, False),
        ("b.csv.6eF5b5dA", 9, False),
        ("b.csv.gz.6eF5b5dA", 9, False),
        ("a\0.csv", 9, False),
    ],
)
def test_one_rule_says_which_keys_of_a_bucket_are_drops(key: str, size: int, is_drop: bool) -> None:  # noqa: FBT001
    """For the job that reads them and for the monitor that counts them."""
    assert is_drop_key(key, size) is is_drop
