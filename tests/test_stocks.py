"""The demo's ten files are what their script makes and hold what the demo shows."""

from __future__ import annotations

import runpy
from pathlib import Path

from streaming.ticks.how import How
from streaming.ticks.parse import parse

STOCKS = Path(__file__).resolve().parents[1] / "stocks"
NAMES = [f"input_{number}.csv" for number in range(1, 11)]


def test_the_script_makes_the_files_byte_for_byte() -> None:
    """Anybody can make the ten files again."""
    made = runpy.run_path(str(STOCKS / "make_stocks.py"))["make"]()
    assert made == {name: (STOCKS / name).read_bytes() for name in NAMES}
    assert {path.name for path in STOCKS.glob("*.csv")} == set(NAMES)


def test_every_file_loads_with_a_few_rejects() -> None:
    """200 tickers on 60 dates in all; each file loads about 1,200 rows, a dozen given twice, a handful rejected."""
    ids, dates, reasons = set(), set(), set()
    for name in NAMES:
        data = (STOCKS / name).read_bytes()
        parsed = parse(data, name, How(text_ids=False, unpacked_limit=1 << 20))
        assert parsed.failure is None
        assert 1_100 < parsed.rows_loaded < 1_300
        assert 0 < parsed.rows_duplicate < 30
        assert 5 <= parsed.rows_rejected + parsed.volume_unreadable <= 6
        assert len(data) < 150_000
        ids |= set(parsed.ticks.ids)
        dates |= set(parsed.ticks.date.tolist())
        reasons |= set(parsed.reasons)
    assert ids == {f"{number:03d}" for number in range(200)}
    assert len(dates) == 60
    assert reasons >= {
        "bad-date",
        "bad-price",
        "missing-price",
        "bad-id",
        "wrong-number-of-fields",
        "repeated-header",
    }


def test_dates_arrive_late_and_overlap() -> None:
    """At least two files bring dates that are older than what an earlier file brought; rows are in no order."""
    newest, late = -1, 0
    for name in NAMES:
        parsed = parse((STOCKS / name).read_bytes(), name, How(text_ids=False, unpacked_limit=1 << 20))
        date = parsed.ticks.date
        late += int(date.min() <= newest)
        newest = max(newest, int(date.max()))
        assert sorted(date.tolist()) != date.tolist()
    assert late >= 2
