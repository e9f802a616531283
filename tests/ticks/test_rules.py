"""A profile reads any file as the slow oracle does, whole and in parts; a file that can be read in two ways is not."""

from __future__ import annotations

import itertools
from typing import Any

import profile_oracle
import pytest
from extent import extent
from hypothesis import given, settings
from hypothesis import strategies as st
from profile_strategies import files, profiles

from streaming.profiles.profile import Profile
from streaming.ticks.fields import iso_of
from streaming.ticks.how import How
from streaming.ticks.parse import Parsed, parse, parse_split

pytestmark = pytest.mark.usefixtures("both_ways")
KEY = "in/EURUSD.csv"


def how(profile: dict[str, Any]) -> How:
    made = Profile.model_validate({"name": "p", "files": "*", **profile})
    return How(text_ids=False, unpacked_limit=1 << 20, profile=Profile.from_json(made.to_json()))


def seen(parsed: Parsed) -> list[tuple[tuple[str, str], tuple[float, int | None]]]:
    ticks = parsed.ticks
    rows = zip(ticks.code.tolist(), ticks.date.tolist(), ticks.price.tolist(), ticks.volume.tolist(), strict=True)
    return [
        ((iso_of(day), ticks.ids[code]), (price, None if volume < 0 else volume)) for code, day, price, volume in rows
    ]


@given(st.data())
@settings(max_examples=extent(60, 400), deadline=None)
def test_any_profile_reads_any_file_as_the_oracle_does(data: st.DataObject) -> None:
    """Rows to the bit and in their order, rejects with their lines, and every count."""
    profile = data.draw(profiles())
    content = data.draw(files(profile).filter(len))
    wanted = profile_oracle.read(content, KEY, profile)
    parsed = parse(content, KEY, how(profile))
    if wanted.rejects and not wanted.rows:
        assert (parsed.failure or "").startswith("every row was rejected")
    else:
        assert parsed.failure is None
    assert seen(parsed) == list(wanted.rows.items())
    assert list(zip(parsed.rejects.line, parsed.rejects.reason, strict=True)) == wanted.rejects
    assert (parsed.rows_duplicate, parsed.conflicts) == (wanted.duplicates, wanted.conflicts)
    assert (parsed.rows_passed_over, parsed.volume_unreadable) == (wanted.passed_over, wanted.unreadable)


@given(st.data())
@settings(max_examples=extent(30, 200), deadline=None)
def test_parts_of_a_file_add_up_to_the_whole(data: st.DataObject) -> None:
    """Wherever it is cut, each row is in one part, with the line that it has there."""
    profile = data.draw(profiles().filter(lambda profile: profile["rows"] != "first"))
    content = data.draw(files(profile).filter(len))
    cuts = sorted(data.draw(st.sets(st.integers(1, max(1, len(content) - 1)), max_size=3)))
    wanted, rows, lines, rejects = profile_oracle.read(content, KEY, profile), {}, 0, []
    for start, end in itertools.pairwise([0, *cuts, len(content)]):
        if start >= end:
            continue
        part = parse_split(lambda a, b: content[a:b], start, end, len(content), KEY, how(profile))
        assert part.failure is None
        for cell, (price, volume) in seen(part):
            _, known = rows.pop(cell, (0.0, None))
            rows[cell] = (price, known if volume is None else volume)
        rejects += [(line + lines, reason) for line, reason in zip(part.rejects.line, part.rejects.reason, strict=True)]
        lines += part.lines
    assert (list(rows.items()), rejects) == (list(wanted.rows.items()), wanted.rejects)


