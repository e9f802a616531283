"""Counting gives what numpy's sort gives."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from streaming.distinct import distinct, order_of, values_of

FEW = st.integers(0, 40)
NUMBERS = st.one_of(
    arrays.arrays(np.int32, FEW, elements=st.integers(-(2**31), 2**31 - 1)),
    arrays.arrays(np.int64, FEW, elements=st.integers(-(2**62), 2**62)),
    arrays.arrays(np.int32, FEW, elements=st.integers(-50, 50)),
    arrays.arrays(np.int64, FEW, elements=st.integers(2**62, 2**62 + 9)),
)


@given(NUMBERS)
def test_values_and_places_are_those_of_np_unique(numbers: np.ndarray) -> None:
    """Close together or far apart, none, one or many, at either end of the type."""
    values, place = distinct(numbers)
    wanted, wanted_place = np.unique(numbers, return_inverse=True)
    assert values.dtype == numbers.dtype
    assert values.tolist() == wanted.tolist()
    assert place.tolist() == wanted_place.tolist()
    alone = values_of(numbers)
    assert (alone.dtype, alone.tolist()) == (numbers.dtype, wanted.tolist())


@given(st.lists(NUMBERS, min_size=1, max_size=3))
def test_the_order_is_that_of_np_lexsort(columns: list[np.ndarray]) -> None:
    """By one column or by several; what is alike in all of them stays in its order."""
    length = min(map(len, columns))
    columns = [column[:length] for column in columns]
    assert order_of(*columns).tolist() == np.lexsort(columns[::-1]).tolist()
