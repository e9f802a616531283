"""The rows that the bench reads in four formats, and what it counts on the local S3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bench import formats
from bench.counted_s3 import Counted
from streaming.ticks.how import How
from streaming.ticks.parse import parse

if TYPE_CHECKING:
    from pathlib import Path


def test_each_format_is_measured_as_often_as_asked_and_all_rows_are_read(tmp_path: Path) -> None:
    """A row that a format loses would make it quicker."""
    formats.write(tmp_path, 1, 2)
    found = formats.measured(tmp_path, 3)
    assert {name: len(seconds) for name, seconds in found.items()} == dict.fromkeys(formats.FORMATS, 3)


def test_the_formats_hold_the_same_rows(tmp_path: Path) -> None:
    """Numbers with thousands separators are ten times as large, so that their prices have some."""
    formats.write(tmp_path, 1, 2)
    ticks = {
        name: parse(
            (tmp_path / file).read_bytes(), file, How(text_ids=False, unpacked_limit=1 << 30, profile=profile)
        ).ticks
        for name, (file, profile) in formats.FORMATS.items()
    }
    first = ticks.pop("csv")
    for name, others in ticks.items():
        times = 10.0 if name == "thousands" else 1.0
        assert others.ids == first.ids
        for column in ("code", "date", "volume"):
            np.testing.assert_array_equal(getattr(others, column), getattr(first, column))
        np.testing.assert_allclose(others.price, first.price * times, rtol=1e-15)


def test_only_requests_for_a_list_are_counted() -> None:
    """Neither an object, nor what a bucket is asked about itself, is a list."""

    def application(_environ: dict[str, Any], start_response: Any) -> list[bytes]:
        start_response("200 OK", [])
        return [b"answer"]

    counted = Counted(application)

    def ask(method: str, uri: str) -> bytes:
        environ = {"REQUEST_METHOD": method, "REQUEST_URI": uri, "QUERY_STRING": uri.partition("?")[2]}
        return b"".join(counted(environ, lambda *_: None))

    lists = ["/b?list-type=2&prefix=input/", "/b?versions", "/b", "/b/?prefix=a/b"]
    for uri in [*lists, "/b?versioning", "/b/key?list-type=2", "/?x", "/_faults"]:
        assert ask("GET", uri) == b"answer"
    ask("PUT", "/b?list-type=2")
    assert ask("GET", "/_lists") == str(len(lists)).encode()
