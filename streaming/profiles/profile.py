"""A profile: how the files of one producer are read, checked when it is made; its text and its digest.

What a profile does not say is read as without one. The digest stands for the text: two profiles with one digest read
every file alike, so a replay and `stocketl verify` can name by it how a drop was read.
"""

from __future__ import annotations

import codecs
import datetime as dt
import hashlib
import json
import re
import warnings
import zoneinfo
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

_EPOCHS = ("unix-s", "unix-ms", "unix-us", "unix-ns")
WIDE_ENCODINGS = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le", "utf-32-be")
"""Encodings of more than one byte a letter: such a file cannot be cut at its line ends."""
_LETTERS = "+~\\\n\r\t ,;|\"'-./:0123456789ABCZabcz"
_TRIAL = dt.datetime(2023, 11, 25)  # noqa: DTZ001 (a date: day, month and year cannot be taken for each other)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True, hide_input_in_errors=True)


def _pattern(group: str) -> AfterValidator:
    def checked(text: str) -> str:
        try:
            groups = re.compile(text).groupindex
        except re.error as error:
            msg = f"expected a regular expression, got {text!r}: {error}"
            raise ValueError(msg) from None
        if group not in groups:
            msg = f"expected a pattern with the group (?P<{group}>…), got {text!r}"
            raise ValueError(msg)
        return text

    return AfterValidator(checked)


def _one(what: str, unfit: str = "") -> AfterValidator:
    def checked(text: str) -> str:
        fits = len(text) == 1 and not text.isalnum() and (text.isascii() or what != "delimiter")
        if not fits or text in '\n\r"' or text in unfit:
            msg = f"expected one character as {what}, got {text!r}"
            raise ValueError(msg)
        return text

    return AfterValidator(checked)


def _encoding(text: str) -> str:
    try:
        name = codecs.lookup(text).name.removesuffix("-sig")
        plain = name in WIDE_ENCODINGS or _LETTERS.encode(name) == _LETTERS.encode("ascii")
    except (LookupError, ValueError):
        plain = False
    if not plain:
        msg = f"expected an encoding of text such as cp1252, latin-1, gbk or utf-16, got {text!r}"
        raise ValueError(msg)
    return name


def _format(text: str) -> str:
    if text in {*_EPOCHS, "excel"}:
        return text
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # from Python 3.13 on, for one without a year
            known = dt.datetime.strptime(_TRIAL.strftime(text), text).date() == _TRIAL.date()  # noqa: DTZ007 (a date)
    except ValueError:
        known = False
    if not known:
        msg = (
            "expected a format of day, month and year such as %d.%m.%Y, or excel, unix-s, unix-ms, unix-us, unix-ns; "
            f"got {text!r}"
        )
        raise ValueError(msg)
    return text


def _zone(text: str) -> str:
    try:
        zoneinfo.ZoneInfo(text)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        msg = f"expected a time zone such as America/New_York or UTC, got {text!r}"
        raise ValueError(msg) from None
    return text


def _listed(value: object) -> object:
    return [value] if isinstance(value, str) else value


