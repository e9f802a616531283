"""What one process of a job leaves for the next, in a folder and on S3."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest

from streaming import memory
from streaming.checkpoint.handover import Handover
from streaming.checkpoint.offset import Span
from streaming.drops.options import ReadOptions
from streaming.drops.reading import rows_of
from streaming.errors import StorageError
from streaming.packets import IN_FILES, REPLACED, TICKS, Ticks, ipc_table
from streaming.storage.locations import open_place

if TYPE_CHECKING:
    from pathlib import Path

    from fixture_s3 import S3Server


@pytest.fixture(params=["folder", "s3"])
def checkpoint(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "checkpoint")
    s3: S3Server = request.getfixturevalue("s3")
    return f"s3://{s3.bucket(versioned=False)}/checkpoint"


def ticks(rows: int) -> Ticks:
    code = np.arange(rows, dtype=np.int32) % 2
    return Ticks(["A", "B"], code, np.arange(rows, dtype=np.int32), np.arange(rows) / 3, np.arange(rows))


def test_what_was_written_last_is_read_until_it_is_removed(checkpoint: str) -> None:
    """A replay writes it again; what was read stays readable, whatever becomes of the file."""
    first, second = Handover(checkpoint), Handover(checkpoint)
    key = first.write("7-0", ticks(5).to_batch())
    read = Ticks.from_buffer(second.read(key))
    assert first.write("7-0", ticks(3).to_batch()) == key
    assert ipc_table(second.read(key)).num_rows == 3
    other = first.write("7-1", ticks(0).to_batch())
    assert len(Ticks.from_buffer(second.read(other))) == 0
    second.remove([key, "7-9.arrow"])
    with pytest.raises(StorageError, match=r"7-0\.arrow is gone"):
        second.read(key)
    second.clear()
    with pytest.raises(StorageError, match=r"7-1\.arrow is gone"):
        second.read(other)
    assert (read.ids, read.price.tolist()) == (["A", "B"], ticks(5).price.tolist())


def test_large_packets_wait_in_a_folder_and_small_ones_go_with_the_stream(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same rows either way; each packet has a file of its own, whose name a replay gives again."""
    content = "date,id,price,trade_volume\n" + "".join(
        f"2024-01-{day:02d},{name},{day},1\n" for day in (*range(1, 9), *range(1, 9)) for name in "ABC"
    )
    (tmp_path / "input").mkdir()
    (tmp_path / "input" / "a.csv").write_text(content)
    place = open_place(str(tmp_path / "input"))
    [version] = place.versions()
    claimed = place.claim(version, 4)
    assert claimed is not None
    span = Span(4, claimed, 0, claimed.size, whole=True, reading="1")
    inline, files = ReadOptions(2, text_ids=False, unpacked_limit=1 << 20), str(tmp_path / "checkpoint")
    wanted = {(row.bucket, row.kind): row.payload for row in rows_of(span, place, inline)}
    monkeypatch.setattr(memory, "LARGE", 10)
    kind_of = {name: kind for kind, name in IN_FILES.items()}
    names = []
    for row in rows_of(span, place, replace(inline, handover=files)):
        payload = wanted.pop((row.bucket, kind_of.get(row.kind, row.kind)))
        if row.kind in kind_of:
            names.append(row.payload.decode())
            assert ipc_table(Handover(files).read(names[-1])) == ipc_table(payload)
        else:
            assert row.payload == payload
            assert row.kind not in {TICKS, REPLACED} or ipc_table(payload).num_rows <= 10
    assert not wanted
    assert len(names) == len(set(names)) == 2
    assert all(name.startswith("4-0-") for name in names)
