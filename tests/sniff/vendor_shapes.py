"""Small files in the shapes in which producers give daily prices; the values are made up.

A file has so many days that its dates tell day and month apart, except where that is the point.
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import zipfile
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from streaming.sniff.proposal import Answers

if TYPE_CHECKING:
    from collections.abc import Callable

DAYS = [dt.date(2024, 3, 1) + dt.timedelta(days=number) for number in range(24)]


@dataclass(frozen=True)
class Shape:
    """A file of one producer: how many rows of it are good, and what its first one is: day, ticker, price, volume.

    asks: what is asked before a profile is proposed; answers: what is said then; plain: no profile is needed.
    """

    name: str
    key: str
    data: bytes
    rows: int
    first: tuple[str, str, float, int | None]
    asks: str | None = None
    answers: Answers = field(default_factory=Answers)
    plain: bool = False


def table(header: str, row: Callable[[int, dt.date], str], *, end: str = "\n", encoding: str = "utf-8") -> bytes:
    lines = [header] if header else []
    return (end.join([*lines, *(row(number, day) for number, day in enumerate(DAYS))]) + end).encode(encoding)


def price(number: int) -> str:
    return f"{172.54 + number:.2f}"


def german(number: float) -> str:
    return f"{number:,.2f}".translate(str.maketrans(",.", ".,"))


def of_zip(name: str, data: bytes) -> bytes:
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
    return sink.getvalue()


def parquet(**columns: object) -> bytes:
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink)
    return sink.getvalue()


def instant(day: dt.date, hour: int) -> int:
    return int(dt.datetime.combine(day, dt.time(hour), dt.UTC).timestamp())


FIRST = "2024-03-01"
N = len(DAYS)
SHAPES = [
    Shape(
        "Yahoo: a file a ticker, named by it", "AAPL.csv",
        table("Date,Open,High,Low,Close,Adj Close,Volume", lambda n, d: f"{d},170.1,175,169,{price(n)},171,{n + 10}"),
        N, (FIRST, "AAPL", 172.54, 10),
    ),
    Shape(
        "yfinance: history() with a zone", "history.csv",
        table("Date,Ticker,Open,Close,Volume,Dividends,Stock Splits",
              lambda n, d: f"{d} 00:00:00-05:00,MSFT,1,{price(n)},{n},0.0,0.0"),
        N, (FIRST, "MSFT", 172.54, 0), plain=True,
    ),
    Shape(
        "yfinance: three header lines, one ticker", "MHEAD.csv",
        b"Price,Close,High,Low,Open,Volume\nTicker,MHEAD,MHEAD,MHEAD,MHEAD,MHEAD\nDate,,,,,\n"
        + table("", lambda n, d: f"{d},{price(n)},1,1,1,{n}"),
        N, (FIRST, "MHEAD", 172.54, 0),
    ),
    Shape(
        "yfinance: three header lines, two tickers", "many.csv",
        b"Price,Close,Close,Volume,Volume\nTicker,MHA,MHB,MHA,MHB\nDate,,,,\n"
        + table("", lambda n, d: f"{d},{price(n)},44.1,{n},5"),
        2 * N, (FIRST, "MHA", 172.54, None),
    ),
    Shape(
        "stooq: bulk text, daily", "aapl.us.txt",
        table("<TICKER>,<PER>,<DATE>,<TIME>,<OPEN>,<HIGH>,<LOW>,<CLOSE>,<VOL>,<OPENINT>",
              lambda n, d: f"AAPL.US,D,{d:%Y%m%d},000000,1,1,1,{price(n)},{n}.5,0"),
        N, (FIRST, "AAPL.US", 172.54, None),
    ),
    Shape(
        "stooq: Polish page", "wig20_d.csv",
        table("Data,Otwarcie,Najwyzszy,Najnizszy,Zamkniecie,Wolumen", lambda n, d: f"{d},1,1,1,{price(n)},{n}"),
        N, (FIRST, "wig20_d", 172.54, 0),
    ),
    Shape(
        "Finam: header in brackets, tickers in the file", "GAZP_240301_240331.csv",
        table("<TICKER>;<PER>;<DATE>;<TIME>;<OPEN>;<HIGH>;<LOW>;<CLOSE>;<VOL>",
              lambda n, d: f"GAZP;D;{d:%d/%m/%y};000000;1;1;1;{price(n)};{n}"),
        N, (FIRST, "GAZP", 172.54, 0),
    ),
    Shape(
        "MetaTrader 4: no header", "EURUSD.csv",
        table("", lambda n, d: f"{d:%Y.%m.%d},00:00,1.0811,1.0822,1.0800,{1.08 + n / 1e4:.4f},{n + 30}"),
        N, (FIRST, "EURUSD", 1.08, 30),
    ),
    Shape(
        "MetaTrader 5: tabs", "EURUSD_Daily.csv",
        table("<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>",
              lambda n, d: f"{d:%Y.%m.%d}\t1.08\t1.09\t1.07\t{1.08 + n / 1e4:.4f}\t55\t{n}\t8"),
        N, (FIRST, "EURUSD_Daily", 1.08, 0),
    ),
    Shape(
        "Alpha Vantage", "daily_IBM.csv",
        table("timestamp,open,high,low,close,volume", lambda n, d: f"{d},1,1,1,{price(n)},{n}"),
        N, (FIRST, "daily_IBM", 172.54, 0),
    ),
    Shape(
        "Polygon: flat file, nanoseconds of New York's midnight", "2024-03-04.csv.gz",
        gzip.compress(
            table("ticker,volume,open,close,high,low,window_start,transactions",
                  lambda n, d: f"P,{n},1,{price(n)},1,1,{instant(d, 5 if d < dt.date(2024, 3, 11) else 4)}000000000,9"),
            mtime=0,
        ),
        N, (FIRST, "P", 172.54, 0),
    ),
    Shape(
        "Tiingo", "tiingo.csv",
        table("date,close,high,low,open,volume,adjClose,divCash,splitFactor,ticker",
              lambda n, d: f"{d}T00:00:00.000Z,{price(n)},1,1,1,{n},1.1,0.0,1.0,GOOG"),
        N, (FIRST, "GOOG", 172.54, 0), plain=True,
    ),
    Shape(
        "Quandl: WIKI table", "WIKI_PRICES.csv",
        table("ticker,date,open,high,low,close,volume,ex-dividend,split_ratio,adj_close,adj_volume",
              lambda n, d: f"A,{d},1,1,1,{price(n)},{n}.0,0.0,1.0,1.1,{n}"),
        N, (FIRST, "A", 172.54, 0), plain=True,
    ),
    Shape(
        "Quandl: an NSE set, other names", "NSE-TCS.csv",
        table("Date,Open,High,Low,Last,Close,Total Trade Quantity,Turnover (Lacs)",
              lambda n, d: f"{d},1,1,1,2,{price(n)},{n}.0,99.1"),
        N, (FIRST, "NSE-TCS", 172.54, 0),
    ),
    Shape(
        "EODHD: bulk with a footer", "eod.csv",
        table("Code,Date,Open,High,Low,Close,Adjusted_close,Volume",
              lambda n, d: f"AAPL.US,{d},1,1,1,{price(n)},1.1,{n}") + b"24\n",
        N, (FIRST, "AAPL.US", 172.54, 0), plain=True,
    ),
    Shape(
        "NSE: the old bhavcopy, zipped", "cm04MAR2024bhav.csv.zip",
        of_zip("cm04MAR2024bhav.csv", table(
            "SYMBOL,SERIES,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,TOTTRDQTY,TOTTRDVAL,TIMESTAMP,TOTALTRADES,ISIN,",
            lambda n, d: f"RELIANCE,EQ,1,1,1,{price(n)},2,3,{n},99.5,{d:%d-%b-%Y},7,INE002A01018,".upper(),
        )),
        N, (FIRST, "RELIANCE", 172.54, 0),
    ),
    Shape(
        "NSE: two series of one symbol", "sec_bhavdata.csv",
        b"SYMBOL, SERIES, DATE1, CLOSE_PRICE, TTL_TRD_QNTY\n"
        + table("", lambda n, d: f"SBIN, EQ, {d:%d-%b-%Y}, {price(n)}, {n}\nSBIN, N1, {d:%d-%b-%Y}, 10{n}.5, 1"),
        N, (FIRST, "SBIN", 172.54, 0), asks="--where COLUMN=VALUE", answers=Answers(where={"SERIES": "EQ"}),
    ),
    Shape(
        "NSE and BSE: the new bhavcopy (UDiFF)", "BhavCopy_NSE_CM_0_0_0_20240708_F_0000.csv",
        table("TradDt,BizDt,Sgmt,Src,FinInstrmTp,FinInstrmId,ISIN,TckrSymb,SctySrs,OpnPric,ClsPric,LastPric,TtlTradgVol",
              lambda n, d: f"{d},{d},CM,NSE,STK,2885,INE002A01018,RELIANCE,EQ,1,{price(n)},2,{n}"),
        N, (FIRST, "RELIANCE", 172.54, 0), asks="which column is the date: 'TradDt', 'BizDt'",
        answers=Answers(columns={"date": "TradDt"}),
    ),
    Shape(
        "BSE: the old bhavcopy, its date in its name", "EQ040324.CSV",
        table("SC_CODE,SC_NAME,SC_GROUP,SC_TYPE,OPEN,HIGH,LOW,CLOSE,LAST,PREVCLOSE,NO_TRADES,NO_OF_SHRS,NET_TURNOV",
              lambda n, _: f"{500002 + n},ABB LTD.   ,A ,Q,1,1,1,{price(n)},2,3,5,{n},1"),
        N, ("2024-03-04", "500002", 172.54, 0), asks="--day-first or --month-first", answers=Answers(day_first=True),
    ),
    Shape(
        "LEAN: a zip a ticker, no header, ten-thousandths", "aapl.zip",
        of_zip("aapl.csv", table("", lambda n, d: f"{d:%Y%m%d} 00:00,1361250,1662500,1361250,{1362500 + n},{n + 5}")),
        N, (FIRST, "aapl", 1362500.0, 5),
    ),
    Shape(
        "Excel in German", "Kurse.csv",
        table("Datum;Symbol;Eröffnung;Schluss;Volumen",
              lambda n, d: f"{d:%d.%m.%Y};SAP;1,00;{german(1172.54 + n)};{german(1234567 + n)[:-3]}",
              end="\r\n", encoding="cp1252"),
        N, (FIRST, "SAP", 1172.54, 1234567),
    ),
    Shape(
        "Excel in French", "cours.csv",
        table("Date;Code;Ouverture;Clôture;Volume",
              lambda n, d: f"{d:%d/%m/%Y};AI;1,5;{172.54 + n:.2f}".replace(".", ",") + f";1\u00a0234\u00a0{567 + n}",
              encoding="cp1252"),
        N, (FIRST, "AI", 172.54, 1234567),
    ),
    Shape(
        "Excel in Swiss German, with its note", "kurse_ch.csv",
        b"sep=;\r\n" + table("Datum;Symbol;Schlusskurs;Volumen",
                             lambda n, d: f"{d:%d.%m.%Y};NESN;1'{172 + n}.55;1'234'567", end="\r\n"),
        N, (FIRST, "NESN", 1172.55, 1234567),
    ),
    Shape(
        "Excel saved as Unicode text", "unicode.csv",
        table("Date\tSymbol\tClose\tVolume", lambda n, d: f"{d}\tZÜR\t{price(n)}\t{n}", encoding="utf-16"),
        N, (FIRST, "ZÜR", 172.54, 0),
    ),
    Shape(
        "Nasdaq's page", "HistoricalData_1709.csv",
        table("Date,Close/Last,Volume,Open,High,Low", lambda n, d: f"{d:%m/%d/%Y},${price(n)},{n},$1,$2,$3"),
        N, (FIRST, "HistoricalData_1709", 172.54, 0),
    ),
    Shape(
        "investing.com", "Gold Futures Historical Data.csv",
        b"\xef\xbb\xbf" + table('"Date","Price","Open","High","Low","Vol.","Change %"',
                                lambda n, d: f'"{d:%m/%d/%Y}","1,{608 + n}.00","1,611.25","1,613.50","1,605.25",'
                                             f'"{68 + n}.18K","-0.61%"'),
        N, (FIRST, "Gold Futures Historical Data", 1608.0, 68180),
    ),
    Shape(
        "The Wall Street Journal's page", "HistoricalPrices.csv",
        table("Date, Open, High, Low, Close", lambda n, d: f"{d:%m/%d/%y}, 1, 2, 1, {price(n)}"),
        N, (FIRST, "HistoricalPrices", 172.54, None),
    ),
    Shape(
        "Bloomberg: a title, then the fields", "bbg.csv",
        b"Security list as of 03/29/24\n\n" + table("Ticker,Date,PX_LAST,PX_VOLUME",
                                                    lambda n, d: f"IBM US Equity,{d:%m/%d/%Y},{price(n)},{n}"),
        N, (FIRST, "IBM US Equity", 172.54, 0),
    ),
    Shape(
        "Refinitiv: RIC and trade date", "dss.csv",
        table("RIC,Trade Date,Universal Close Price,Volume,Currency Code",
              lambda n, d: f"IBM.N,{d:%Y/%m/%d},{price(n)},{n},USD"),
        N, (FIRST, "IBM.N", 172.54, 0),
    ),
    Shape(
        "Kaggle: S&P 500, five years", "all_stocks_5yr.csv",
        table("date,open,high,low,close,volume,Name", lambda n, d: f"{d},1,1,1,{price(n)},{n},AAL"),
        N, (FIRST, "AAL", 172.54, 0), plain=True,
    ),
    Shape(
        "Kaggle: crypto with seconds", "btc.csv",
        table("unix,date,symbol,open,close,Volume BTC",
              lambda n, d: f"{instant(d, 0)},{d} 00:00:00,BTC/USD,1,{price(n)},{n}.5"),
        N, (FIRST, "BTC/USD", 172.54, None), plain=True,
    ),
    Shape(
        "A column for each ticker", "wide.csv",
        table("Date,WIDA,WIDB,WIDC", lambda n, d: f"{d},{price(n)},2.5,"),
        2 * N, (FIRST, "WIDA", 172.54, None),
    ),
    Shape(
        "Spreadsheet numbers for days", "serial.csv",
        table("Day,Symbol,Close,Volume", lambda n, d: f"{(d - dt.date(1899, 12, 30)).days},SER,{price(n)},{n}"),
        N, (FIRST, "SER", 172.54, 0),
    ),
    Shape(
        "Dhan: day first by hyphens", "NSE_TCS.csv",
        table("date,open,high,low,close,adjusted_close,volume,open_interest",
              lambda n, d: f"{d:%d-%m-%Y},1,1,1,{price(n)},1.1,{n},5"),
        N, (FIRST, "NSE_TCS", 172.54, 0),
    ),
    Shape(
        "Day or month first: nobody can tell", "few.csv",
        b"Date,Symbol,Close,Volume\n03/04/2024,FEW,1.5,10\n03/05/2024,FEW,1.6,11\n",
        2, ("2024-04-03", "FEW", 1.5, 10), asks="--day-first or --month-first", answers=Answers(day_first=True),
    ),
    Shape(
        "1,234 may be a thousand or one and a bit", "comma.csv",
        b"Date;Symbol;Close;Volume\n2024-03-01;COM;1,234;10\n2024-03-04;COM;1,235;11\n",
        2, (FIRST, "COM", 1234.0, 10), asks="--decimal , or --decimal .", answers=Answers(decimal="."),
    ),
    Shape(
        "Seconds that are midnight nowhere", "seconds.csv",
        table("time,symbol,close,volume", lambda n, d: f"{instant(d, 21) + 60},SEC,{price(n)},{n}"),
        N, (FIRST, "SEC", 172.54, 0), asks="--zone America/New_York", answers=Answers(zone="America/New_York"),
    ),
    Shape(
        "Parquet of pandas", "prices.parquet",
        parquet(date=DAYS, ticker=["PQ"] * N, close=[172.54 + n for n in range(N)], volume=list(range(N))),
        N, (FIRST, "PQ", 172.54, 0), plain=True,
    ),
]  # fmt: skip
