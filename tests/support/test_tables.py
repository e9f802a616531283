"""The oracle of the whole-job tests against tables written out by hand."""

from __future__ import annotations

import datetime as dt

import pandas as pd
import psycopg2
import pytest
import tables

DAY = dt.date(2024, 1, 1)
NEXT = dt.date(2024, 1, 2)
THIRD = dt.date(2024, 1, 3)
NAN = float("nan")


def _frame(values: list[list[float]] | list[list[int]], dates: list[dt.date], ids: list[str]) -> pd.DataFrame:
    return pd.DataFrame(values, dates, ids)


def test_a_late_price_and_a_correction_give_the_returns_of_the_dates_that_have_a_price() -> None:
    """The last price wins, and a return looks back to the previous date on which the ticker has a price."""
    drops = [
        b"date,id,price,trade_volume\n2024-01-03,7,12,300\n2024-01-01,007,8,100\n2024-01-03,A,1,\n",
        b"VOLUME,Symbol,other,Close,Date\r\n,A,x,2,2024-01-03\r\n200.0,7,x,10,2024-01-02\r\n,7,x,9,2024-01-01\r\n",
    ]
    got = tables.expected(drops)
    dates, ids = [DAY, NEXT, THIRD], ["007", "A"]
    want = tables.Tables(
        _frame([[9.0, NAN], [10.0, NAN], [12.0, 2.0]], dates, ids),
        _frame([[NAN, NAN], [10.0 / 9.0 - 1, NAN], [12.0 / 10.0 - 1, NAN]], dates, ids),
        _frame([[100, -1], [200, -1], [300, -1]], dates, ids),
    )
    tables.assert_same(got, want)


@pytest.mark.parametrize(
    "row",
    [
        "2024-02-30,A,1,1",
        "2024-1-2,A,1,1",
        "2200-01-01,A,1,1",
        "2024-01-02,,1,1",
        "2024-01-02,A,,1",
        "2024-01-02,A,nan,1",
        "2024-01-02,A,0,1",
        "2024-01-02,A,1e13,1",
        "2024-01-02,A,1,1.5",
        "2024-01-02,A,1,-1",
        "2024-01-02,A,1,9223372036854775808",
        "2024-01-02,A,1",
        "date,id,price,trade_volume",
        "2024-01-02," + "A" * 60 + ",1,1",
    ],
)
def test_a_row_outside_the_contract_loads_nothing(row: str) -> None:
    """Every value must be one that the contract allows; the rows around it load."""
    header, good = "date,id,price,trade_volume", "2024-01-01,A,1,9223372036854775807"
    tables.assert_same(
        tables.expected([f"{header}\n{row}\n{good}\n".encode()]), tables.expected([f"{header}\n{good}\n".encode()])
    )


def test_a_file_without_a_good_header_loads_nothing() -> None:
    """A required name that is missing or stands twice fails the file; so does no file at all."""
    good = b"date,id,price,volume\n2024-01-01,A,1,1\n"
    bad = [b"", b"2024-01-01,B,1,1\n", b"date,id,price\n2024-01-01,B,1\n", b"date,id,price,close,volume\n,B,1,1,1\n"]
    tables.assert_same(tables.expected([*bad, good]), tables.expected([good]))


def test_ids_of_digits_are_other_tickers_when_ids_are_text() -> None:
    """Padding to three digits makes `7`, `007` and `0007` one ticker, and text ids keep them apart."""
    drop = [b"date,id,price,volume\n2024-01-01,7,1,1\n2024-01-01,007,1,1\n2024-01-01,0050,1,1\n"]
    assert list(tables.expected(drop).prices) == ["007", "050"]
    assert list(tables.expected(drop, text_ids=True).prices) == ["0050", "007", "7"]


def test_the_difference_names_table_date_and_ticker() -> None:
    """The smallest difference fails, and the message says which cell it is in."""
    want = tables.expected([b"date,id,price,volume\n2024-01-01,A,1,1\n2024-01-02,A,3,9007199254740993\n"])
    got = tables.expected([b"date,id,price,volume\n2024-01-01,A,1,1\n2024-01-03,A,3,9007199254740992\n"])
    got.prices.loc[DAY, "A"] = 1.0000000000000002
    with pytest.raises(AssertionError) as failure:
        tables.assert_same(got, want)
    assert str(failure.value).splitlines() == [
        "the tables differ:",
        "prices: date 2024-01-02 missing",
        "prices: date 2024-01-03 not expected",
        "prices 2024-01-01 A: expected 1.0, got 1.0000000000000002",
        "returns: date 2024-01-02 missing",
        "returns: date 2024-01-03 not expected",
        "volume: date 2024-01-02 missing",
        "volume: date 2024-01-03 not expected",
    ]


def test_the_database_is_read_to_the_bit_over_all_column_groups(database: str) -> None:
    """What COPY prints comes back as the same float and the same 63 bits, whichever table the ticker lives in."""
    volume = 9223372036854775807
    connection = psycopg2.connect(database)
    with connection, connection.cursor() as cur:
        cur.execute("CREATE SCHEMA IF NOT EXISTS stocketl")
        cur.execute("DROP TABLE IF EXISTS stocketl.tickers, prices, prices_2, returns, returns_2, volume, volume_2")
        cur.execute("CREATE TABLE stocketl.tickers (id text PRIMARY KEY, column_name text, table_no int)")
        cur.execute("INSERT INTO stocketl.tickers VALUES ('A', 'stk_A', 1), ('%s', 'stk_%s', 2), ('B', 'stk_B', 1)")
        for name, kind in (("prices", "float8"), ("returns", "float8"), ("volume", "bigint")):
            cur.execute(f'CREATE TABLE {name} (date date PRIMARY KEY, "stk_A" {kind}, "stk_B" {kind})')
            cur.execute(f'CREATE TABLE {name}_2 (date date PRIMARY KEY, "stk_%s" {kind})')
        cur.execute("INSERT INTO prices VALUES ('2024-01-02', 0.3, NULL), ('2024-01-01', 0.1, 2)")
        cur.execute("INSERT INTO prices_2 VALUES ('2024-01-03', 5e-9)")
        cur.execute("INSERT INTO returns VALUES ('2024-01-02', %s, NULL)", [0.3 / 0.1 - 1])
        cur.execute("INSERT INTO volume VALUES ('2024-01-01', NULL, NULL), ('2024-01-02', %s, NULL)", [volume])
    connection.close()
    dates, ids = [DAY, NEXT, THIRD], ["%s", "A", "B"]
    want = tables.Tables(
        _frame([[NAN, 0.1, 2.0], [NAN, 0.3, NAN], [5e-9, NAN, NAN]], dates, ids),
        _frame([[NAN, NAN, NAN], [NAN, 0.3 / 0.1 - 1, NAN], [NAN, NAN, NAN]], dates, ids),
        _frame([[-1, -1, -1], [-1, volume, -1], [-1, -1, -1]], dates, ids),
    )
    tables.assert_same(tables.stored(database), want)
