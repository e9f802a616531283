"""What counts of the rows that drops gave for a cell."""

from __future__ import annotations

from streaming.explain.given import GivenValue, counting, rows_in_file, stands_for
from streaming.packets import UNKNOWN_VOLUME
from streaming.profiles.profile import Profile
from streaming.ticks.how import How
from streaming.ticks.located import located

HEADER = b"date,id,price,trade_volume\n"
ROWS = b"2024-01-02,A,1,5\n2024-01-02,B,7,\n2024-01-02,A,2,\n"


def test_price_and_volume_may_come_from_two_rows() -> None:
    """The last price counts, and the last volume that is known."""
    first, second = GivenValue(1, 2, 1.0, 5), GivenValue(2, 3, 2.0, UNKNOWN_VOLUME)
    assert counting([first, second]) == (1, 0)
    assert stands_for([first, second]) == (2.0, 5)
    assert (counting([]), stands_for([])) == ((None, None), None)


def test_rows_are_in_the_order_in_which_they_count() -> None:
    """If a profile keeps the first row, it comes last."""
    found = located(HEADER + ROWS, "a.csv", How(text_ids=False, unpacked_limit=1 << 30))
    assert [(row.line, row.price) for row in rows_in_file(1, found, "A", 19_724)] == [(2, 1.0), (4, 2.0)]
    keeps = Profile.model_validate({"name": "p", "files": "*", "rows": "first"})
    first = located(HEADER + ROWS, "a.csv", How(text_ids=False, unpacked_limit=1 << 30, profile=keeps))
    assert [(row.line, row.price) for row in rows_in_file(1, first, "A", 19_724)] == [(4, 2.0), (2, 1.0)]
    assert rows_in_file(1, found, "C", 19_724) == []
