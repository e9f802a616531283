"""Which drops fail as a whole, by what their first bytes are, and what the failure says."""

import codecs
from dataclasses import replace

import pytest

from streaming.packets import Rejects, Ticks
from streaming.ticks.header import read_header
from streaming.ticks.how import How
from streaming.ticks.parse import Parsed, parse, parse_split
from streaming.ticks.rules import Rules

ROW = b"2020-01-01,A,1,1\n"
TICKS = Ticks.empty()


@pytest.mark.parametrize("sign", ["\t", ",", ";", "|"])
def test_a_first_column_without_a_name_stays_a_column(sign: str) -> None:
    """Many programs write the number of the row there, also with blank lines and a byte order mark before it."""
    lines = [sign.join(fields) for fields in (["", "date", "symbol", "close"], ["0", "2020-03-04", "A", "2.5"])]
    for before in ("", "\ufeff", "\n \t\n", "\ufeff\r\n"):
        parsed = read((before + "\n".join(lines)).encode())
        assert (parsed.failure, parsed.ticks.ids, parsed.ticks.price.tolist()) == (None, ["A"], [2.5])


def read(data: bytes, key: str = "a.csv") -> Parsed:
    return parse(data, key, How(text_ids=False, unpacked_limit=1 << 20))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "zero bytes"),
        (b"\xef\xbb\xbf", "no header"),
        (b" \r\n\n\t\n", "no header"),
        (codecs.BOM_UTF16_LE + "date,id,price,volume\n".encode("utf-16-le"), "UTF-16"),
        (codecs.BOM_UTF16_BE + "date,id,price,volume\n".encode("utf-16-be"), "UTF-16"),
        ("date,id,price,volume\n".encode("utf-16-le"), "NUL"),
        (codecs.BOM_UTF32_BE + "date\n".encode("utf-32-be"), "NUL"),
        (b"date,id,price,volume\n2020-01-01,A\x00,1,1\n", "NUL byte at offset 33"),
        (b"%PDF-1.7\n", "PDF"),
        (b"<!DOCTYPE html>\n<html>date,id,price,volume</html>\n", "HTML"),
        (b'\xef\xbb\xbf\n  <?xml version="1.0"?>\n', "XML"),
        (b'{"date": "2020-01-01", "id": "A", "price": 1, "volume": 1}\n', "JSON"),
        (b'[{"date": "2020-01-01"}]\n', "JSON"),
        (b"date,id,price,volume,pr\xe9cio\n" + ROW, "not UTF-8: byte 0xe9 at offset 23"),
        (b"date,id,price,volume\r2020-01-01,A,1,1\r", "lone CR"),
        (b"date,id,price,vol\x1bume\n" + ROW, "control character '\\x1b'"),
        (b'date,id,price,"volume\n' + ROW, "quote that does not end"),
        (ROW, "no header line: the first line is data"),
        (b"01/02/2020,AAPL,12.5,100\n", "no header line: the first line is data"),
        (b"2020-01-01,DATE,1,1\n" + ROW, "no header line: the first line is data"),
        (b"id,price,volume\nA,1,1\n", "the header lacks 'date' (also timestamp, datetime, trade date, "),
        (b"date,open,volume\n", "the header lacks 'id' (also ticker, symbol, ticker symbol, code, name), 'price'"),
        (b"date,open,close,volume\n", "ticker = { from = \"key\", pattern = '(?P<ticker>[^/]+)\\.csv' }"),
        (b"date,MSFT,AAPL\n2020-01-01,1,2\n", 'If it has a column for each ticker: wide = { value = "price" }'),
        (b"date,id,price,volume,ID\n", "'id' (column 2), 'ID' (column 5) could each be the ticker"),
        (b"date,id,price,volume,symbol\n", "'id' (column 2), 'symbol' (column 5) could each be the ticker"),
        (b"id,name,date,close\n", "'id' (column 1), 'name' (column 2) could each be the ticker; a profile says which"),
        (b"date,timestamp,id,price\n", "'date' (column 1), 'timestamp' (column 2) could each be the date"),
        (b"date,id,price,volume,Close,trade_volume\n", "could each be the price; 'volume' (column 4), 'trade_volume'"),
        (b"date,id,price,open;date;id;price\n", "the header can be split at a comma or a semicolon"),
        (b"Datum;Symbol;Schluss\n", "got 'Datum;Symbol;Schluss', split at a semicolon"),
        (b"sep=,\ndate,id,price\n", "the first line, which is 'sep=,', a note for Excel; a profile skips it"),
        (
            b"Exported today\n\ndate,id,price\n",
            "line 3 looks like it ('date,id,price'): a profile skips what is before",
        ),
        (b"Price,Close\nTicker,A\nDate,\n2020-01-01,1\n", "the header has three lines (the first is 'Price,Close')"),
        (b"<html><head>\n", "HTML"),
        (b"<TICKER>,<CLOSE>\nA,1\n", "the header lacks 'date'"),
        (b"date,id,price,volume," + b"x" * 2**20 + b"\n" + ROW, "longer than 1,048,576 bytes"),
        (b"x" * 50_000_000, "longer than 1,048,576 bytes"),
    ],
)
def test_a_drop_that_is_no_csv_fails_and_says_why(data: bytes, said: str) -> None:
    """Nothing of such a drop loads, and its ranges give the same verdict as the whole."""
    parsed = read(data)
    assert said in (parsed.failure or "")
    nothing = replace(parsed, ticks=TICKS, rejects=Rejects.empty(), failure=None)
    assert nothing == Parsed(TICKS, Rejects.empty())
    assert (len(parsed.ticks), len(parsed.rejects)) == (0, 0)
    size, middle = len(data), len(data) // 2
    for start, end in [(0, middle), (middle, size)]:
        part = parse_split(lambda a, b: data[a:b], start, end, size, "a.csv", How(text_ids=False, unpacked_limit=0))
        assert part.failure == parsed.failure


