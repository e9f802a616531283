"""Whether a soak would see what grows: its own measure, on series made up."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from gauges import Series

if TYPE_CHECKING:
    from collections.abc import Callable

WARM, END = (0.45, 0.6), (0.85, 1.0)


def growth(sockets: Callable[[int], int]) -> list[str]:
    """Of a run of 500 batches with so many sockets after each fifth one; eight more are allowed."""
    series = Series()
    for batch in range(5, 505, 5):
        series.add(batch, Counter({"java sockets": sockets(batch)}))
    return series.growth({"sockets": 8}, warm=WARM, end=END)


def test_two_sockets_a_batch_are_told_with_the_whole_series() -> None:
    """As Spark 4.1.1 leaves them open."""
    (line,) = growth(lambda batch: 10 + 2 * batch)
    assert line.startswith("java sockets: 535 once warm, 935 at the end, may grow by 8: 5: 20, 10: 30, ")


def test_what_breathes_or_warms_up_is_flat() -> None:
    """Single samples may lie far away, and the beginning does not count."""
    assert growth(lambda batch: 15 + 300 * (batch % 50 == 0)) == []
    assert growth(lambda batch: min(batch, 200)) == []


def test_something_that_comes_up_late_counts() -> None:
    """A kind of process that was not there when the job was warm."""
    assert len(growth(lambda batch: 40 * (batch > 400))) == 1
