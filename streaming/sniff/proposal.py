"""A file → the profile that reads it, what is doubtful about it, and what only a person can say."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pydantic import ValidationError

from streaming.profiles.profile import Profile
from streaming.screen import many
from streaming.sniff.columns import Chosen, choose
from streaming.sniff.sample import Sample, sample_of
from streaming.sniff.values import Evidence, date_formats, date_of_key, is_day_first, is_number_like, midnights
from streaming.ticks.how import How, is_parquet
from streaming.ticks.names import DATE, ID, PRICE, VOLUME, candidates
from streaming.ticks.parse import Parsed, parse
from streaming.ticks.unpack import is_packed

if TYPE_CHECKING:
    from collections.abc import Mapping

_GOOD, _MANY = 0.99, 10
_ZONES = ("UTC", "America/New_York", "Europe/London", "Europe/Berlin", "Asia/Kolkata", "Asia/Tokyo", "Asia/Shanghai")


@dataclass(frozen=True)
class Answers:
    """What the person has said: None or empty = nothing. columns: by `date`, `ticker`, `price`, `volume`."""

    day_first: bool | None = None
    decimal: str | None = None
    zone: str | None = None
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    keep: str | None = None


@dataclass
class Proposal:
    """profile: None if none is needed, or if there are questions; parsed: the file as it would be read.

    doubts: what a person should look at; questions: what keeps the file from being read, each with its option.
    """

    profile: Profile | None = None
    parsed: Parsed | None = None
    doubts: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        """Whether nearly every row loads."""
        rows = self.parsed
        if rows is None or rows.failure is not None or not rows.rows_loaded:
            return False
        footer = 1 if rows.rows_read >= _MANY else 0
        return rows.rows_rejected <= max((1 - _GOOD) * rows.rows_read, footer)


def propose(data: bytes, key: str, answers: Answers, *, text_ids: bool, unpacked_limit: int) -> Proposal:
    """Raises UnreadableError for what is no table at all."""
    how = How(text_ids, unpacked_limit)
    plain = Proposal(parsed=parse(data, key, how))
    if plain.good and not (answers.columns or answers.where or answers.keep):
        _doubt_conflicts(plain)
        return plain
    if is_parquet(data, None):
        return _of_parquet(data, key, answers, how, plain)
    sample = sample_of(data)
    made, said = Proposal(), _Draft(key, sample)
    in_key = date_of_key(key)
    chosen = choose(sample, answers.columns, key_has_date=bool(in_key))
    made.doubts += chosen.doubts
    made.questions += chosen.questions
    _columns(said, chosen, sample)
    if chosen.places.get(DATE) is None and in_key:
        _date_of_key(said, in_key, answers, made)
    else:
        _dates(said, chosen, sample, answers, made)
    _numbers(said, chosen, sample, answers, made)
    _rows(said, answers)
    if made.questions:
        return made
    return _tried(data, key, said, how, made)


class _Draft:
    """The profile as it is put together."""

    def __init__(self, key: str, sample: Sample | None) -> None:
        name = key.rpartition("/")[2]
        self.name = name
        self.fields: dict[str, object] = {"name": _name_of(name), "files": _glob_of(name)}
        self.csv: dict[str, object] = {}
        if sample is not None:
            self.csv = {"delimiter": sample.delimiter} if sample.delimiter != "," else {}
            self.csv |= {"encoding": sample.encoding} if sample.encoding != "utf-8" else {}
            self.csv |= {"skip_lines": sample.skip_lines} if sample.skip_lines else {}

    def ticker_from_key(self) -> None:
        """The name of the file is the ticker."""
        suffix = re.search(r"(\.[A-Za-z0-9]{2,7})+$", self.name)
        end = re.escape(suffix[0] if suffix else "")
        if suffix and suffix[0].count(".") > 1 and not re.search(r"\.(gz|zst|bz2|xz|zip)$", suffix[0]):
            end = re.escape("." + suffix[0].rpartition(".")[2])  # aapl.us.txt
        self.fields["ticker"] = {"from": "key", "pattern": f"(?P<ticker>[^/]+){end}$"}
        self.fields["files"] = f"*{end}".replace("\\", "")

    def profile(self) -> Profile:
        """Checked. Raises ValidationError."""
        given = dict(self.fields)
        if self.csv:
            given["csv"] = self.csv
        return Profile.model_validate(given)


def _columns(said: _Draft, chosen: Chosen, sample: Sample) -> None:
    if chosen.header is not None:
        said.csv["header"] = chosen.header
        if sample.names is not None:
            said.csv["skip_lines"] = sample.skip_lines + 1 + chosen.more_lines
    if chosen.wide:
        said.fields["wide"] = {"value": "price"}
    if chosen.ticker_from_key:
        said.ticker_from_key()
    names = chosen.header or sample.names or []
    found = candidates(list(names))
    for column, key in ((ID, "ticker"), (PRICE, "price"), (VOLUME, "volume")):
        place = chosen.places.get(column)
        if place is not None and found[column] != [place]:
            said.fields[key] = names[place]
    if chosen.places.get(VOLUME) is None and found[VOLUME] and not chosen.wide:
        said.fields["volume"] = False


def _dates(said: _Draft, chosen: Chosen, sample: Sample, answers: Answers, made: Proposal) -> None:
    place = chosen.places.get(DATE)
    if place is None:
        return
    texts, names = sample.column(place), chosen.header or sample.names or []
    formats = date_formats(texts)
    numeric = [pattern for pattern in formats if is_day_first(pattern)] and len(formats) > 1
    if numeric and answers.day_first is None:
        first = next(iter(texts))
        made.questions.append(f"is {first!r} day/month or month/day? --day-first or --month-first")
        return
    if numeric:
        formats = [pattern for pattern in formats if is_day_first(pattern) == answers.day_first]
    if not formats:
        made.questions.append(
            f"how is the date {next(iter(texts), '')!r} written? date = {{ format = … }} in the profile"
        )
        return
    date = {"column": names[place]}
    if formats[0]:
        date["format"] = formats[0]
    if formats[0].startswith("unix"):
        zone = answers.zone or next((zone for zone in _ZONES if midnights(texts, formats[0], zone)), None)
        if zone is None:
            made.questions.append(
                f"{next(iter(texts))!r} is a moment: in which zone is its day? --zone America/New_York"
            )
            return
        date["zone"] = zone
    if formats[0] or candidates(list(names))[DATE] != [place]:
        said.fields["date"] = date if len(date) > 1 else names[place]


def _date_of_key(said: _Draft, found: dict[str, str], answers: Answers, made: Proposal) -> None:
    """found: the patterns of the date in the key, by the format that reads it."""
    if len(found) > 1 and answers.day_first is not None:
        found = {pattern: where for pattern, where in found.items() if is_day_first(pattern) == answers.day_first}
    if len(found) != 1:
        made.questions.append(f"is the date in {said.name!r} day/month or month/day? --day-first or --month-first")
        return
    (pattern, where), *_ = found.items()
    said.fields["date"] = {"from": "key", "pattern": where, "format": pattern}
    made.doubts.append("no column holds the date: it is taken from the name of the file")


def _numbers(said: _Draft, chosen: Chosen, sample: Sample, answers: Answers, made: Proposal) -> None:
    evidence = Evidence()
    skipped = {chosen.places.get(DATE), chosen.places.get(ID)}
    for place in range(len(sample.rows[0]) if sample.rows else 0):
        if place not in skipped:
            for text in sample.column(place)[:300]:
                evidence.add(text)
    numbers = evidence.numbers()
    if answers.decimal is None and numbers is None:
        made.questions.append('is the comma of "1,234" a decimal comma? --decimal , or --decimal .')
        return
    decimal = answers.decimal or (numbers.decimal if numbers else ".")
    thousands = numbers.thousands if numbers else ""
    if answers.decimal is not None and evidence.both_ways:
        thousands = "," if decimal == "." else thousands
    if decimal != ".":
        said.csv["decimal"] = decimal
    if thousands and thousands != decimal:
        said.csv["thousands"] = thousands
    if numbers is not None and numbers.signs:
        said.fields["currency"] = numbers.signs[0] if len(numbers.signs) == 1 else list(numbers.signs)
    if numbers is not None and numbers.suffixes:
        said.fields["suffixes"] = True
    _unknown(said, chosen, sample)


def _unknown(said: _Draft, chosen: Chosen, sample: Sample) -> None:
    """Texts of the volume that stand for none."""
    place = chosen.places.get(VOLUME)
    if place is None:
        return
    words = dict.fromkeys(text for text in sample.column(place) if not is_number_like(text))
    if words and len(words) <= 5:
        names = chosen.header or sample.names or []
        said.fields["volume"] = {"column": names[place], "unknown": list(words)}


def _rows(said: _Draft, answers: Answers) -> None:
    if answers.where:
        said.fields["rows"] = {"where": {name: [text] for name, text in answers.where.items()}}
    elif answers.keep:
        said.fields["rows"] = answers.keep


def _tried(data: bytes, key: str, said: _Draft, how: How, made: Proposal) -> Proposal:
    try:
        profile = said.profile()
    except ValidationError as error:
        made.questions.append(f"no profile could be made: {error.errors()[0]['msg']}; write one by hand")
        return made
    made.parsed = parse(data, key, How(how.text_ids, how.unpacked_limit, profile))
    made.profile = profile
    failure = made.parsed.failure or ""
    if failure.startswith("second-key"):
        made.questions.append(
            f"{failure.partition('. A profile')[0]}. Which count? --where COLUMN=VALUE, or --keep last"
        )
        made.profile = None
    elif failure:
        made.questions.append(f"the file would still fail: {failure}")
    elif not profile.rows:
        _doubt_conflicts(made)
    if profile.files.startswith("*."):
        made.doubts.append(
            f'files = "{profile.files}" fits every such file: give these a folder, "folder/{profile.files}"'
        )
    if is_packed(data) and key.endswith((".csv", ".txt")):
        made.doubts.append("the file is packed, whatever its name says; it is read by its first bytes")
    return made


def _doubt_conflicts(made: Proposal) -> None:
    if made.parsed is not None and made.parsed.conflicts:
        rows = many(made.parsed.conflicts, "row")
        made.doubts.append(f"{rows}: another price or volume than a later row of that date and ticker, which counts")


def _of_parquet(data: bytes, key: str, answers: Answers, how: How, plain: Proposal) -> Proposal:
    """Only what the names of the columns say: the types say the rest."""
    said = _Draft(key, None)
    said.fields["format"] = "parquet"
    said.fields |= {name: column for name, column in answers.columns.items() if name != "date"}
    if "date" in answers.columns or answers.zone:
        date = {"column": answers.columns.get("date"), "zone": answers.zone}
        said.fields["date"] = {name: text for name, text in date.items() if text}
    _rows(said, answers)
    made = _tried(data, key, said, how, Proposal())
    if made.questions and not (answers.columns or answers.where or answers.keep or answers.zone):
        made.questions = [
            f"{plain.parsed.failure if plain.parsed else ''} (--ticker, --date, --price or --zone say it)"
        ]
    return made


def _name_of(file: str) -> str:
    words = re.findall(r"[A-Za-z]+", re.sub(r"(\.[A-Za-z0-9]+)+$", "", file))
    return "-".join(words[:4]).lower()[:40] or "files"


def _glob_of(file: str) -> str:
    """The name with `*` in the place of its figures: tomorrow's file has others."""
    stem, dot, suffix = file.partition(".")
    general = re.sub(r"[0-9]{1,2}[A-Z]{3}[0-9]{2,4}|[0-9][0-9_.-]*", "*", stem)
    general = re.sub(r"\*+", "*", re.sub(r"([\[\]?])", "?", general))
    return f"{general}{dot}{suffix}"
