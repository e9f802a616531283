"""What a process keeps of what it has freed, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

PIECES, PIECE = 64, 1 << 20
CODE = f"""
import psutil
from streaming import memory

def held():
    return psutil.Process().memory_info().rss

def work():
    pieces = [bytes([1]) * {PIECE} for _ in range({PIECES})]
    last = bytes(1)
    del pieces
    return last

memory.keep_freed()
before = held()
last = work()
kept = held()
memory.give_back()
print(kept - before, held() - before)
"""


def test_freed_memory_is_kept_until_it_is_given_back() -> None:
    """Each array of a large batch would else be fetched from the system page by page, and zeroed there."""
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    kept, left = map(int, done.stdout.split())
    assert kept > 0.8 * PIECES * PIECE
    assert left < 0.2 * PIECES * PIECE


def test_what_is_used_again_and_again_is_not_fetched_each_time_after_a_batch() -> None:
    """A threshold that is set to where it begins would stay there: GNU's grows only as long as nobody sets it."""
    code = """
import resource
from streaming import memory
memory.keep_freed()
memory.keep_no_longer()
faults = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_minflt
before = faults()
for _ in range(100):
    bytes([1]) * (4 << 20)
print(faults() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 100 * (4 << 20) / 4096 / 10
