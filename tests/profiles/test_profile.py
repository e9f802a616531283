"""The digest of a profile stands for how it reads, and for nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from streaming.profiles.profile import Profile


def made(**fields: Any) -> Profile:
    return Profile.model_validate({"name": "a", "files": "*"} | fields)


def test_what_reads_alike_has_one_digest() -> None:
    """Name, files and defaults are no part of how a file is read."""
    plain = made(price="P")
    assert made(price="P", csv={"decimal": "."}, rows=None).digest == plain.digest
    assert made(name="b", files="x/*", price="P").digest == plain.digest
    assert len(plain.digest) == 16


@pytest.mark.parametrize(
    "fields",
    [
        {"price": "Q"},
        {"price": "P", "csv": {"decimal": ","}},
        {"price": "P", "rows": "last"},
        {"price": "P", "scale": {"price": 0.01}},
        {"price": "P", "volume": False},
    ],
)
def test_what_reads_otherwise_has_another_digest(fields: dict[str, Any]) -> None:
    """A replay would find another profile by the digest of its own."""
    assert made(**fields).digest != made(price="P").digest


@pytest.mark.parametrize(
    ("fields", "whole"),
    [({}, False), ({"rows": "first"}, True), ({"rows": "last"}, False), ({"csv": {"encoding": "utf-16"}}, True)],
)
def test_a_large_file_is_read_in_parts_unless_that_would_change_what_it_says(
    fields: dict[str, Any],
    whole: bool,  # noqa: FBT001 - what is expected
) -> None:
    """The first row of a cell may lie in another part, and the bytes of UTF-16 cannot be cut at its line ends."""
    assert made(**fields).splittable is not whole