@pytest.mark.parametrize("delimiter", ["\t", ";"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_a_line_of_delimiters_is_blank_if_the_delimiter_is(delimiter: str, end: str) -> None:
    """Then `where` passes no row over, and else it does."""
    profile = {"ticker": "id", "date": "date", "price": "price", "volume": False, "csv": {"delimiter": delimiter}}
    profile |= {"rows": {"where": {"kind": "EQ"}}}
    lines = [
        "date;id;price;kind",
        "2024-03-01;A;2;EQ",
        ";;;",
        "2024-03-01;B;3;FX",
        " ;;;",
        ";;;EQ",
        "2024-03-02;A;5;EQ",
    ]
    found = parse("".join(line.replace(";", delimiter) + end for line in lines).encode(), KEY, how(profile))
    passed = 1 if delimiter == "\t" else 3
    assert (found.rows_loaded, found.rows_passed_over, found.rows_rejected) == (2, passed, 1)


AMBIGUOUS_DATES = st.builds(
    "{:02d}{sign}{:02d}{sign}2024".format, st.integers(1, 12), st.integers(1, 12), sign=st.sampled_from("/.-")
)
AMBIGUOUS_PRICES = st.builds('"{},{:03d}"'.format, st.integers(1, 999), st.integers(0, 999))
TWO_CANDIDATES = st.sampled_from(
    [
        *(("id", "symbol"), ("id", "name"), ("code", "ticker"), ("symbol", "ticker"), ("id", "code"), ("name", "code")),
        *(("date", "timestamp"), ("datetime", "Date"), ("price", "close"), ("close", "Close/Last")),
    ]
)
SECOND_KEYS = st.sampled_from(["time", "Series", "EXCHANGE", "mic", "currency"])


def rows(header: str, lines: list[str]) -> bytes:
    return "\n".join([header, *lines, ""]).encode()


@pytest.mark.parametrize("text", ["$", "$ ", "+", "$+", "K", "$M", ".", "$.", "-", "e5", "$e5"])
def test_a_number_without_a_digit_is_no_number(text: str) -> None:
    """As a price it costs the row, and as a volume it counts as unreadable."""
    profile = {"ticker": "id", "date": {"column": "date", "format": "%Y%m%d"}, "price": "price", "volume": "volume"}
    profile |= {"currency": ["$"], "suffixes": True}
    lines = [f"20240301,A,2,{text}", f"20240301,B,{text},3", "20240301,C,4,", f"20240302,A,5,{text}"]
    for shown in (lines, lines[3:], [f"20240302,D,1.5,{text}"] * 3):
        parsed = parse(rows("date,id,price,volume", shown), KEY, how(profile))
        unreadable = sum(line.endswith(text) for line in shown)
        assert (parsed.volume_unreadable, parsed.failure) == (unreadable, None)
        assert parsed.reasons == ({"bad-price": 1} if len(shown) == 4 else {})


def unprofiled(data: bytes) -> Parsed:
    return parse(data, "a.csv", How(text_ids=False, unpacked_limit=1 << 20))


@given(st.lists(AMBIGUOUS_DATES, min_size=1, max_size=6), st.lists(AMBIGUOUS_PRICES, min_size=1, max_size=6))
@settings(max_examples=extent(40, 200), deadline=None)
def test_a_value_that_can_be_read_in_two_ways_is_never_loaded_without_a_profile(
    dates: list[str], prices: list[str]
) -> None:
    """Day and month that can be exchanged, and a comma that can be one of a thousand."""
    by_date = rows("date,id,price", [f"{date},A,1.5" for date in dates])
    by_price = rows("date,id,price", [f"2024-03-0{number + 1},A,{price}" for number, price in enumerate(prices)])
    for data, reason in ((by_date, "bad-date"), (by_price, "bad-price")):
        parsed = unprofiled(data)
        assert (len(parsed.ticks), set(parsed.reasons)) == (0, {reason})
        assert "a profile reads others" in (parsed.failure or "")


@given(TWO_CANDIDATES, st.permutations(["date", "id", "price"]))
@settings(max_examples=extent(40, 200), deadline=None)
def test_a_file_with_two_columns_for_one_thing_is_never_loaded_without_a_profile(
    two: tuple[str, str], others: list[str]
) -> None:
    """Both are named, wherever they stand."""
    means = {"date": ("date", "timestamp", "datetime"), "price": ("price", "close", "close/last")}
    kind = next((kind for kind, names in means.items() if two[0].lower() in names), "id")
    names = [*two, *(name for name in others if name != kind)]
    values = {"date": "2024-03-04", "id": "A", "price": "1.5"}
    line = ",".join(values[kind] if name in two else values[name] for name in names)
    failure = unprofiled(rows(",".join(names), [line])).failure or ""
    assert failure.startswith("the header names more than one: ")
    assert [name for name in two if repr(name) not in failure] == []


@given(SECOND_KEYS, st.integers(1, 5), st.sampled_from([",", ";", "\t", "|"]))
@settings(max_examples=extent(40, 200), deadline=None)
def test_rows_that_a_second_key_tells_apart_are_never_loaded_without_a_profile(
    name: str, count: int, sign: str
) -> None:
    """Column, lines and the option that decides are named; rows = "last" then loads the last one."""
    lines = [sign.join(["2024-03-04", str(number), "A", f"{number}.5"]) for number in range(count + 1)]
    data = rows(sign.join(["date", name, "id", "price"]), lines)
    failure = unprofiled(data).failure or ""
    assert failure.startswith("second-key: ")
    assert [said for said in (repr(name), "lines 2 and 3", 'rows = "last"') if said not in failure] == []
    decided = parse(data, "a.csv", how({"rows": "last", "csv": {"delimiter": sign}}))
    assert (decided.failure, decided.ticks.price.tolist(), decided.conflicts) == (None, [count + 0.5], count)


@given(SECOND_KEYS, st.integers(1, 5), st.booleans())
@settings(max_examples=extent(40, 200), deadline=None)
def test_a_column_that_says_the_same_in_rows_that_differ_is_no_second_key(name: str, count: int, other: bool) -> None:  # noqa: FBT001 - given
    """A currency that is USD in every row tells nothing apart: they are conflicts.

    Other tickers may have another.
    """
    lines = [f"2024-03-04,USD,A,{number}.5" for number in range(count + 1)]
    data = rows(f"date,{name},id,price", [*lines, *(["2024-03-04,EUR,B,1"] if other else [])])
    parsed = unprofiled(data)
    assert (parsed.failure, parsed.ticks.price[0], parsed.conflicts) == (None, count + 0.5, count)
