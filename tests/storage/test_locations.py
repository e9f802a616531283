"""Which locations name a place."""

from __future__ import annotations

import pytest

from streaming.errors import SettingsError
from streaming.storage.locations import open_place


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("s3://drops", "s3://drops"),
        ("s3a://drops/in/", "s3://drops/in"),
        ("s3://drops/in/a b%20?#", "s3://drops/in/a b%20?#"),
        ("/data/in/", "/data/in"),
        ("/data/../in put", "/in put"),
        ("file:///data/a%20b", "/data/a b"),
        ("file:/data", "/data"),
    ],
)
def test_a_location_names_a_place(url: str, place: str) -> None:
    """s3://, s3a://, file: and plain paths are places; opening one touches nothing."""
    assert open_place(url).url == place


@pytest.mark.parametrize(
    "url", ["", " ", "gs://bucket/in", "s3://", "s3:///in", "s3://a b/in", "file://host/in", "a\0"]
)
def test_another_location_is_refused(url: str) -> None:
    """Anything else is a settings error that shows what was given."""
    with pytest.raises(SettingsError) as refused:
        open_place(url)
    assert repr(url) in str(refused.value)
