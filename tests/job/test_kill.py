"""kill -9 of the whole process tree in the first batch, twice; each named point is killed at in tests/soak."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import inputs
import pytest
from job_process import drop, kill_at, run_once
from outcome import folders, outcome
from tables import assert_same, expected

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"
OVERWRITTEN = HEADER + b"2024-01-02,A,1,1\n"
DELETED = HEADER + b"2024-01-03,A,2,2\n"
NEWER = HEADER + b"2024-01-02,A,4,4\n"


def test_two_kills_lose_nothing_and_the_replay_reads_what_was_admitted(tmp_path: Path, database: str) -> None:
    """So many rows that they go as files beside the checkpoint; what was overwritten meanwhile is a new drop."""
    home, many = tmp_path / "home", inputs.many_tickers(200, days=1200, drops=2, seed=5)
    overwritten = drop(home / "input", "overwritten.csv", OVERWRITTEN, 0)
    deleted = drop(home / "input", "deleted.csv", DELETED, 1)
    for number, content in enumerate(many):
        drop(home / "input", f"{number}.csv", content, 2 + number)
    kill_at("reading", tmp_path / "reading", home, database)
    overwritten.write_bytes(NEWER)  # in place: the same inode
    deleted.unlink()
    kill_at("published", tmp_path / "published", home, database)
    handover = home / "checkpoint" / "handover"
    names = " ".join(path.name for path in handover.iterdir())
    assert re.search(r"\b\d+-0-\d\.arrow", names), "too few ticks: they went through Spark"
    assert re.search(r"\b\d+-\d\.arrow", names), "too few changes: they went through Spark"
    (handover / "99-0-1.arrow").write_bytes(b"of a drop that is read otherwise now")
    assert folders(home, "input")
    run_once(home, database)
    end, drops = outcome(home, database), [OVERWRITTEN, DELETED, *many, NEWER]
    assert_same(end.tables, expected(drops))
    keys = ["overwritten.csv", "deleted.csv", "0.csv", "1.csv", "overwritten.csv"]
    assert [(row["key"], row["status"]) for row in end.drops] == [(key, "loaded") for key in keys]
    assert sorted(end.folders.values()) == sorted(drops)
    assert all(name.startswith("success/") for name in end.folders)
    prices = expected(many).prices
    given = [(day, ticker, price) for ticker in prices for day, price in prices[ticker].items()]
    in_lake = Counter(row[1:4] for row in end.ticks.elements() if row[2] != "A")
    assert (in_lake, sum(end.ticks.values())) == (Counter(given), len(given) + 3)
    for folder in ("handover", "lake-outbox"):
        assert not list((home / "checkpoint" / folder).iterdir())
