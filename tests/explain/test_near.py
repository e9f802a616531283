"""Which rejected rows may have been meant for a cell."""

from __future__ import annotations

import pytest

from streaming.explain.near import is_near, texts_of
from streaming.ticks.rules import Rules

DAY = 19_724  # 2024-01-02


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("2024-01-02,BRK.B,-1,5", True),
        ('2024/01/02;" BRK.B ";x', True),
        ("02.01.2024,BRK.B,1,5", True),  # a date that nobody can read
        ("2024-01-03,BRK.B,-1,5", False),
        ("2024-01-02,BRK.BX,-1,5", False),
        ("2024-01-02,,-1,5", False),
    ],
)
def test_a_row_is_near_if_it_names_the_ticker_and_no_other_day(text: str, near: bool) -> None:  # noqa: FBT001
    """As the fields of the row are read."""
    assert is_near(text, "BRK.B", DAY, Rules(text_ids=False)) == near


def test_numbers_are_found_as_they_may_be_written() -> None:
    """A number is looked for without its zeros; with --text-ids zeros count."""
    assert (texts_of("007"), texts_of("000"), texts_of("A7")) == (["7"], ["0"], ["A7"])
    assert is_near("2024-01-02,7,x", "007", DAY, Rules(text_ids=False))
    assert not is_near("2024-01-02,7,x", "007", DAY, Rules(text_ids=True))
