"""A drop that takes several batches, and a whole one before it: what a replay may read wrongly."""

from __future__ import annotations

HEADER = b"date,id,price,trade_volume\n"
BEFORE = HEADER + b"".join(b"2023-12-%02d,%c,%d,1\n" % (day, 65 + n, 5 + n) for day in range(1, 32) for n in range(9))
LARGE = HEADER + b"".join(b"2024-01-%02d,%c,%d,9\n" % (day, 65 + n, day + n) for day in range(1, 32) for n in range(26))
SPLIT = ("--lake", "none", "--max-batch-bytes", "5000", "--split-bytes", "2500")
"""Options with which LARGE is cut into parts, and the parts go into several batches."""
