"""Numbers with separators are worth the same by the column as field by field; what is not certain is left alone."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest
from extent import extent
from hypothesis import given, settings
from hypothesis import strategies as st
from number_strategies import STYLES, damaged, grouped

from streaming.packets import UNKNOWN_VOLUME
from streaming.profiles.profile import Profile
from streaming.ticks import by_column, grouped_numbers
from streaming.ticks.how import How
from streaming.ticks.numbers import Numbers
from streaming.ticks.parse import Parsed, parse

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    """Columns of a few fields are of several pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(grouped_numbers, "PIECE", 3)
        yield


def values(texts: list[str | None], numbers: Numbers) -> list[Fraction] | None:
    pieces = grouped_numbers.grouped_numbers(pa.array(texts, pa.string()), numbers)
    if pieces is None:
        return None
    return [Fraction(whole, 10**digits) for wholes, digits in pieces for whole in wholes.tolist()]


def value(text: str | None, numbers: Numbers) -> Fraction | None:
    """Field by field."""
    plain = numbers.plain(text) if text else None
    return Fraction(plain.removeprefix("+")) if plain else None


@st.composite
def profiles(draw: st.DrawFn, style: Numbers, currency: list[str]) -> Profile:
    made: dict[str, object] = {"name": "p", "files": "*", "currency": currency}
    made["csv"] = {"delimiter": ";", "decimal": style.decimal, "thousands": style.thousands}
    scaled = {"scale": {"price": draw(st.sampled_from([0.01, 0.37])), "volume": 1000}}
    made |= draw(st.sampled_from([{}, {}, {}, {"volume": {"unknown": ["0", "1"]}}, scaled]))
    return Profile.model_validate(made)


def rows_of(lines: list[str], profile: Profile, small_block: int) -> Parsed:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(by_column, "SMALL_BLOCK", small_block)
        content = "\n".join(["date;id;price;volume", *lines, ""]).encode()
        return parse(content, "a.csv", How(text_ids=False, unpacked_limit=1 << 20, profile=profile))


def seen(parsed: Parsed) -> list[object]:
    ticks, rejects = parsed.ticks, parsed.rejects
    columns = [column.tolist() for column in (ticks.code, ticks.price, ticks.volume)]
    return [ticks.ids, *columns, rejects.line, rejects.reason, parsed.volume_unreadable, parsed.failure]


@given(st.sampled_from(STYLES), st.integers(0, 3), st.data())
@settings(max_examples=extent(100, 1000), deadline=None)
def test_a_column_that_is_written_alike_is_worth_what_its_fields_are(
    style: Numbers, decimals: int, data: st.DataObject
) -> None:
    """Each number has as many decimals and all its separators: all are read, to the last digit."""
    texts = data.draw(st.lists(grouped(style, decimals), min_size=1, max_size=10))
    assert values(texts, style) == [value(text, style) for text in texts]


@given(st.sampled_from(STYLES), st.data())
@settings(max_examples=extent(300, 3000), deadline=None)
def test_a_column_with_a_damaged_field_is_left_alone_or_read_as_its_fields_are(
    style: Numbers, data: st.DataObject
) -> None:
    """A letter is added, lost or exchanged anywhere, or the field is another number."""
    decimals = data.draw(st.integers(0, 3))
    texts = data.draw(st.lists(grouped(style, decimals), min_size=1, max_size=5))
    place = data.draw(st.integers(0, len(texts)))
    texts.insert(place, data.draw(damaged(style, decimals)))
    found = values(texts, style)
    unknown = Fraction(UNKNOWN_VOLUME)
    assert found is None or found == [value(text, style) if text else unknown for text in texts]


@given(st.sampled_from(STYLES), st.sampled_from([False, False, True]), st.data())
@settings(max_examples=extent(150, 1500), deadline=None)
def test_a_file_is_read_by_its_columns_as_by_its_lines(style: Numbers, signs: bool, data: st.DataObject) -> None:  # noqa: FBT001 - given
    """Values, rejects with their reasons, and volumes that are none: scaled or not, with a currency sign or without."""
    profile = data.draw(profiles(style, ["$"] if signs else []))
    sign, decimals = data.draw(st.sampled_from(["", "$"])) if signs else "", data.draw(st.integers(0, 3))
    prices = data.draw(st.lists(grouped(style, decimals).map(sign.__add__), min_size=1, max_size=8))
    zeros = data.draw(st.sampled_from([0, 2]))
    volumes = [data.draw(grouped(style, zeros)) for _ in prices]
    for column, places in ((prices, decimals), (volumes, zeros)):
        if data.draw(st.integers(0, 2)) == 2:
            column[data.draw(st.integers(0, len(column) - 1))] = data.draw(damaged(style, places))
    lines = [
        f"2024-03-04;T{row};{price};{volume}" for row, (price, volume) in enumerate(zip(prices, volumes, strict=True))
    ]
    assert seen(rows_of(lines, profile, 0)) == seen(rows_of(lines, profile, 1 << 20))


