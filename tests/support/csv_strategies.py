"""CSV files for Hypothesis: good ones, ones with strange fields, ones with bytes changed."""

from hypothesis import strategies as st

HEADERS = (
    "date,id,price,trade_volume",
    "<TICKER>;<DATE>;<CLOSE>;<VOL>",
    "Timestamp|Code|Close/Last|exchange",
    "date,id,name,price",
    "time\tdate\tsymbol\tclose",
    "date,ticker,name,price",
    "Volume, Close ,TICKER,date",
    'x,"date",symbol,price,"a;b",volume',
    "\ufeffdate,id,price,volume",
)


def _pool(*lines: str) -> list[str]:
    return [value for line in lines for value in line.split("|")]


_DAYS = _pool(
    "2020-01-02|2020-01-02|2020-02-29|2021-02-29|1799-12-31|1800-01-01|2199-12-31|2200-01-01|20200102|2020-1-2|NaT",
    "2020-01-02 00:00:00-05:00|2020-01-02T09:30|2020/01/02|20200102 093000|2020-01-02 |2020-01-02T00:00:00.000Z",
    " 2020-01-02 |\uff12020-01-02|02/01/2020|2020-01-02T00:00||date|0000-00-00|+020-01-02|2020-13-01|2020-W01-1",
)
_IDS = _pool(
    "7|007|0007|0|00|AAPL|BRK.B|NA|NULL|TRUE|DATE|id|| |\x85|A\tB|\u00a0AAPL |a\x00b|\x7f|%s|xmin|null|1.0|\ud7ff",
    '\u0661\u0662|\u00b2|q"q|"open|"a,b"|"q""q"|"x"y|"; DROP TABLE prices; --|"""; DROP TABLE"|""',
    '=\'A\'|="600519"|\'7|;7|=7|\'|"=""7"""',
    "|".join(["x" * 59, "x" * 60, "é" * 29, "é" * 30, "0" * 58 + "7"]),
)
_PRICES = _pool(
    "1|1.5|.5|5.|+5|-5|1e3|1E-9|9.99e-10|1e12|1000000000001|1e400|1e-400|inf|nan|NaN|0x10|0|1_0|1,5|\uff11|| 2 |5e+2",
    "price|1e|.|+|1e5.0|0.1e-8|123456.7890123456789012345678|5f|5d|1e0000000000000000002|++5|+ 5|'5|5\r|-inf|infinity",
    "9007199254740993|1000000000000.00001|1000000000000.0001|1e+|1000000000000000000000000000000e-25",
)
_VOLUMES = _pool(
    "1|0|000|6189026.0000|| |-1|-0|+5|5.|5.5|9223372036854775807|9223372036854775808|0x1F|0X1F|1e3|1_0|\uff11|volume",
    "1e+05|1.5e3|68.18K|1e99|0e5|5.10|12.50e1|1e-3|NaN|-",
    "000000000000000000000000000007|99999999999999999999|.0|1 000|NA|5.0e0| 12\t|18446744073709551617|+|.|5..|5.0.0",
)
_NOTES = ["", "note", "M\udcfcnchen", '"a, b"', "\x01", "£", "a\tb"]
_LINES = ["", " ", "\r", ",,,", '"', "a\rb", "\ufeff", "date,id,price,volume", "x" * 200, '"' * 7, "2020-01-01,A,1,2,"]
_POOLS = {"date": _DAYS, "price": _PRICES, "close": _PRICES, "volume": _VOLUMES, "trade_volume": _VOLUMES}
_POOLS |= {"id": _IDS, "ticker": _IDS, "symbol": _IDS, "timestamp": _DAYS, "code": _IDS, "close/last": _PRICES}
_POOLS |= {"vol": _VOLUMES}
_GOOD = {"date": ["2020-03-04", "2020-03-05"], "price": ["2.5", "3"], "close": ["2.5"], "volume": ["3", ""]}
_GOOD |= {"timestamp": ["2020-03-04", "2020-03-05"], "code": ["A"], "close/last": ["2.5", "3"], "vol": ["3", ""]}
_GOOD |= {"trade_volume": ["3", ""], "id": ["AAPL", "7"], "ticker": ["é", "7"], "symbol": ["A"]}


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Some good rows, some with one strange field, some strange altogether."""
    header = draw(st.sampled_from(HEADERS))
    sign = next(sign for sign in ";|\t," if sign in header and not (sign == ";" and "a;b" in header))
    names = [name.strip(' "\ufeff<>').lower() for name in header.split(sign)]
    text = [header]
    for _ in range(draw(st.integers(0, 6))):
        strange = draw(st.sampled_from(["nothing", "all", "line", *names]))
        row = []
        for name in names:
            pool = _POOLS if strange in (name, "all") else _GOOD
            value = draw(st.sampled_from(pool.get(name, _NOTES)))
            row.append(f'"{value}"' if draw(st.integers(0, 7)) == 0 else value)
        text.append(draw(st.sampled_from(_LINES)) if strange == "line" else sign.join(row))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return (end.join(text) + draw(st.sampled_from([end, ""]))).encode(errors="surrogateescape")


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A file with bytes changed, added or lost in up to three places."""
    data = bytearray(draw(files()))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        put = draw(st.one_of(st.binary(max_size=3), st.sampled_from([b"\n", b'"', b",", b"\x00", b"\xff"])))
        data[at : at + draw(st.integers(0, 3))] = put
    return bytes(data)
