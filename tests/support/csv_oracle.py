"""The CSV contract once more, in slow plain Python that shares no code with the package: the reference for `ticks`."""

import datetime as dt
import unicodedata
import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

BLANKS = (" ", "\t", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}")
BEFORE = [("date",), ("id", "ticker", "symbol"), ("price", "close"), ("trade_volume", "volume")]
SYNONYMS = [
    ("date", "timestamp", "datetime", "trade date", "trading date", "trading day", "dtyyyymmdd"),
    ("id", "ticker", "symbol", "ticker symbol", "code", "name"),
    ("price", "close", "close/last", "close price", "closing price", "px last"),
    ("trade volume", "volume", "vol", "total volume", "trading volume", "share volume", "px volume"),
]
SECOND = ("time", "time of day", "hour", "minute", "series", "exchange", "exch", "mic", "market", "venue")
SECOND += ("currency", "ccy")
NOT_TEXT = [b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04", b"PAR1", b"ORC", b"Obj\x01", b"\xd0\xcf\x11\xe0"]
NOT_TEXT += [b"%PDF", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"]

Cell = tuple[str, str]


@dataclass
class Fate:
    """failed: as a whole. cells: (date, id) → (price, volume or None) in the order of their last rows.

    conflicts: rows that differ from what the rows of their cell before them say. unreadable: lines without a volume.
    """

    failed: bool = False
    cells: dict[Cell, tuple[float, int | None]] = field(default_factory=dict)
    rejects: list[tuple[int, str]] = field(default_factory=list)
    read: int = 0
    lines: int = 0
    conflicts: int = 0
    unreadable: list[int] = field(default_factory=list)


@dataclass
class Header:
    """columns: places of date, id, price and volume, the last one None if there is none; width: fields of a row.

    second_key: places of the columns that may tell rows of one date and id apart.
    """

    delimiter: str
    columns: list[int | None]
    width: int
    second_key: list[int]
    before: bool


def fate_of(
    data: bytes, *, text_ids: bool = False, limit: int = 1 << 30, max_line: int = 1 << 20, before: bool = False
) -> Fate:
    """What must become of the bytes of one drop. before: as they were read before there were profiles."""
    opened = _opened(data, limit)
    header = _header(opened[2], before=before) if opened else None
    if opened is None or header is None:
        return Fate(failed=True)
    lines, top, _ = opened
    fate, timed = Fate(lines=len(lines)), False
    differ: set[tuple[str, str]] = set()
    beside: dict[tuple[str, str], set[tuple[str, ...]]] = {}
    for number, line in enumerate(lines[top + 1 :], top + 2):
        row = _row(line, header, text_ids=text_ids, max_line=max_line)
        if row is None:
            continue
        fate.read += 1
        if isinstance(row, str):
            fate.rejects.append((number, row))
            continue
        day, ticker, price, volume = row
        timed = timed or (not before and _clock(day[10:]) not in ("", "0"))
        day = _iso(day)
        if isinstance(volume, str):
            fate.unreadable.append(number)
            volume = None
        earlier, known = fate.cells.pop((day, ticker), (price, None))
        conflict = earlier != price or (volume is not None and known is not None and volume != known)
        fate.conflicts += conflict
        differ |= {(day, ticker)} if conflict else set()
        fields = _split(_cut_cr(line).decode(errors="surrogateescape"), header.delimiter) or []
        beside.setdefault((day, ticker), set()).add(tuple(_strip(fields[place]) for place in header.second_key))
        fate.cells[day, ticker] = (price, known if volume is None else volume)
    if differ and not before and (timed or any(len(beside[cell]) > 1 for cell in differ)):
        return Fate(failed=True)
    fate.failed = fate.read > 0 and fate.read == len(fate.rejects)
    return fate


def _opened(data: bytes, limit: int) -> tuple[list[bytes], int, str] | None:
    """Lines, the header's index among them, and its text; None if the drop is no CSV."""
    try:
        data = _gunzip(data) if data.startswith(b"\x1f\x8b") else data
        lines = data.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        top = next((number for number, line in enumerate(lines) if not _is_blank(line)), 0)
        names = _cut_cr(lines[top]).decode() if lines else None
    except (EOFError, zlib.error, UnicodeDecodeError):
        return None
    if names is None or len(data) > limit or _is_no_text(data) or _has_control(names):
        return None
    return None if len(b"\n".join(lines[: top + 1])) > 1 << 20 else (lines, top, names)


def _gunzip(data: bytes) -> bytes:
    """All members at once; not `gzip.decompress`, which overlooks reserved flags and the header's checksum."""
    text = b""
    while data.strip(b"\x00"):
        member = zlib.decompressobj(wbits=31)
        text += member.decompress(data)
        if not member.eof:
            raise EOFError
        data = member.unused_data
    return text


def _is_no_text(data: bytes) -> bool:
    bare = data[3:] if data[:3] == b"\xef\xbb\xbf" else data
    return (
        any(data.startswith(magic) for magic in NOT_TEXT)
        or bare.lstrip(b" \t\n\r\x0b\x0c")[:1] in (b"{", b"[")
        or (bare.lstrip(b" \t\n\r\x0b\x0c")[:1] == b"<" and not _are_bracketed(bare.strip().splitlines()[0]))
        or 0 in data[: 1 << 16]
    )


def _is_blank(line: bytes) -> bool:
    return _strip(_cut_cr(line).decode(errors="replace")) == ""


def _cut_cr(line: bytes) -> bytes:
    return line[:-1] if line[-1:] == b"\r" else line


def _strip(text: str) -> str:
    while text and text[0] in BLANKS:
        text = text[1:]
    while text and text[-1] in BLANKS:
        text = text[:-1]
    return text


def _has_control(text: str) -> bool:
    return any((ord(letter) < 32 and letter != "\t") or ord(letter) == 127 for letter in text)


def _are_bracketed(line: bytes) -> bool:
    """`<A>,<B>` and the like: names, and no tags."""
    text = line.decode("latin-1")
    fields = [field.strip(" \t") for field in text.replace(";", ",").replace("|", ",").replace("\t", ",").split(",")]
    inner = [field[1:-1] for field in fields if field[:1] == "<" and field[-1:] == ">"]
    return len(fields) > 1 and len(inner) == len(fields) and all(_is_word(name) for name in inner)


def _is_word(name: str) -> bool:
    return name != "" and all(letter.isascii() and (letter.isalnum() or letter in "_ /-") for letter in name)


def _header(text: str, *, before: bool) -> Header | None:
    found = [_split_at(text, sign, before=before) for sign in ((",",) if before else (",", ";", "\t", "|"))]
    readable = [header for header in found if header is not None]
    if len(readable) != 1 or any(len(places) > 1 for places in readable[0][1]):
        return None
    sign, places, names = readable[0]
    columns = [next(iter(found), None) for found in places]
    second = [number for number, name in enumerate(names) if _plain(name) in SECOND and number not in columns]
    return Header(sign, columns, len(names), second, before)


def _split_at(text: str, sign: str, *, before: bool) -> tuple[str, list[list[int]], list[str]] | None:
    names = _split(text, sign)
    if names is None:
        return None
    names = [_strip(name) for name in names]
    plain = [name.lower() if before else _plain(name) for name in names]
    places = [[n for n, name in enumerate(plain) if name in words] for words in (BEFORE if before else SYNONYMS)]
    if not before and any(plain[place] in ("ticker", "symbol", "ticker symbol") for place in places[1]):
        places[1] = [place for place in places[1] if plain[place] != "name"]
    return (sign, places, names) if all(places[: 4 if before else 3]) else None


def _plain(name: str) -> str:
    bare = name.casefold()
    if len(bare) > 1 and bare[0] == "<" and bare[-1] == ">":
        bare = bare[1:-1]
    while bare.endswith("."):
        bare = bare[:-1]
    return " ".join(bare.replace("_", " ").replace("-", " ").split())


def _split(text: str, sign: str = ",") -> list[str] | None:
    """Letter by letter: a field is quoted if its first letter that is no blank is a quote."""
    fields, at = [], 0
    while True:
        start = at
        at = _after_blanks(text, at, sign)
        if text[at : at + 1] == '"':
            quoted = _quoted(text, at + 1, sign)
            if quoted is None:
                return None
            value, at = quoted
        else:
            at = min(place for place in (text.find(sign, at), len(text)) if place >= 0)
            value = text[start:at]
        fields.append(value)
        if at >= len(text):
            return fields
        at += 1


def _quoted(text: str, at: int, sign: str) -> tuple[str, int] | None:
    """The value of a quoted field and where its comma or the end is."""
    value = ""
    while text[at : at + 1] != '"' or text[at + 1 : at + 2] == '"':
        if at >= len(text):
            return None
        value, at = value + text[at], at + (2 if text[at] == '"' else 1)
    at = _after_blanks(text, at + 1, sign)
    return (value, at) if text[at : at + 1] in ("", sign) else None


def _after_blanks(text: str, at: int, sign: str) -> int:
    while at < len(text) and text[at] in BLANKS and text[at] != sign:
        at += 1
    return at


def _row(
    line: bytes, header: Header, *, text_ids: bool, max_line: int
) -> tuple[str, str, float, int | str | None] | str | None:
    """A volume that is a text is none."""
    if len(line) > max_line:
        return "line-too-long"
    text = _cut_cr(line).decode(errors="surrogateescape")
    if header.before and _has_no_text(text):
        return "not-utf8"
    fields = _split(text, header.delimiter)
    if _strip(text) == "" or fields is None or len(fields) != header.width:
        return None if _strip(text) == "" else "bad-quotes" if fields is None else "wrong-number-of-fields"
    day, ticker, price, volume = ("" if column is None else _strip(fields[column]) for column in header.columns)
    if _has_no_text(day + ticker + price + volume):
        return "not-utf8"
    ticker = ticker if header.before else _unguarded(ticker)
    fault = _first_fault(day, ticker, price, volume, header) or ("control-character" if _has_control(text) else None)
    if fault:
        return fault
    if not text_ids and set(ticker) <= set("0123456789"):
        ticker = str(int(ticker)).zfill(3)
    return day, ticker, _float(price), (_whole(volume, before=header.before) if volume else None)


def _has_no_text(text: str) -> bool:
    return any("\udc80" <= letter <= "\udcff" for letter in text)


def _unguarded(ticker: str) -> str:
    if ticker[:2] == '="' and ticker[-1:] == '"' and len(ticker) > 2:
        return _strip(ticker[2:-1])
    if ticker[:1] == "'" and len(ticker) > 1:
        return _strip(ticker[1:])
    half = ticker[:1] == "=" or (ticker[:1] == ";" and ticker[1:2].isalnum())
    return "" if half else ticker


def _first_fault(day: str, ticker: str, price: str, volume: str, header: Header) -> str | None:
    words = BEFORE if header.before else SYNONYMS
    given = [
        (value.lower() if header.before else _plain(value)) in names
        for value, names, column in zip((day, ticker, price, volume), words, header.columns, strict=True)
        if column is not None
    ]
    if all(given):
        return "repeated-header"
    if not (_is_day(day) if header.before else _is_day(_iso(day)) and _clock(day[len(_date_part(day)) :]) is not None):
        return "bad-date"
    if not 1 <= len(ticker.encode(errors="replace")) <= 59 or any(unicodedata.category(x) == "Cc" for x in ticker):
        return "bad-id"
    if price == "":
        return "missing-price"
    if not _is_decimal(price) or not 1e-9 <= _float(price) <= 1e12:
        return "bad-price"
    return "bad-volume" if header.before and volume and isinstance(_whole(volume, before=True), str) else None


def _date_part(text: str) -> str:
    return text[:8] if set(text[:8]) <= set("0123456789") else text[:10]


def _iso(text: str) -> str:
    """`YYYY-MM-DD` of a text that begins with a date, whatever follows it; the text itself if it does not."""
    date = _date_part(text)
    if len(date) == 8 and set(date) <= set("0123456789"):
        return f"{date[:4]}-{date[4:6]}-{date[6:]}"
    return date.replace("/", "-") if date[4:5] == date[7:8] == "/" else date


def _clock(text: str) -> str | None:
    """What follows a date: "" for nothing, "0" for midnight, "1" for another time, None for anything else."""
    if text == "":
        return ""
    if text[0] not in "T " or not text[1:2].isdigit():
        return None
    clock, zone = text[1:], ""
    for at, letter in enumerate(clock):
        if letter in " Z+-UG":
            clock, zone = clock[:at], clock[at:].removeprefix(" ")
            if zone == "":
                return None
            break
    figures, mark, part = clock.replace(",", ".").partition(".")
    if ":" in figures:
        pieces = figures.split(":")
        pieces = [pieces[0], *pieces[1:]] if all(len(piece) == 2 for piece in pieces) else []
    else:
        pieces = [figures[n : n + 2] for n in range(0, len(figures), 2)]
    return _judged_clock(pieces, mark, part, zone)


def _judged_clock(pieces: list[str], mark: str, part: str, zone: str) -> str | None:
    if len(pieces) not in (2, 3) or not all(_digits(piece) and len(piece) == 2 for piece in pieces):
        return None
    if int(pieces[0]) > 23 or any(int(piece) > 59 for piece in pieces[1:]):
        return None
    if mark and (len(pieces) != 3 or not _digits(part) or len(part) > 9):
        return None
    offset = zone[1:].replace(":", "", 1)
    named = zone in ("", "Z", "UTC", "GMT")
    if not named and not (zone[0] in "+-" and _digits(offset) and len(offset) in (2, 4) and int(offset[:2]) <= 14):
        return None
    if not named and (len(offset) == 4 and int(offset[2:]) > 59):
        return None
    return "0" if int("".join(pieces) + (part or "0")) == 0 else "1"


def _is_day(text: str) -> bool:
    if not all(a in "0123456789" if b == "0" else a == b for a, b in zip(text, "0000-00-00", strict=False)):
        return False
    try:
        return len(text) == 10 and 1800 <= dt.date(*map(int, text.split("-"))).year <= 2199
    except ValueError:
        return False


def _digits(text: str) -> bool:
    return text != "" and set(text) <= set("0123456789")


def _is_decimal(text: str) -> bool:
    mantissa, mark, exponent = text.replace("E", "e").partition("e")
    whole, _, fraction = (mantissa[1:] if mantissa[:1] == "+" else mantissa).partition(".")
    power = exponent[1:] if exponent[:1] in ("+", "-") else exponent
    return _digits(whole + fraction) and (_digits(power) if mark else True)


def _float(text: str) -> float:
    """The nearest float64 by exact rational arithmetic; 0 if the number is far out of range anyway."""
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent.lstrip("+-0")) > 4:
        return 0.0
    power = int(exponent or 0)
    size = Decimal(mantissa).adjusted() + power
    return float(Fraction(Decimal(mantissa)) * Fraction(10) ** power) if -20 < size < 20 else 0.0


def _whole(text: str, *, before: bool) -> int | str:
    """The number, or the text itself if it is not a whole number of 63 bits."""
    whole, _, fraction = (text[1:] if text[:1] == "+" else text).partition(".")
    if _digits(whole) and set(fraction) <= {"0"}:
        return int(whole) if int(whole) < 2**63 else text
    if before or not _is_decimal(text) or len(text) > 60:
        return text
    mantissa, _, exponent = text.lower().partition("e")
    if len(exponent.lstrip("+-0")) > 4:
        return 0 if set(mantissa) <= set("+0.") else text
    number = Fraction(Decimal(mantissa)) * Fraction(10) ** int(exponent or 0)
    return int(number) if number.denominator == 1 and number < 2**63 else text
