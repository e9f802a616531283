"""The CSV contract once more, in slow plain Python that shares no code with the package: the reference for `ticks`."""

import datetime as dt
import unicodedata
import zlib
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

BLANKS = (" ", "\t", "\N{NO-BREAK SPACE}", "\N{ZERO WIDTH NO-BREAK SPACE}")
SYNONYMS = [("date",), ("id", "ticker", "symbol"), ("price", "close"), ("trade_volume", "volume")]
NOT_TEXT = [b"\x1f\x8b", b"\xff\xfe", b"\xfe\xff", b"PK\x03\x04", b"PAR1", b"ORC", b"Obj\x01", b"\xd0\xcf\x11\xe0"]
NOT_TEXT += [b"%PDF", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd", b"7z\xbc\xaf"]

Cell = tuple[str, str]


@dataclass
class Fate:
    """failed: as a whole. cells: (date, id) → (price, volume or None) in the order of their last rows."""

    failed: bool = False
    cells: dict[Cell, tuple[float, int | None]] = field(default_factory=dict)
    rejects: list[tuple[int, str]] = field(default_factory=list)
    read: int = 0
    lines: int = 0


def fate_of(data: bytes, *, text_ids: bool = False, limit: int = 1 << 30, max_line: int = 1 << 20) -> Fate:
    """What must become of the bytes of one drop."""
    opened = _opened(data, limit)
    if opened is None:
        return Fate(failed=True)
    lines, top, names = opened
    columns = _columns([_strip(name).lower() for name in names])
    if columns is None:
        return Fate(failed=True)
    fate = Fate(lines=len(lines))
    for number, line in enumerate(lines[top + 1 :], top + 2):
        row = _row(line, columns, len(names), text_ids=text_ids, max_line=max_line)
        if row is None:
            continue
        fate.read += 1
        if isinstance(row, str):
            fate.rejects.append((number, row))
            continue
        day, ticker, price, volume = row
        _, known = fate.cells.pop((day, ticker), (0.0, None))
        fate.cells[day, ticker] = (price, known if volume is None else volume)
    fate.failed = fate.read > 0 and fate.read == len(fate.rejects)
    return fate


def _opened(data: bytes, limit: int) -> tuple[list[bytes], int, list[str]] | None:
    """Lines, the header's index among them, and its names; None if the drop is no CSV."""
    try:
        data = _gunzip(data) if data.startswith(b"\x1f\x8b") else data
        lines = data.split(b"\n")
        if lines[-1] == b"":
            lines.pop()
        top = next((number for number, line in enumerate(lines) if not _is_blank(line)), 0)
        names = _split(_cut_cr(lines[top]).decode()) if lines else None
    except (EOFError, zlib.error, UnicodeDecodeError):
        return None
    if names is None or len(data) > limit or _is_no_text(data) or _has_control("".join(names)):
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
        or bare.lstrip(b" \t\n\r\x0b\x0c")[:1] in (b"<", b"{", b"[")
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


def _columns(names: list[str]) -> list[int] | None:
    found = [[place for place, name in enumerate(names) if name in words] for words in SYNONYMS]
    return [places[0] for places in found] if all(len(places) == 1 for places in found) else None


def _split(text: str) -> list[str] | None:
    """Letter by letter: a field is quoted if its first letter that is no blank is a quote."""
    fields, at = [], 0
    while True:
        start = at
        at = _after_blanks(text, at)
        if text[at : at + 1] == '"':
            quoted = _quoted(text, at + 1)
            if quoted is None:
                return None
            value, at = quoted
        else:
            at = min(place for place in (text.find(",", at), len(text)) if place >= 0)
            value = text[start:at]
        fields.append(value)
        if at >= len(text):
            return fields
        at += 1


def _quoted(text: str, at: int) -> tuple[str, int] | None:
    """The value of a quoted field and where its comma or the end is."""
    value = ""
    while text[at : at + 1] != '"' or text[at + 1 : at + 2] == '"':
        if at >= len(text):
            return None
        value, at = value + text[at], at + (2 if text[at] == '"' else 1)
    at = _after_blanks(text, at + 1)
    return (value, at) if text[at : at + 1] in ("", ",") else None


def _after_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at] in BLANKS:
        at += 1
    return at


def _row(
    line: bytes, columns: list[int], width: int, *, text_ids: bool, max_line: int
) -> tuple[str, str, float, int | None] | str | None:
    if len(line) > max_line:
        return "line-too-long"
    try:
        text = _cut_cr(line).decode()
    except UnicodeDecodeError:
        return "not-utf8"
    fields = _split(text)
    if _strip(text) == "" or fields is None or len(fields) != width:
        return None if _strip(text) == "" else "bad-quotes" if fields is None else "wrong-number-of-fields"
    day, ticker, price, volume = (_strip(fields[column]) for column in columns)
    fault = _first_fault(day, ticker, price, volume) or ("control-character" if _has_control(text) else None)
    if fault:
        return fault
    if not text_ids and set(ticker) <= set("0123456789"):
        ticker = str(int(ticker)).zfill(3)
    return day, ticker, _float(price), int(volume.split(".")[0]) if volume else None


def _first_fault(day: str, ticker: str, price: str, volume: str) -> str | None:
    if all(value.lower() in words for value, words in zip((day, ticker, price, volume), SYNONYMS, strict=True)):
        return "repeated-header"
    if not _is_day(day):
        return "bad-date"
    if not 1 <= len(ticker.encode()) <= 59 or any(unicodedata.category(letter) == "Cc" for letter in ticker):
        return "bad-id"
    if price == "":
        return "missing-price"
    if not _is_decimal(price) or not 1e-9 <= _float(price) <= 1e12:
        return "bad-price"
    return "bad-volume" if volume and not _is_whole(volume) else None


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


def _is_whole(text: str) -> bool:
    whole, _, fraction = (text[1:] if text[:1] == "+" else text).partition(".")
    return _digits(whole) and set(fraction) <= {"0"} and int(whole) < 2**63
