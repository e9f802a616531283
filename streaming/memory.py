"""After a large piece of work, gives freed memory back to the system instead of keeping it in the process.

A worker of Spark lives for ever. What a batch of millions of rows needed for a second would stay with each of them, and
the sum, not the largest, would be the memory of the job.
"""

from __future__ import annotations

import ctypes
import gc

import pyarrow as pa

LARGE = 50_000  # rows
LARGE_BYTES = 24 * LARGE  # of packets with as many rows


def give_back() -> None:
    """Takes some milliseconds; does nothing with a C library that has no `malloc_trim`."""
    gc.collect()
    pa.default_memory_pool().release_unused()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
