"""Numbers of any style, made plain a whole column at once, are worth what they are field by field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pytest
from extent import extent
from hypothesis import given, settings
from hypothesis import strategies as st
from number_strategies import STYLES, damaged, grouped

from streaming.ticks import plain_columns
from streaming.ticks.fields import BLANKS, price_of
from streaming.ticks.numbers import Numbers
from streaming.ticks.plain_columns import plain_column

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", autouse=True)
def _small_pieces() -> Iterator[None]:
    """Columns of a few fields are of several pieces."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_columns, "PIECE", 3)
        yield


def plain(texts: list[str | None], numbers: Numbers) -> list[str | None]:
    found: list[str | None] = plain_column(pa.array(texts, pa.string()), numbers).to_pylist()
    return found


def price(text: str | None) -> float | None:
    return None if text is None else price_of(text.strip(BLANKS))


def signed(style: Numbers, signs: tuple[str, ...]) -> Numbers:
    return Numbers(style.decimal, style.thousands, tuple(sign for sign in signs if sign != style.thousands))


@given(st.sampled_from(STYLES), st.sampled_from([(), ("$",), ("€", "$"), ("USD",)]), st.data())
@settings(max_examples=extent(300, 3000), deadline=None)
def test_what_is_made_plain_is_worth_what_its_field_is(
    style: Numbers, signs: tuple[str, ...], data: st.DataObject
) -> None:
    """Grouped or not, damaged, with a sign before or behind: a price of the column is the price of the field."""
    style = signed(style, signs)
    decimals = data.draw(st.integers(0, 3))
    field = st.one_of(grouped(style, decimals), grouped(style, 2), damaged(style, decimals))
    begins, ends = st.sampled_from(["", "", *style.signs]), st.sampled_from(["", "", "", *style.signs, "K"])
    texts: list[str | None] = list(
        data.draw(st.lists(st.builds("{}{}{}".format, begins, field, ends), min_size=1, max_size=8))
    )
    texts = [text or None for text in texts]
    for text, found in zip(texts, plain(texts, style), strict=True):
        if price(found) is not None:
            assert text is not None
            assert price(found) == price(style.plain(text.strip(BLANKS)))


@given(st.sampled_from(STYLES), st.sampled_from(["", "$"]), st.data())
@settings(max_examples=extent(100, 1000), deadline=None)
def test_well_written_numbers_are_all_made_plain(style: Numbers, sign: str, data: st.DataObject) -> None:
    """However many decimals each has, with all of its separators or with none, with a sign or without."""
    style = signed(style, ("€", "$"))
    fields = st.integers(0, 3).flatmap(lambda decimals: grouped(style, decimals))
    bare = fields.map(lambda text: text.replace(style.thousands, ""))
    texts = data.draw(st.lists(st.one_of(fields, bare, fields.map(sign.__add__)), min_size=1, max_size=8))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plain_columns, "_by_pattern", None)  # it takes field by field, and five times as long
        assert plain([None, *texts], style) == [None, *map(style.plain, texts)]


@pytest.mark.parametrize(
    "text", ["1e.234", "1e-.008", "1234.567", ".234", "1.23", "1..234", "1.2345", "$$1", "1$", "$.234"]
)
def test_a_mark_where_none_belongs_takes_a_second_look(text: str) -> None:
    """The others of the column are read all the same."""
    style = Numbers(decimal=",", thousands=".", signs=("$",))
    assert plain(["1.234,5", "23", text, "$7"], style) == ["1234.5", "23", None, "7"]


def test_a_column_that_is_plain_as_it_is_stays_the_same() -> None:
    """Nothing is copied if neither the decimal sign nor a separator is there."""
    column = pa.array(["1", None, "23"])
    assert plain_column(column, Numbers(decimal=",", thousands=".")) is column


def test_signs_that_are_not_there_cost_nothing() -> None:
    """A blank stands for the no-break blanks too, and a column without them is made plain by its letters."""
    style = Numbers(decimal=",", thousands=" ", signs=("€",))
    assert plain(["1 234,5", "12"], style) == ["1234.5", "12"]
    assert plain(["1\u202f234,5", "€12", "1\u00a0234"], style) == ["1234.5", "12", "1234"]


def test_letters_that_are_no_marks_alone_take_a_second_look() -> None:
    """A point that is neither the decimal sign nor a separator, and a part of a sign of several letters."""
    assert plain(["1.5", "1'234,5"], Numbers(decimal=",", thousands="'")) == [None, "1234.5"]
    assert plain(["1U234", "5,5"], Numbers(decimal=",", thousands=".", signs=("USD",))) == [None, "5.5"]
