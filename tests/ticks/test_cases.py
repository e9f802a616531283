"""Files as people have received them, each with what must become of it without any configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from streaming.ticks.how import How
from streaming.ticks.parse import parse

CASES = Path(__file__).with_name("cases")
REFUSED = {
    "02-ticker-in-file-name/QTICK.csv": ["the header lacks 'id'", 'ticker = { from = "key"'],
    "04-yfinance-three-line-header/one.csv": ["the header has three lines", "skip_lines = 3, header ="],
    "04-yfinance-three-line-header/many.csv": ["the header has three lines", "skip_lines = 3, header ="],
    "06-minute-bars-date-and-time-columns/hourly.csv": [
        "second-key: ",
        "the column 'time'",
        "and 3 more",
        "lines 2 and 3",
    ],
    "08-stooq-and-metatrader/mt4.csv": ["no header line: the first line is data", "csv = { header ="],
    "15-excel-german-locale/semikolon.csv": ["the header lacks 'date'", "'price'", "split at a semicolon"],
    "15-excel-german-locale/semi_en.csv": ["every row was rejected", "bad-price 1", 'decimal = ","'],
    "15-excel-german-locale/mac_cr.csv": ["the header holds the control character '\\r'", "not in a lone CR"],
    "15-excel-german-locale/utf16.csv": ["not a CSV file", "got UTF-16 text", 'csv = { encoding = "utf-16" }'],
    "16-portal-exports/HistoricalData_nasdaq.csv": ["every row was rejected", "bad-date 2", '"%m/%d/%Y"'],
    "16-portal-exports/investing.csv": ["the header lacks 'id'", "got 'Date,Price,Open,High,Low,Vol.,Change %'"],
    "16-portal-exports/newest_first.csv": ["the header lacks 'id'"],
    "16-portal-exports/nsdq_iso_dollar.csv": ["every row was rejected", "bad-price 2", 'currency = "$"'],
    "17-title-line-and-footer/sep_line.csv": [
        "the header is not in the first line, which is 'sep=,'",
        "skip_lines = 1",
    ],
    "17-title-line-and-footer/vix_title.csv": [
        "the header is not in the first line",
        "line 2 looks like it",
        "skip_lines = 1",
    ],
    "17-title-line-and-footer/trailing_comma_rows.csv": [
        "every row was rejected",
        "as many fields as the header",
        "header =",
    ],
    "18-no-volume-column/wide.csv": ["the header lacks 'id'", 'wide = { value = "price" }'],
    "21-row-number-called-id/both.csv": ["the header names more than one", "'id' (column 1), 'symbol' (column 3)"],
    "21-row-number-called-id/rownum.csv": ["the header names more than one", "'id' (column 1), 'name' (column 2)"],
    "27-polygon-flat-file/2024-03-04.csv.gz": ["the header lacks 'date'", "window_start"],
    "33-two-exchanges-one-symbol/two.csv": ["second-key: ", "the column 'exchange'", "lines 2 and 3", "and 1 more"],
}
"""Files that fail, and what their reason says."""

Row = tuple[str, str, float, int | None]
LOADED: dict[str, tuple[list[Row], dict[int, str], list[int]]] = {
    "03-daily-bars-with-midnight-and-zone/history.csv": (
        [("2024-03-04", "TZONE", 10.5, 1000), ("2024-03-05", "TZONE", 10.7, 1100)], {}, [],
    ),
    "03-daily-bars-with-midnight-and-zone/iso_t.csv": (
        [("2024-03-04", "TZISO", 10.5, 1000), ("2024-03-05", "TZISO", 10.7, 1100)], {}, [],
    ),
    "08-stooq-and-metatrader/stq_us.csv": ([("2024-03-04", "STQ.US", 10.2, 71000)], {}, []),
    "08-stooq-and-metatrader/dates_compact.csv": (
        [("2024-03-04", "STQB.US", 10.2, 71000), ("2024-03-05", "STQB.US", 10.3, 72000)], {}, [],
    ),
    "10-volumes-that-are-no-whole-number/vol.csv": (
        [
            ("2024-03-04", "VFRAC", 10, None), ("2024-03-05", "VFRAC", 11, 90_000_000),
            ("2024-03-04", "VEXP", 10, 100_000), ("2024-03-05", "VEXP", 11, 123_456),
            ("2024-03-04", "VNAN", 10, None), ("2024-03-05", "VNAN", 11, 5),
            ("2024-03-04", "VDASH", 10, None), ("2024-03-05", "VDASH", 11, 6),
            ("2024-03-04", "VK", 10, None), ("2024-03-05", "VK", 11, 7),
            ("2024-03-04", "VSEP", 10, None), ("2024-03-05", "VSEP", 11, 8),
        ],
        {}, [2, 6, 8, 10, 12],
    ),
    "15-excel-german-locale/cp1252.csv": (
        [("2024-03-04", "CPA", 420.5, 1000), ("2024-03-04", "CPB", 250.5, 2000), ("2024-03-05", "CPA", 425.5, 1100)],
        {}, [],
    ),
    "16-portal-exports/newest_first_ok.csv": (
        [("2024-03-06", "NEWF", 12.1, 10), ("2024-03-05", "NEWF", 11, 10), ("2024-03-04", "NEWF", 10, 11)], {}, [],
    ),
    "17-title-line-and-footer/footer.csv": (
        [("2024-03-04", "FOOT", 1.5, 10), ("2024-03-05", "FOOT", 1.6, 11)], {4: "wrong-number-of-fields"}, [],
    ),
    "17-title-line-and-footer/total.csv": ([("2024-03-04", "TOTX", 1.5, 10)], {3: "bad-date"}, []),
    "18-no-volume-column/fx.csv": (
        [("2024-03-04", "EURUSD", 1.0855, None), ("2024-03-05", "EURUSD", 1.0857, None)], {}, [],
    ),
    "18-no-volume-column/kaggle.csv": ([("2024-03-04", "KAGL", 1.5, 10)], {}, []),
    "25-other-date-spellings/dates.csv": (
        [("2024-03-04", "DTX", 10, 1), ("2024-03-06", "DTX", 12, 1), ("2024-03-12", "DTX", 17, 1)],
        dict.fromkeys((3, 5, 6, 7, 8), "bad-date"), [],
    ),
    "26-file-names-that-begin-with-underscore/_GSPC.csv": ([("2024-03-04", "^GSPC2", 5130.95, 4_758_440_000)], {}, []),
    "26-file-names-that-begin-with-underscore/_vendor/daily.csv": ([("2024-03-04", "UNDDIR", 10, 1)], {}, []),
    "27-polygon-flat-file/adjusted_fraction.csv": (
        [("2024-03-04", "PLGA", 200.5, None), ("2024-03-04", "PLGB", 20.5, 4930)], {}, [2],
    ),
    "34-every-volume-has-a-fraction/crypto.csv": (
        [("2024-03-04", "BTCX-USD", 68330.41, None), ("2024-03-05", "BTCX-USD", 63801.2, None)], {}, [2, 3],
    ),
    "38-excel-guarded-codes/guard.csv": (
        [(f"2024-03-0{day}", "600519", 1700.5 + 10 * (day - 4), 60 + 10 * day) for day in range(4, 8)],
        {6: "bad-id"}, [],
    ),
    "41-finam-header/finam.csv": ([("2024-03-04", "GAZPX", 160.5, 20_000_000)], {}, []),
    "41-finam-header/metastock.csv": ([("2024-03-04", "MSTK", 1.5, 10)], {}, []),
}  # fmt: skip
"""Files that load: their rows, the rejected lines, and the lines whose volume is none."""


def test_every_case_is_judged() -> None:
    """No file lies among the cases of which nothing is said."""
    files = {path.relative_to(CASES).as_posix() for path in CASES.rglob("*") if path.is_file()}
    assert files == REFUSED.keys() | LOADED.keys()


@pytest.mark.parametrize("file", REFUSED)
def test_a_refusal_says_what_was_seen_and_what_reads_the_file(file: str) -> None:
    """A person can act on the reason alone."""
    failure = parse((CASES / file).read_bytes(), file, How(text_ids=False, unpacked_limit=1 << 20)).failure or ""
    assert failure.startswith(REFUSED[file][0])
    assert [said for said in REFUSED[file] if said not in failure] == []


@pytest.mark.parametrize("file", LOADED)
def test_what_can_mean_only_one_thing_is_loaded(file: str) -> None:
    """Rows, rejects and volumes that are none, each with its line."""
    parsed = parse((CASES / file).read_bytes(), file, How(text_ids=False, unpacked_limit=1 << 20))
    ticks, (rows, rejects, unreadable) = parsed.ticks, LOADED[file]
    days = ticks.date.astype("datetime64[D]").astype(str).tolist()
    volumes = [None if volume < 0 else volume for volume in ticks.volume.tolist()]
    ids = [ticks.ids[code] for code in ticks.code]
    assert list(zip(days, ids, ticks.price.tolist(), volumes, strict=True)) == rows
    assert dict(zip(parsed.rejects.line, parsed.rejects.reason, strict=True)) == rejects
    assert [note["line"] for note in parsed.notes] == unreadable
    assert (parsed.failure, parsed.volume_unreadable) == (None, len(unreadable))
