"""The CSV contract, rule by rule, each with its file written out: which rows are ticks, and what the others are."""

import gzip

import pytest

from streaming.packets import Ticks
from streaming.ticks.fields import REASONS
from streaming.ticks.how import How
from streaming.ticks.parse import Parsed, by_bucket, parse

pytestmark = pytest.mark.usefixtures("both_ways")

HEADER = b"date,id,price,trade_volume\n"
JAN_1, JAN_2 = 18262, 18263  # days since 1970 of 2020-01-01 and 2020-01-02


def read(data: bytes, *, text_ids: bool = False, key: str = "day.csv") -> Parsed:
    return parse(data, key, How(text_ids=text_ids, unpacked_limit=1 << 20))


def rows(ticks: Ticks) -> list[tuple[int, str, float, int]]:
    columns = (ticks.date.tolist(), ticks.code.tolist(), ticks.price.tolist(), ticks.volume.tolist())
    return [(day, ticks.ids[code], price, volume) for day, code, price, volume in zip(*columns, strict=True)]


def reason_of(row: bytes) -> str:
    """The reason of one row beside a good one, which loads whatever the other is."""
    parsed = read(HEADER + b"2020-01-01,GOOD,1,1\n" + row + b"\n")
    assert (rows(parsed.ticks), parsed.rejects.line) == ([(JAN_1, "GOOD", 1.0, 1)], [3])
    return parsed.rejects.reason[0]


def test_a_good_file_loads() -> None:
    """Rows become ticks in their order; counts, dates and lines are stated."""
    parsed = read(HEADER + b"2020-01-02,B,2.5,7\n2020-01-01,A,1,\n")
    assert rows(parsed.ticks) == [(JAN_2, "B", 2.5, 7), (JAN_1, "A", 1.0, -1)]
    assert (parsed.lines, parsed.rows_read, parsed.rows_loaded) == (3, 2, 2)
    assert (parsed.rows_duplicate, parsed.rows_rejected) == (0, 0)
    assert (parsed.reasons, parsed.ignored, parsed.failure) == ({}, [], None)
    assert (parsed.first_date, parsed.last_date) == ("2020-01-01", "2020-01-02")


@pytest.mark.parametrize(
    "data",
    [
        b"date,id,price,trade_volume\n2020-01-01,A,1.5,3\n",
        b"date,id,price,trade_volume\r\n2020-01-01,A,1.5,3\r\n",
        b"date,id,price,trade_volume\n2020-01-01,A,1.5,3",
        b"\xef\xbb\xbfdate,id,price,trade_volume\n2020-01-01,A,1.5,3\n",
        b'"date","id","price","trade_volume"\n"2020-01-01","A","1.5","3"\n',
        b"DATE, Ticker ,\tClose,VOLUME\n 2020-01-01 ,\tA , 1.5 , 3 \n",
        b"trade_volume,symbol,price,date\n3,A,1.5,2020-01-01\n",
        b"\r\n\ndate,id,price,trade_volume\n\n   \n\r\n2020-01-01,A,1.5,3\n\n",
        b'date,note,id,price,trade_volume,\n2020-01-01,"Apple, ""the"" Inc.",A,1.5,3,\xc3\xa9\n',
        gzip.compress(b"date,id,price,trade_volume\n2020-01-01,A,1.5,3\n", mtime=0),
        gzip.compress(b"date,id,price,trade_", mtime=0) + gzip.compress(b"volume\n2020-01-01,A,1.5,3\n", mtime=0),
        gzip.compress(b"date,id,price,trade_volume\n2020-01-01,A,1.5,3\n", mtime=0) + bytes(100),
    ],
)
@pytest.mark.parametrize("key", ["a.csv", "a.csv.gz", "A.CSV", "in/../é %s.Csv.GZ"])
def test_forms_of_one_file(data: bytes, key: str) -> None:
    """Line ends, byte order mark, quotes, column order, blank lines and packing change nothing, nor does the name."""
    parsed = read(data, key=key)
    assert (rows(parsed.ticks), parsed.rows_read, parsed.failure) == ([(JAN_1, "A", 1.5, 3)], 1, None)