@pytest.mark.parametrize(
    ("texts", "said", "volumes"),
    [
        (["1.000", "2"], {"volume": {"unknown": ["1.000"]}}, [-1, 2]),
        (["1.000", "2"], {"scale": {"volume": 1000}}, [1_000_000, 2_000]),
        (["1.000,00", "2,50", "3,00"], {}, [1000, -1, 3]),
        (["1.000,", "2,"], {}, [1000, 2]),
    ],
)
def test_a_volume_is_what_its_profile_says(texts: list[str], said: dict[str, object], volumes: list[int]) -> None:
    """A text that stands for none, a scale, and decimals that make no whole number."""
    csv = {"delimiter": ";", "decimal": ",", "thousands": "."}
    profile = Profile.model_validate({"name": "p", "files": "*", "csv": csv, **said})
    lines = [f"2024-03-04;T{row};1.000,5;{text}" for row, text in enumerate(texts)]
    for small_block in (0, 1 << 20):
        assert rows_of(lines, profile, small_block).ticks.volume.tolist() == volumes


@pytest.mark.parametrize(
    "text", ["1e.234", "1e-.008", "1234.567", ".234", "1.23", "12.34.567", "1..234", "1.2345", "12345678", "1234567"]
)
def test_a_separator_where_none_belongs_leaves_the_column_alone(text: str) -> None:
    """Without the separators some of these would be numbers, and others would be worth something else."""
    assert values(["1.234", text], Numbers(decimal=",", thousands=".")) is None


@pytest.mark.parametrize(
    "texts",
    [
        ["1,5", "1,25"],
        ["1,5", "2"],
        ["2", "1,5,5"],
        ["1,5", ""],
        [",", "5,"],
        ["1,5", "1,2.5"],
        ["1,25", "", "1,2345,25"],
    ],
)
def test_a_column_whose_decimals_differ_is_left_alone(texts: list[str]) -> None:
    """Where the whole number ends is told by the first field."""
    assert values(texts, Numbers(decimal=",", thousands=".")) is None


def test_a_column_of_another_style_is_left_alone() -> None:
    """Without separators, with one that is no letter of ASCII, with a currency sign, or empty."""
    styles = [Numbers(decimal=","), Numbers(thousands="\u2019"), Numbers(thousands=",", signs=("1",))]
    assert [values(["1"], style) for style in styles] == [None, None, None]
    assert values([], Numbers(thousands=",")) is None


def test_numbers_of_more_digits_than_a_float_holds_are_left_alone() -> None:
    """15 digits are exact, whatever their decimals."""
    style = Numbers(decimal=",", thousands=".")
    exact, more = ["999.999.999.999,123", "999.999.999.999.999"], ["999.999.999.999,1234", "1.999.999.999.999.999"]
    assert [values([text], style) for text in exact] == [[Fraction(999999999999123, 1000)], [Fraction(999999999999999)]]
    assert [values([text], style) for text in more] == [None, None]


def test_an_empty_volume_is_unknown() -> None:
    """A column of wholes may have some."""
    texts = [None, None, None, "1.000", None, "7", "1.234.567"]
    pieces = grouped_numbers.grouped_numbers(pa.array(texts, pa.string()), Numbers(decimal=",", thousands="."))
    assert pieces is not None
    assert np.concatenate([wholes for wholes, _ in pieces]).tolist() == [-1, -1, -1, 1000, -1, 7, 1234567]


def test_a_part_of_a_column_is_read_from_its_first_field_on() -> None:
    """A slice shares its letters with the whole."""
    column = pa.array(["1.000", "22", "3.333.333", "4"])
    for begin, end in itertools.combinations(range(5), 2):
        pieces = grouped_numbers.grouped_numbers(column[begin:end], Numbers(decimal=",", thousands="."))
        assert pieces is not None
        assert np.concatenate([wholes for wholes, _ in pieces]).tolist() == [1000, 22, 3333333, 4][begin:end]