Column = Annotated[str, Field(min_length=1)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class TickerOfKey(_Part):
    """The ticker stands in the name of the file: the group `ticker` of a pattern that is found in the key."""

    source: Literal["key"] = Field(alias="from")
    pattern: Annotated[str, _pattern("ticker")]


class DateOfKey(_Part):
    """The same for the date of all rows, the group `date`."""

    source: Literal["key"] = Field(alias="from")
    pattern: Annotated[str, _pattern("date")]
    format: Annotated[str, AfterValidator(_format)] | None = None
    zone: Annotated[str, AfterValidator(_zone)] | None = None


class DateColumn(_Part):
    """The column of the dates, and how they are written.

    format: of `strptime`, `unix-s|ms|us|ns` (seconds and so on since 1970, the day of `zone`), `excel` (its number of
    days), or none: as without a profile.
    """

    column: Column | None = None
    format: Annotated[str, AfterValidator(_format)] | None = None
    zone: Annotated[str, AfterValidator(_zone)] | None = None

    @model_validator(mode="after")
    def _zone_of_seconds(self) -> DateColumn:
        if self.format in _EPOCHS and self.zone is None:
            msg = f'{self.format} needs the zone whose days are meant, such as zone = "America/New_York"'
            raise ValueError(msg)
        return self


class VolumeColumn(_Part):
    """unknown: texts that stand for an unknown volume."""

    column: Column | None = None
    unknown: Texts = ()


class RowsWanted(_Part):
    """where: only rows with these texts in these columns count; keep: which row of one (date, ticker) does."""

    where: dict[Column, Texts] = Field(default_factory=dict)
    keep: Literal["last", "first"] = "last"


class Csv(_Part):
    """How the text is written. header: the names of the columns, if no line of the file gives them."""

    delimiter: Annotated[str, _one("delimiter", unfit=" .-+")] | None = None
    decimal: Literal[".", ","] = "."
    thousands: Annotated[str, _one("thousands separator")] | None = None
    encoding: Annotated[str, AfterValidator(_encoding)] = "utf-8"
    skip_lines: Annotated[int, Field(ge=0, le=1_000)] = 0
    header: tuple[str, ...] | None = None

    @model_validator(mode="after")
    def _two_signs(self) -> Csv:
        if self.thousands == self.decimal:
            msg = f"decimal and thousands cannot both be {self.decimal!r}"
            raise ValueError(msg)
        return self


class Scale(_Part):
    """What prices and volumes are multiplied by; 0.01 for pence."""

    price: Annotated[float, Field(gt=0, lt=1e12, allow_inf_nan=False)] = 1.0
    volume: Annotated[int, Field(gt=0, le=10**12)] = 1


class Wide(_Part):
    """A column for each ticker; `price` is what its cells hold."""

    value: Literal["price"]


class Profile(_Part):
    """One entry of `profiles.toml`."""

    name: Annotated[str, Field(min_length=1, max_length=60)]
    files: Annotated[str, Field(min_length=1)]
    format: Literal["csv", "parquet"] = "csv"
    ticker: Column | TickerOfKey | None = None
    date: Column | DateColumn | DateOfKey | None = None
    price: Column | None = None
    volume: Column | VolumeColumn | Literal[False] | None = None
    rows: RowsWanted | None = None
    csv: Csv = Csv()
    scale: Scale = Scale()
    currency: Texts = ()
    suffixes: bool = False
    wide: Wide | None = None

    @field_validator("rows", mode="before")
    @classmethod
    def _rows(cls, value: object) -> object:
        return {"keep": value} if value in ("last", "first") else value

    @model_validator(mode="after")
    def _each_column_once(self) -> Profile:
        columns = [name for name in (self.ticker_column, self.date_column, self.price, self.volume_column) if name]
        twice = next((name for name in columns if columns.count(name) > 1), None)
        if twice is not None:
            msg = f"the column {twice!r} is given twice"
            raise ValueError(msg)
        if self.csv.header is not None:
            named = [name for name in self.csv.header if name]
            lost = [name for name in [*columns, *(self.rows.where if self.rows else ())] if name not in named]
            if lost:
                msg = f"the column {lost[0]!r} is not in csv.header"
                raise ValueError(msg)
            again = next((name for name in columns if named.count(name) > 1), None)
            if again is not None:
                msg = f"csv.header has the column {again!r} twice"
                raise ValueError(msg)
        return self

    @model_validator(mode="after")
    def _fits_its_format(self) -> Profile:
        if self.wide is not None and (self.ticker is not None or self.price is not None or self.volume):
            msg = "a wide file has a column for each ticker: it takes neither ticker, price nor volume"
            raise ValueError(msg)
        if self.format == "parquet" and (self.csv != Csv() or self.wide is not None):
            msg = "a Parquet file has no text: csv and wide make no sense with it"
            raise ValueError(msg)
        return self

    @property
    def ticker_column(self) -> str | None:
        """The name of the ticker's column, if the profile gives one."""
        return self.ticker if isinstance(self.ticker, str) else None

    @property
    def date_column(self) -> str | None:
        """The name of the date's column, if the profile gives one."""
        if isinstance(self.date, DateColumn):
            return self.date.column
        return self.date if isinstance(self.date, str) else None

    @property
    def volume_column(self) -> str | None:
        """The name of the volume's column, if the profile gives one."""
        return self.volume.column if isinstance(self.volume, VolumeColumn) else self.volume or None

    @property
    def splittable(self) -> bool:
        """Whether a large file may be read in parts: not if the first row counts, or if a letter takes two bytes."""
        first = self.rows is not None and self.rows.keep == "first"
        return not first and self.csv.encoding not in WIDE_ENCODINGS

    def to_json(self) -> str:
        """What it says, in one spelling: what is left out and what is given as the default are the same."""
        said = self.model_dump(mode="json", by_alias=True, exclude_defaults=True)
        return json.dumps(said, sort_keys=True, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Profile:
        """The inverse of `to_json`."""
        return cls.model_validate(json.loads(text))

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that stand for what it says; its name and its files are no part of it."""
        said = json.loads(self.to_json())
        how = {key: value for key, value in said.items() if key not in ("name", "files")}
        return hashlib.sha256(json.dumps(how, sort_keys=True).encode()).hexdigest()[:16]