@pytest.mark.parametrize(
    ("price", "value"),
    [
        *(("1", 1.0), ("+5", 5.0), (".5", 0.5), ("5.", 5.0), ("007.50", 7.5), ("1e3", 1000.0), ("1E+3", 1000.0)),
        *(("2.5e-3", 0.0025), ("1e-9", 1e-9), ("0.000000001", 1e-9), ("1e12", 1e12), ("1000000000000", 1e12)),
        *(
            ("0.1e1", 1.0),
            ("9007199254740993", None),
            ("1.0000000000000002", 1.0000000000000002),
            ("1e0000000003", 1e3),
        ),
        *(("123456.78901234567890123456789", 123456.78901234568), ("1" + "0" * 400 + "e-400", 1.0)),
        *(("0", None), ("-1", None), ("-0", None), ("9.99e-10", None), ("1000000000000.1", None), ("1e400", None)),
        *(("1e-400", None), ("inf", None), ("-inf", None), ("Infinity", None), ("nan", None), ("NaN", None)),
        *(("0x10", None), ("1_0", None), ("1,5", None), ("1 0", None), ("\uff11", None), ("1e", None), ("e5", None)),
        *((".", None), ("+", None), ("++1", None), ("1.2.3", None), ("$5", None), ("5 USD", None), ("1e5.0", None)),
        *(("NULL", None), ("5f", None), ("5d", None), ("\u0661", None), ("1'000", None), ("5%", None)),
    ],
)
def test_every_strange_price(price: str, value: float | None) -> None:
    """Prices are decimals, plain or exponent, from 1e-9 to 1e12, to the nearest float64; all else is `bad-price`."""
    parsed = read(HEADER + f'2020-01-01,A,"{price}",1\n2020-01-01,GOOD,1,1\n'.encode())
    good = [] if value is None else [(JAN_1, "A", value, 1)]
    assert rows(parsed.ticks) == [*good, (JAN_1, "GOOD", 1.0, 1)]
    assert parsed.rejects.reason == (["bad-price"] if value is None else [])


@pytest.mark.parametrize(
    ("volume", "value"),
    [
        *(("0", 0), ("000", 0), ("5", 5), ("+5", 5), ("6189026.0000", 6189026), ("5.", 5), ("", -1), ("  ", -1)),
        *(("9223372036854775807", 2**63 - 1), ("0" * 5000 + "7", 7), ("9223372036854775807.000", 2**63 - 1)),
        *(("1e+05", 100_000), ("1e3", 1000), ("1.5E3", 1500), ("12.50e1", 125), (".0", 0), ("0e99", 0), ("70e-1", 7)),
        *((text, None) for text in ("9223372036854775808", "18446744073709551616", "9" * 5000, "-1", "-0", "5.5")),
        *((text, None) for text in ("5.0001", ".", "5..0", "0x1F", "0X1f", "1_000", "1 000", "1,000", "\uff15", "nan")),
        *((text, None) for text in ("NA", "inf", "true", "-", "+", "5-", "\u0665", "68.18K", "1e-1", "1e99", "N/A")),
    ],
)
def test_every_strange_volume(volume: str, value: int | None) -> None:
    """Volumes are whole numbers of 63 bits or empty; any other is unknown and counted, and its price loads."""
    parsed = read(HEADER + f'2020-01-01,A,1,"{volume}"\n2020-01-01,GOOD,1,1\n'.encode())
    assert rows(parsed.ticks) == [(JAN_1, "A", 1.0, -1 if value is None else value), (JAN_1, "GOOD", 1.0, 1)]
    assert (parsed.rows_rejected, parsed.volume_unreadable) == (0, int(value is None))
    assert [note["line"] for note in parsed.notes] == ([2] if value is None else [])


