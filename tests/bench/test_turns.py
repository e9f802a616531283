"""Drips in turns, on the loop of polars + COPY, which needs no Spark; and how files come into a folder."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import psutil

from bench import compare, data, ours
from bench.drip import Drop, Pause, moved_into, renamed_into, written_into
from bench.place import Room
from bench.turns import Lane, in_turns

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from databases import Databases


@dataclass
class Watched(ours.Follower):
    """Notes with each drop whether the other target stands still."""

    other: ours.Follower | None = None
    still: list[bool] = field(default_factory=list)

    def prepare(self, path: Path) -> Callable[[], object]:
        assert self.other is not None
        self.still.append(psutil.Process(self.other.leader).status() == psutil.STATUS_STOPPED)
        return super().prepare(path)


def test_each_lane_gets_its_turns_while_the_others_stand_still(tmp_path: Path, databases: Databases) -> None:
    """The first drop of a turn is not measured; in the end all go on."""
    numbers = iter(range(2))
    room = Room(tmp_path, lambda: databases.create(f"bench_turns_{next(numbers)}"))
    files = [data.one_day(tmp_path / f"{number}.csv", 1, 3, number) for number in range(6)]
    drops = [Drop(path, "SELECT 1 FROM returns WHERE date = %s", (data.day(n),)) for n, path in enumerate(files)]
    with ours.peer(room, "a") as first, ours.peer(room, "b") as second:
        a, b = (Watched(each.process, each.folder, each.uri) for each in (first, second))
        a.other, b.other = b, a
        lanes = [Lane(name, target, iter(drops), Pause(0.0, 0.0)) for name, target in (("a", a), ("b", b))]
        found = in_turns(lanes, rounds=2, drops=2)
        assert a.still == b.still == [True] * 6
        assert all(psutil.Process(each.leader).status() != psutil.STATUS_STOPPED for each in (a, b))
        assert compare.same(a.uri, b.uri) == 6 * 3 * 3
    assert [found[name].names for name in "ab"] == [["1.csv", "2.csv", "4.csv", "5.csv"]] * 2
    assert [len(found[name].seconds) for name in "ab"] == [4, 4]
    assert all(found[name].cpu > 0 for name in "ab")


def test_writers_show_a_file_as_they_do_in_the_world(tmp_path: Path) -> None:
    """One that renames shows it whole, one that writes in place shows its first half before; both write it now."""
    source, begun = tmp_path / "source.csv", time.time()
    source.write_text("12345678")
    os.utime(source, (1, 1))
    for writer, before in ((moved_into, None), (written_into, "1234"), (renamed_into, None)):
        folder = tmp_path / writer.__name__
        folder.mkdir()
        shown = folder / source.name
        last_step = writer(folder, source, 1)
        assert (shown.read_text() if shown.exists() else None) == before
        last_step()
        assert shown.read_text() == "12345678"
        assert (shown.stat().st_mtime > begun - 1) == (writer is not renamed_into)
