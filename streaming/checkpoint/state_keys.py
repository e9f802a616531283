"""Keys for the buckets of the state that spread evenly over Spark's shuffle partitions.

Spark puts a key into partition `hash(key) mod partitions`. If the keys were 0 and 1, both would land in partition 1 of
two, and a core would be idle. So bucket b is keyed by the smallest integer that lands in partition b.
Its hash is MurmurHash3 of 32 bits with seed 42 (https://github.com/aappleby/smhasher/wiki/MurmurHash3).
"""

from __future__ import annotations

import itertools

_MASK = 0xFFFFFFFF
_SEED = 42


def state_keys(buckets: int) -> list[int]:
    """One key for each bucket. If the number of shuffle partitions divides `buckets`, each gets equally many."""
    return [next(key for key in itertools.count() if spark_hash(key) % buckets == bucket) for bucket in range(buckets)]


def spark_hash(number: int) -> int:
    """`hash` of a non-negative int of 32 bits as Spark SQL has it: a signed int of 32 bits."""
    mixed = _rotated(number * 0xCC9E2D51, 15) * 0x1B873593 & _MASK
    state = _rotated(_SEED ^ mixed, 13) * 5 + 0xE6546B64 & _MASK
    state ^= 4  # bytes hashed
    state = (state ^ state >> 16) * 0x85EBCA6B & _MASK
    state = (state ^ state >> 13) * 0xC2B2AE35 & _MASK
    state ^= state >> 16
    return state - (1 << 32) if state >> 31 else state


def _rotated(number: int, bits: int) -> int:
    number &= _MASK
    return (number << bits | number >> (32 - bits)) & _MASK