@pytest.mark.parametrize(
    ("text", "day"),
    [
        *(("2020-01-01", JAN_1), ("1800-01-01", -62091), ("2199-12-31", 84005), ("2020-02-29", 18321)),
        *(("1970-01-01", 0), ("20200101", JAN_1), ("2020/01/01", JAN_1)),
        *((f"2020-01-01{time}", JAN_1) for time in (" 00:00:00", "T00:00:00Z", "T00:00:00.000Z", " 00:00:00-05:00")),
        *((f"2020-01-01{time}", JAN_1) for time in (" 00:00", "T16:30:00+0100", " 093000", " 23:59:59 UTC", " 0930")),
        *(
            (text, None)
            for text in ("1799-12-31", "2200-01-01", "2021-02-29", "2020-04-31", "2020-00-10", "2020-13-01")
        ),
        *((text, None) for text in ("2020-1-2", "01-01-2020", "03/04/2020", "2020-01/01", "202001-01", "2020.01.01")),
        *((text, None) for text in ("2020-01-01T", "2020-01-01 24:00", "2020-01-01 09:30 PM", "2020-01-01T9:30")),
        *((text, None) for text in ("2020-W01-1", "0000-00-00", "\uff12020-01-01", "+2020-01-01", "-2020-01-01", "")),
        *((text, None) for text in ("NaT", "18262", "today", "2020-01-01Z", "2020\u221201\u221201", "04-Mar-24")),
        *((text, None) for text in ("43831", "1577836800", "2020-01-01 00:00:00+15:00", "2020-01-01 00:60")),
    ],
)
def test_every_strange_date(text: str, day: int | None) -> None:
    """Dates are real days of 1800 to 2199, the year first, also with a time behind; all else is `bad-date`."""
    parsed = read(HEADER + f"{text},A,1,1\n2020-01-01,GOOD,1,1\n".encode())
    good = [] if day is None else [(day, "A", 1.0, 1)]
    assert rows(parsed.ticks) == [*good, (JAN_1, "GOOD", 1.0, 1)]
    assert parsed.rejects.reason == (["bad-date"] if day is None else [])


@pytest.mark.parametrize(
    ("text", "ticker"),
    [
        *(("7", "007"), ("007", "007"), ("0007", "007"), ("0", "000"), ("1234", "1234"), ("001234", "1234")),
        *(("AAPL", "AAPL"), ("aapl", "aapl"), ("BRK.B", "BRK.B"), ("7A", "7A"), ("1.0", "1.0"), ("-7", "-7")),
        *(("NA", "NA"), ("NULL", "NULL"), ("null", "null"), ("TRUE", "TRUE"), ("DATE", "DATE"), ("NaN", "NaN")),
        *(("  A B  ", "A B"), ("\u00a0A\u00a0", "A"), ("\u0667", "\u0667"), ("x" * 59, "x" * 59), ("é" * 29, "é" * 29)),
        *(("%s", "%s"), ("xmin", "xmin"), ("; DROP TABLE prices; --", "; DROP TABLE prices; --"), ("\\", "\\")),
        *(("", None), ("   ", None), ("x" * 60, None), ("é" * 30, None), ("0" * 60, None)),
        *(
            ('="600519"', "600519"),
            ("'600519", "600519"),
            ("'BRK", "BRK"),
            (";600519", None),
            ("=A1", None),
            ("=", None),
        ),
        *(("A\x00B", None), ("A\x1bB", None), ("A\tB", None), ("A\x7f", None), ("A\x85B", None)),
    ],
)
def test_every_strange_id(text: str, ticker: str | None) -> None:
    """Ids of 1 to 59 bytes without control characters are kept letter by letter, blanks around them cut."""
    parsed = read(HEADER + b"2020-01-01,GOOD,1,1\n" * 4000 + f"2020-01-02,{text},1,1\n".encode())
    good = [] if ticker is None else [(JAN_2, ticker, 1.0, 1)]
    assert rows(parsed.ticks) == [(JAN_1, "GOOD", 1.0, 1), *good]
    assert parsed.rejects.reason == (["bad-id"] if ticker is None else [])


