"""Names of columns in several languages and from many producers: what a proposal may rest on, and a reading may not."""

from __future__ import annotations

from streaming.ticks.names import DATE, ID, PRICE, REQUIRED, VOLUME, plain
from streaming.ticks.names import meaning as known

_RANKED: dict[str, tuple[tuple[str, ...], ...]] = {
    DATE: (
        ("date", "datum", "fecha", "data", "日付", "日期", "交易日期", "дата", "dato", "tarih", "päivämäärä"),
        ("trade date", "trading date", "tradedate", "traddt", "bizdt", "business date", "as of date", "date1"),
        ("timestamp", "datetime", "date time", "window start", "dtyyyymmdd", "time", "t", "day", "session"),
        ("quote date", "price date", "pricing date", "caldt", "datadate", "dates", "asof", "begin"),
    ),
    ID: (
        ("ticker", "symbol", "tckrsymb", "sc code", "ticker symbol", "kürzel", "símbolo", "symbole", "tic"),
        ("code", "ric", "instrument", "identifier", "bbg ticker", "bloomberg ticker", "security", "paper", "stock"),
        ("isin", "wkn", "permno", "cusip", "sedol", "股票代码", "valor", "id", "isin no", "fininstrmid", "#ric"),
        ("name", "company", "sc name", "titel", "bezeichnung", "libellé", "valeur", "nome", "nombre", "asset"),
    ),
    PRICE: (
        ("close", "price", "close/last", "close price", "closing price", "px last", "schluss", "schlusskurs"),
        ("clspric", "cierre", "clôture", "cloture", "chiusura", "fechamento", "slutkurs", "slotkoers", "zamkniecie"),
        (
            "universal close price",
            "official closing price",
            "closing",
            "zamknięcie",
            "收盘",
            "收盘价",
            "終値",
            "закрытие",
        ),
        ("c", "last", "dernier", "ultimo", "último", "letzter", "kurs", "trade close", "prc", "цена", "last price"),
        ("nav", "value", "mid", "rate", "settle", "ask close", "bid close", "settlement price"),
        ("adj close", "adj. close", "adjusted close", "adjclose", "adjusted"),
    ),
    VOLUME: (
        ("volume", "vol", "trade volume", "total volume", "volumen", "trading volume", "share volume", "px volume"),
        ("tottrdqty", "ttltradgvol", "ttl trd qnty", "no of shrs", "no. of shares", "shares traded", "quantity"),
        ("total trade quantity", "volumes", "umsatz", "stück", "handelsvolumen", "cantidad", "quantità", "wolumen"),
        ("成交量", "出来高", "объем", "acvol 1", "v", "qty", "accumulated volume", "deliverable volume"),
        ("tick volume", "tickvol", "ticks"),
    ),
}
OTHER_PRICES = frozenset(
    (
        *("open", "high", "low", "o", "h", "l", "bid", "ask", "vwap", "turnover", "volume"),
        *("eröffnung", "hoch", "tief", "ouverture", "plus haut", "plus bas", "apertura", "máximo", "mínimo"),
        *("otwarcie", "najwyzszy", "najnizszy", "öppning", "högst", "lägst"),
    )
)
"""Prices that are not the close: beside them the columns are no tickers."""


def meaning(name: str) -> str | None:
    """The column that a name most likely stands for."""
    if (column := known(name)) is not None:
        return column
    bare = plain(name)
    return next((column for column in REQUIRED if any(bare in names for names in _RANKED[column])), None)


def best(column: str, names: list[str]) -> list[int]:
    """The places of the likeliest names of a column: several if nothing tells them apart, none if there is none."""
    bare = [plain(name) for name in names]
    for ranked in _RANKED[column]:
        found = [place for place, name in enumerate(bare) if name in ranked]
        if found:
            return found
    return [place for place, name in enumerate(names) if known(name) == column]
