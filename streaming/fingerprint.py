"""A fingerprint of cells: how many there are, and a sum of their hashes that does not depend on their order.

Two keepers of the same cells (the state and the tables) compare it instead of the cells. A cell that changes costs one
subtraction and one addition, however many there are. It finds accidents, not attacks: the mixing is that of splitmix64
(https://prng.di.unimi.it/splitmix64.c), the hash of a ticker is BLAKE2b.
"""

from __future__ import annotations

import functools
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

    from streaming.packets import Float64, Int32, Int64, Ticks

    UInt64 = npt.NDArray[np.uint64]

_GOLDEN, _FIRST, _SECOND = (np.uint64(n) for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_WRAP = 1 << 64
_BLOCK = 1 << 15  # cells at a time, whose hashes stay in the cache of a core


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """cells: their number; sum: of their hashes modulo 2**64, as the signed number that PostgreSQL keeps.

    >>> Fingerprint(2, -1) - Fingerprint(1, 3) + Fingerprint(1, 4)
    Fingerprint(cells=2, sum=0)
    """

    cells: int
    sum: int

    def __add__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.cells + other.cells, _signed(self.sum + other.sum))

    def __sub__(self, other: Fingerprint) -> Fingerprint:
        return Fingerprint(self.cells - other.cells, _signed(self.sum - other.sum))


NOTHING = Fingerprint(0, 0)


def of_cells(ids: list[str], code: Int32, date: Int32, price: Float64, volume: Int64) -> Fingerprint:
    """Of cells with a price; ids: tickers, `code` [n] points into it; date, price, volume [n] as in `packets.Ticks`."""
    if not len(code):
        return NOTHING
    tickers = np.array([_of_ticker(ticker) for ticker in ids], np.uint64)
    blocks = (slice(first, first + _BLOCK) for first in range(0, len(code), _BLOCK))
    found = sum(_sum(tickers.take(code[block]), date[block], price[block], volume[block]) for block in blocks)
    return Fingerprint(len(code), _signed(found))


def _sum(ticker: UInt64, date: Int32, price: Float64, volume: Int64) -> int:
    mixed = date.astype(np.int64).view(np.uint64)
    mixed *= _GOLDEN
    mixed += ticker
    spare = np.empty_like(mixed)
    _mix(mixed, spare)
    mixed ^= np.ascontiguousarray(price, np.float64).view(np.uint64)
    _mix(mixed, spare)
    mixed += np.multiply(np.ascontiguousarray(volume, np.int64).view(np.uint64), _GOLDEN, out=spare)
    _mix(mixed, spare)
    return int(mixed.sum(dtype=np.uint64))


def of_ticks(ticks: Ticks) -> Fingerprint:
    """Of rows, the same (date, id) counted as often as it is there."""
    return of_cells(ticks.ids, ticks.code, ticks.date, ticks.price, ticks.volume)


def hexadecimal(number: int) -> str:
    """A sum as 16 digits: JSON's readers keep 53 bits of a number.

    >>> hexadecimal(-1)
    'ffffffffffffffff'
    """
    return f"{number % _WRAP:016x}"


def joined(one: str, other: str) -> str:
    """The sum of two sums in hexadecimal."""
    return hexadecimal(int(one, 16) + int(other, 16))


@functools.lru_cache(maxsize=100_000)
def _of_ticker(ticker: str) -> int:
    return int.from_bytes(hashlib.blake2b(ticker.encode(), digest_size=8).digest(), "little")


def _mix(numbers: UInt64, spare: UInt64) -> None:
    """In place. spare: as many numbers, which are lost; memory that is fetched once is a fifth of the time."""
    numbers ^= np.right_shift(numbers, np.uint64(30), out=spare)
    numbers *= _FIRST
    numbers ^= np.right_shift(numbers, np.uint64(27), out=spare)
    numbers *= _SECOND
    numbers ^= np.right_shift(numbers, np.uint64(31), out=spare)


def _signed(number: int) -> int:
    return (number + (_WRAP >> 1)) % _WRAP - (_WRAP >> 1)