def test_text_ids_keep_their_zeros() -> None:
    """With text ids `7`, `007` and `0050` are three tickers; without, `7` and `007` are one."""
    data = HEADER + b"2020-01-01,7,1,1\n2020-01-01,007,2,1\n2020-01-01,0050,3,1\n"
    assert rows(read(data, text_ids=True).ticks) == [(JAN_1, "7", 1, 1), (JAN_1, "007", 2, 1), (JAN_1, "0050", 3, 1)]
    assert rows(read(data).ticks) == [(JAN_1, "007", 2.0, 1), (JAN_1, "050", 3.0, 1)]


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (b"x" * (2**20 + 1), "line-too-long"),
        (b"2020-01-01,A\xff,1,1", "not-utf8"),
        (b"2020-01-01,A,1,\xff", "not-utf8"),
        (b"2020-01-01,\xed\xa0\x80,1,1", "not-utf8"),
        (b'2020-01-01,"A,1,1', "bad-quotes"),
        (b'2020-01-01,"A"B,1,1', "bad-quotes"),
        (b'2020-01-01,"; DROP TABLE prices; --,1,1', "bad-quotes"),
        (b"2020-01-01,A,1", "wrong-number-of-fields"),
        (b"2020-01-01,A,1,1,", "wrong-number-of-fields"),
        (b"2020-01-01,A,1,1\r2020-01-02,A,1,1", "wrong-number-of-fields"),
        (b"date,id,price,trade_volume", "repeated-header"),
        (b'\xef\xbb\xbf"Date", ticker,close,VOLUME', "repeated-header"),
        (b"2020-01-32,A,1,1", "bad-date"),
        (b",,,", "bad-date"),
        (b"2020-01-01,,1,1", "bad-id"),
        (b"2020-01-01,A,,1", "missing-price"),
        (b'2020-01-01,A,"",1', "missing-price"),
        (b"2020-01-01,A,-1,1", "bad-price"),
    ],
)
def test_a_bad_row_is_rejected_alone(row: bytes, reason: str) -> None:
    """A row that is no tick gets the first reason that applies, and the rows around it load."""
    assert reason_of(row) == reason
    assert reason in REASONS


def test_a_control_character_costs_its_row() -> None:
    """Control characters in a column that is ignored reject the row all the same; a tab is a blank."""
    header = b"date,id,price,volume,note\n" + b"2020-01-01,GOOD,1,1,ok\n" * 4000
    parsed = read(
        header + b"2020-01-02,A,1,1,\x00\n2020-01-02,B,1,1,a\tb\n2020-01-02,C,1,1,\x1b\n2020-01-02,D,1,1\r,x\n"
    )
    assert rows(parsed.ticks) == [(JAN_1, "GOOD", 1.0, 1), (JAN_2, "B", 1.0, 1)]
    assert parsed.reasons == {"control-character": 3}
    assert parsed.rejects.text == [r"2020-01-02,A,1,1,\x00", r"2020-01-02,C,1,1,\x1b", r"2020-01-02,D,1,1\x0d,x"]


def test_a_rejects_text_can_be_shown() -> None:
    """The text of a reject is cut to 1,000 characters, and what is no text or not printable is written as an escape."""
    data = HEADER + b"2020-01-01,A,1,1\n" + b"\xff\xc3\xa9\r\n" + "é".encode() * 2000 + b"\n"
    assert read(data).rejects.text == [r"\xffé", "é" * 1000]


def test_duplicates_leave_the_last_row() -> None:
    """Of rows with one (date, id) the last price and the last known volume stay, where the last row stood."""
    parsed = read(
        HEADER + b"2020-01-01,7,1,5\n2020-01-01,B,2,1\n2020-01-01,007,3,\n2020-01-01,0007,bad,4\n2020-01-02,7,9,\n"
    )
    assert rows(parsed.ticks) == [(JAN_1, "B", 2.0, 1), (JAN_1, "007", 3.0, 5), (JAN_2, "007", 9.0, -1)]
    assert (parsed.rows_read, parsed.rows_loaded, parsed.rows_duplicate, parsed.rows_rejected) == (5, 3, 1, 1)


def test_duplicates_of_many_far_cells() -> None:
    """Cells that lie far apart in dates and tickers are told apart too."""
    data = HEADER + b"".join(b"%d-01-01,T%d,%d,1\n" % (1800 + n % 400, n, n + 1) for n in range(2000)) * 2
    parsed = read(data)
    assert (parsed.rows_loaded, parsed.rows_duplicate, parsed.first_date) == (2000, 2000, "1800-01-01")
    assert parsed.ticks.price.tolist() == [n + 1.0 for n in range(2000)]