@pytest.mark.parametrize("key", ["a.txt", "csv", "a.csv.7z", "a.csv.bak", "a.gz", "in/a.csv/"])
def test_a_wrong_name_fails(key: str) -> None:
    """Only names of price files load without a profile, whatever is in them."""
    failure = read(b"date,id,price,volume\n" + ROW, key).failure or ""
    assert failure.startswith("the name is none of a price file: expected .csv or .tsv at its end")
    assert f"got {key!r}" in failure


@pytest.mark.parametrize("data", [b"date,id,price,volume", b"date,id,price,volume\r\n\r\n"])
def test_a_header_alone_loads_no_rows(data: bytes) -> None:
    """A file with a header and no rows is loaded, with zero rows."""
    parsed = read(data)
    assert (parsed.failure, parsed.rows_read, len(parsed.ticks)) == (None, 0, 0)


def test_only_bad_rows_fail_the_drop_and_are_kept() -> None:
    """A drop whose rows are all rejected fails, with its counts and rejects; one of its ranges alone does not."""
    data = b"date,id,price,volume\n2020-01-01,A,x,1\n2020-01-01,B,y,1\n,,,\n"
    parsed = read(data)
    assert (parsed.failure or "").startswith(
        "every row was rejected, 3 in all: bad-price 2, bad-date 1; bad-price: expected a price from 1e-9 to 1e12"
    )
    assert (parsed.rows_read, parsed.rows_rejected, parsed.reasons) == (3, 3, {"bad-price": 2, "bad-date": 1})
    assert parsed.rejects == Rejects(
        [2, 3, 4], ["2020-01-01,A,x,1", "2020-01-01,B,y,1", ",,,"], ["bad-price", "bad-price", "bad-date"]
    )
    part = parse_split(lambda a, b: data[a:b], 0, len(data), len(data), "a.csv", How(text_ids=False, unpacked_limit=0))
    assert (part.failure, part.rows_rejected) == (None, 3)


def test_thirty_thousand_columns() -> None:
    """Columns are found among 30,000 others, whose names are listed in bounded number and length."""
    names = [b"x" * 20 + b"%d" % n for n in range(30_000)]
    names[7], names[20_000], names[29_998], names[29_999] = b"volume", b"date", b"close", b"ticker"
    row = [b"9"] * 30_000
    row[7], row[20_000], row[29_998], row[29_999] = b"5", b"2020-01-01", b"1.5", b"A"
    parsed = read(b",".join(names) + b"\n" + (b",".join(row) + b"\n") * 3)
    ticks = parsed.ticks
    assert (ticks.ids, ticks.price.tolist(), ticks.volume.tolist()) == (["A"], [1.5], [5])
    assert (parsed.rows_duplicate, len(parsed.ignored), parsed.ignored[-1]) == (2, 51, "(and 29946 more)")


def test_ignored_columns_are_named() -> None:
    """Other columns are listed as they are written, cut to 60 characters; one without a name by its position."""
    layout = read_header(b"date,id, Open ,price,volume,,%b\n" % (b"n" * 200), Rules(text_ids=False))
    assert layout.ignored == ["Open", "(column 6, without a name)", "n" * 60]
    assert (layout.columns, layout.width) == ((0, 1, 3, 4), 7)
