"""What a folder and a bucket have in common as places."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from streaming.storage.locations import open_place
from streaming.storage.place import is_drop_key

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_s3 import S3Server


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


NAMES = {
    "_GSPC.csv": True,
    "exchange=NASDAQ/date=2024-03-04/part-00000 a+b%20c.csv": True,
    "AAPL (1).csv": True,
    "_temporary/0/part-00000.csv": False,
    ".staging/part-00000.csv": False,
    "exchange=NASDAQ/_SUCCESS": False,
    "half.csv.6eF5b5dA": False,
    "half.csv.crdownload": False,
}
"""Names that were found in inputs, and whether a producer means them to be read."""


@pytest.mark.parametrize("kind", ["folder", "bucket"])
def test_names_are_drops_or_passed_over_in_folders_and_on_s3_alike(kind: str, tmp_path: Path, s3: S3Server) -> None:
    """What is no drop is neither listed nor lost from sight."""
    place = open_place(str(tmp_path / "in") if kind == "folder" else f"s3://{s3.bucket()}/in")
    place.check(of_drops=True)
    for key in NAMES:
        folder = (tmp_path / "in" / key).parent
        folder.mkdir(parents=True, exist_ok=True)
        place.put(key, b"x")
    assert sorted(version.key for version in place.versions()) == sorted(
        key for key, is_drop in NAMES.items() if is_drop
    )
    assert place.passed_over() == sorted(key for key, is_drop in NAMES.items() if not is_drop)
