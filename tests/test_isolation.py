"""A drop that ends its parser's process fails alone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from streaming.admission import EMPTY_OFFSET, Limits, admit, spans
from streaming.folder import Folder
from streaming.isolation import parse_isolated
from streaming.packets import Ticks
from streaming.reading import FACTS, TICKS, ReadOptions, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

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


def test_isolation_changes_nothing_for_good_drops(tmp_path: Path) -> None:
    """The same rows in the same order as without."""
    (tmp_path / "a.csv").write_text("date,id,price,volume\n2024-01-01,A,1,2\n2024-01-01,B,x,2\n")
    place = Folder(str(tmp_path))
    todo = spans(admit(EMPTY_OFFSET, place, LIMITS), LIMITS)
    assert list(parse_isolated(todo, str(tmp_path), OPTIONS)) == list(rows_of(todo[0], place, OPTIONS))
