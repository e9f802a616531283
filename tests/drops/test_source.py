"""When the source takes what it finds; that it reads each drop once, whole jobs show."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streaming.checkpoint.offset import EMPTY_OFFSET, Offset
from streaming.drops import source
from streaming.drops.options import Limits, ReadOptions, SourceOptions
from streaming.drops.source import DropReader
from streaming.drops.wake import Wake

if TYPE_CHECKING:
    from pathlib import Path

LINE = b"2024-01-02,A,1,1\n"


@pytest.mark.parametrize("large", [True, False])
def test_a_large_load_waits_for_its_other_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, large: bool) -> None:  # noqa: FBT001
    """They make one batch, not several; a small drop waits for nobody."""
    read = ReadOptions(1, text_ids=False, unpacked_limit=1 << 20)
    options = SourceOptions(
        str(tmp_path), 0.0, Limits(1 << 30, 1 << 30), read, [0], 1, isolate=False, every=0.0, resume=EMPTY_OFFSET
    )
    reader = DropReader(options)
    content = LINE * (source.SMALL_BYTES // len(LINE) + large)
    waits: list[float] = []

    def until_quiet(_wake: Wake, quiet: float, _most: float) -> bool:
        waits.append(quiet)
        (tmp_path / "b.csv").write_bytes(content)
        return True

    monkeypatch.setattr(Wake, "until_quiet", until_quiet)
    (tmp_path / "a.csv").write_bytes(content)
    offset = Offset.from_json(reader.latestOffset())
    reader.stop()
    assert [span.version.key for span in offset.drops] == (["a.csv", "b.csv"] if large else ["a.csv"])
    assert len(waits) == large
