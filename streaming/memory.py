"""Freed memory: kept while a large piece of work goes on, given back to the system after it.

A worker of Spark lives for ever. What a batch of millions of rows needed for a second would stay with each of them, and
the sum, not the largest, would be the memory of the job. But as long as the work goes on, each array would be fetched
from the system page by page, and given back at once: a third of the time of a bulk load.
"""

from __future__ import annotations

import ctypes
import gc
import threading

import pyarrow as pa

LARGE = 50_000  # rows
LARGE_BYTES = 24 * LARGE  # of packets with as many rows
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # as malloc.h numbers them
_MOST, _MOST_MMAP = 2**31 - 1, 32 << 20  # GNU's takes no more


def keep_freed() -> None:
    """Until `give_back`, in this process and in those that are forked from it; nothing without the C library of GNU."""
    _set_thresholds(_MOST, _MOST_MMAP)


def keep_no_longer() -> None:
    """From now on, freed memory goes back as it does in a process that has used much; see also `give_back`."""
    _set_thresholds(2 * _MOST_MMAP, _MOST_MMAP)  # where GNU's own thresholds end, as they grow with use


def _set_thresholds(trim: int, mmap: int) -> None:
    option = getattr(ctypes.CDLL(None), "mallopt", None)
    if option is not None:
        option(_MMAP_THRESHOLD, mmap)
        option(_TRIM_THRESHOLD, trim)


def give_back_later(seconds: float) -> None:
    """After so many seconds, `give_back` in a thread of its own: nobody waits for it."""
    timer = threading.Timer(seconds, give_back)
    timer.daemon = True
    timer.start()


def give_back() -> None:
    """Takes up to a tenth of a second; does nothing with a C library that has no `malloc_trim`."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
