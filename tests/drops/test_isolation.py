"""A drop that ends its parser's process fails alone."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from streaming.checkpoint.offset import EMPTY_OFFSET, Span
from streaming.drops.admission import admit, spans
from streaming.drops.isolation import parse_isolated
from streaming.drops.options import Limits, ReadOptions
from streaming.drops.reading import rows_of
from streaming.errors import SettingsError
from streaming.packets import FACTS, TICKS, Ticks
from streaming.storage.folder import Folder
from streaming.storage.place import Version

if TYPE_CHECKING:
    from pathlib import Path

OPTIONS = ReadOptions(buckets=2, text_ids=False, unpacked_limit=1 << 20)
LIMITS = Limits(batch_bytes=1 << 20, split_bytes=1 << 20)


def test_the_drop_that_kills_its_parser_fails_and_the_others_load(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Halving finds the poison among four drops; the other three give what they give in-process."""
    for number in range(4):
        (tmp_path / f"{number}.csv").write_text(f"date,id,price,volume\n2024-01-0{number + 1},A,{number + 1}.5,7\n")
    todo = spans(admit(EMPTY_OFFSET, Folder(str(tmp_path)), LIMITS), LIMITS)
    monkeypatch.setenv("STOCKETL_FAULT", "die:2.csv")
    rows = list(parse_isolated(todo, str(tmp_path), OPTIONS))
    failures = {facts["key"]: facts["failure"] for facts in (json.loads(row[-1]) for row in rows if row[3] == FACTS)}
    assert failures == {
        "0.csv": None,
        "1.csv": None,
        "2.csv": "poison: its parser ended with signal 9",
        "3.csv": None,
    }
    assert [Ticks.from_buffer(row[-1]).price.tolist() for row in rows if row[3] == TICKS] == [[1.5], [2.5], [4.5]]


def test_what_a_person_must_mend_is_no_poison(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without credentials no drop can be read: the job ends, and none of them fails."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    span = Span(1, Version("a.csv", "e", "v1", 40, datetime.now(UTC)), 0, 40, whole=True)
    with pytest.raises(SettingsError, match="set AWS_ACCESS_KEY_ID"):
        list(parse_isolated([span], "s3://bucket/in", OPTIONS))


def test_isolation_changes_nothing_for_good_drops(tmp_path: Path) -> None:
    """The same rows in the same order as without."""
    (tmp_path / "a.csv").write_text("date,id,price,volume\n2024-01-01,A,1,2\n2024-01-01,B,x,2\n")
    place = Folder(str(tmp_path))
    todo = spans(admit(EMPTY_OFFSET, place, LIMITS), LIMITS)
    assert list(parse_isolated(todo, str(tmp_path), OPTIONS)) == list(rows_of(todo[0], place, OPTIONS))