def test_buckets_are_stable() -> None:
    """A ticker's bucket is the CRC-32 of its name modulo the number of buckets, in every process and for ever."""
    parsed = read(HEADER + b"2020-01-01,AAPL,1,1\n2020-01-01,7,2,1\n2020-01-02,AAPL,3,1\n")
    shared = {bucket: rows(part) for bucket, part in by_bucket(parsed.ticks, 64).items()}
    assert shared == {
        28: [(JAN_1, "AAPL", 1.0, 1), (JAN_2, "AAPL", 3.0, 1)],
        62: [(JAN_1, "007", 2.0, 1)],
    }
    assert by_bucket(Ticks.empty(), 64) == {}


@pytest.mark.parametrize("control", ["\x7f", "\x01", "\x1f"])
def test_a_control_character_in_an_ignored_column_rejects_its_row(control: str) -> None:
    """Nobody reads the column, and still nothing that is no text loads."""
    rows = [f"2024-01-02,T{number},1,1,note\n" for number in range(3)] + [f"2024-01-02,B,1,1,no{control}te\n"]
    parsed = read(("date,id,price,trade_volume,note\n" + "".join(rows)).encode())
    assert (parsed.rows_loaded, parsed.reasons) == (3, {"control-character": 1})


@pytest.mark.parametrize(
    ("field", "ticker"),
    [
        ('"A"  ', "A"),
        ('  "A"', "A"),
        ('\u00a0"A"\ufeff', "A"),
        ('"A ""B"""', 'A "B"'),
        ("\u2003A", "\u2003A"),
        ("A\u202f", "A\u202f"),
        ("A\u200b", "A\u200b"),
        ("\u3000A\u3000", "\u3000A\u3000"),
        ("A\u0080", None),
        ("A\u009f", None),
        ("A\u00a1", "A\u00a1"),
    ],
)
def test_four_characters_are_blanks_and_no_others(field: str, ticker: str | None) -> None:
    """Blank, tab, U+00A0 and U+FEFF are cut around fields and quotes; U+0080 to U+009F are in no id."""
    parsed = read(HEADER + f"2020-01-01,{field},1,1\n2020-01-01,GOOD,1,1\n".encode())
    assert rows(parsed.ticks) == [*([] if ticker is None else [(JAN_1, ticker, 1.0, 1)]), (JAN_1, "GOOD", 1.0, 1)]


def test_bytes_that_are_no_text_cost_nothing_in_a_column_that_is_ignored() -> None:
    """By whole columns too: a name saved as Latin-1 stands in every row of many files."""
    data = HEADER.replace(b"\n", b",company\n") + b"2020-01-01,A,1,1,M\xfcnchen\n" * 5000 + b"2020-01-02,B\xfc,1,1,x\n"
    parsed = read(data)
    assert (parsed.rows_loaded, parsed.rows_duplicate, parsed.reasons) == (1, 4999, {"not-utf8": 1})


def test_repeats_and_conflicts_are_told_apart() -> None:
    """A row differs from what was said before by its price, or by its volume if both are known."""
    lines = [b"2020-01-01,A,1,5", b"2020-01-01,A,1,5", b"2020-01-01,A,1,", b"2020-01-01,A,1,6", b"2020-01-01,A,2,6"]
    parsed = read(HEADER + b"\n".join([*lines, b"2020-01-02,A,3,"]) + b"\n")
    assert (parsed.rows_duplicate, parsed.conflicts) == (4, 2)
    assert [(note["lines"], note["prices"], note["volumes"]) for note in parsed.notes] == [
        ([4, 5], [1.0, 1.0], [None, 6]),
        ([5, 6], [1.0, 2.0], [6, 6]),
    ]
    assert parsed.replaced is not None
    assert (parsed.replaced[0].tolist(), parsed.replaced[1].volume.tolist()) == ([2, 3, 4, 5], [5, 5, -1, 6])
