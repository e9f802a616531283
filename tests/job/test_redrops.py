"""The same key again, the same content again, the same file again: each is a new drop."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest
from job_process import Job, drop, run_once
from outcome import folders, receipts, rows
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.spark

HEADER = b"date,id,price,trade_volume\n"
FIRST = HEADER + b"2024-01-02,A,10,100\n2024-01-03,A,20,200\n2024-01-04,A,30,300\n"
CORRECTED = HEADER + b"2024-01-03,A,25,\n"


def test_each_redrop_is_a_new_drop_with_its_effect(tmp_path: Path, database: str) -> None:
    """A correction, old content under a new key, and a file that was put back repair prices and returns."""
    home = tmp_path / "home"
    loaded: list[bytes] = []
    with Job(home, database, "--lake", "none") as job:

        def loads(content: bytes) -> None:
            """The next drop is loaded, moved and right, returns of the date after it included."""
            loaded.append(content)
            job.wait_for(f"receipt {len(loaded)}", lambda: len(receipts(home)) == len(loaded))
            job.wait_for("an empty input", lambda: not folders(home, "input"))
            assert_same(stored(database), expected(loaded))

        drop(home / "input", "a.csv", FIRST)
        loads(FIRST)
        drop(home / "input", "a.csv", CORRECTED)
        loads(CORRECTED)
        drop(home / "input", "copy of a.csv", FIRST)
        loads(FIRST)
        corrected = _only(path for path in (home / "success").glob("a*.csv") if path.read_bytes() == CORRECTED)
        corrected.rename(home / "input" / "a.csv")  # the same inode, the same time of modification
        loads(CORRECTED)
        drop(home / "input", "a.csv", CORRECTED)
        loads(CORRECTED)
    assert [(row["seq"], row["key"], row["status"], row["rows_loaded"]) for row in _drops(database)] == [
        (1, "a.csv", "loaded", 3),
        (2, "a.csv", "loaded", 1),
        (3, "copy of a.csv", "loaded", 3),
        (4, "a.csv", "loaded", 1),
        (5, "a.csv", "loaded", 1),
    ]
    kept = folders(home, "success")
    assert kept.pop("success/a.csv") == FIRST
    assert kept.pop("success/copy of a.csv") == FIRST
    assert list(kept.values()) == [CORRECTED, CORRECTED]  # the third copy of the content was the one put back


def test_each_row_that_a_later_one_of_its_large_drop_replaces_is_in_the_lake(tmp_path: Path, database: str) -> None:
    """With its line and its own values: more rows than travel in the stream."""
    home, days, cells = tmp_path / "home", 100, 20_000
    each = [(cell, 1 + cell * turn % 97 / 8) for turn in range(4) for cell in range(cells)]
    told = [(f"T{cell // days}", 1 + cell % days, price) for cell, price in each]
    first = dt.date(2020, 1, 1)
    dates = [(first + dt.timedelta(day)).isoformat() for day in range(days + 1)]
    lines = [f"{dates[day]},{ticker},{price},{number}" for number, (ticker, day, price) in enumerate(told)]
    content = HEADER + "\n".join(lines).encode()
    drop(home / "input", "a.csv", content)
    run_once(home, database)
    assert_same(stored(database), expected([content]))
    found = pq.ParquetDataset(list(map(str, (home / "lake" / "duplicates").glob("*.parquet")))).read()
    kept = zip(*(found[name].to_pylist() for name in ("seq", "line", "date", "id", "price", "volume")), strict=True)
    assert sorted(kept) == [
        (1, number + 2, first + dt.timedelta(day), ticker, price, number)
        for number, (ticker, day, price) in enumerate(told[: 3 * cells])
    ]
    assert not list((home / "checkpoint" / "handover").iterdir())


def _only(found: object) -> Path:
    (path,) = found  # type: ignore[misc]  # any iterable of paths
    return path


def _drops(database: str) -> list[dict[str, object]]:
    return rows(database, "SELECT * FROM stocketl.drops ORDER BY seq")
