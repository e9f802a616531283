"""Bytes of one CSV drop → ticks, rejects and counts: the CSV contract, with no Spark, no storage and no SQL.

A drop is parsed whole (`parse`) or, uncompressed and large, in byte ranges (`parse_split`); both give the same rows.
"""

from __future__ import annotations

import itertools
import zlib
from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from streaming.fingerprint import of_ticks
from streaming.packets import Rejects, Ticks
from streaming.ticks.by_column import Gathering
from streaming.ticks.dedup import last_rows
from streaming.ticks.fields import iso_of
from streaming.ticks.gunzip import unpack
from streaming.ticks.header import GZIP, HEADER_LIMIT, Layout, UnreadableError, read_header
from streaming.ticks.lines import CHUNK, chunks_of, chunks_of_range, count_lines, whole_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a drop, or a split of one, holds.

    ticks: one row per (date, id): the last row's price, the last known volume, in the order of the last rows.
    rejects: line 1 is the first line of the bytes given, the text at most 1,000 characters; the first 32 Mi characters
    of them are kept (`by_column.REJECTS_ROOM`), all are counted. lines: lines that belong to the bytes given.
    rows_read = rows_loaded + rows_duplicate + rows_rejected; blank lines and the header are no rows.
    reasons: rows per reason of `fields.REASONS`. first_date, last_date: of the ticks, ISO.
    content: the sum of the fingerprint of all valid rows, duplicates included: the same however a drop is cut.
    failure: why the drop fails as a whole, or None. With a failure there are no ticks, and no counts and rejects either
    unless it is that every row is rejected.
    """

    ticks: Ticks
    rejects: Rejects
    lines: int
    rows_read: int
    rows_loaded: int
    rows_duplicate: int
    rows_rejected: int
    reasons: dict[str, int]
    ignored: list[str]
    first_date: str | None
    last_date: str | None
    content: int
    failure: str | None


def parse(data: bytes, *, key: str, text_ids: bool, unpacked_limit: int) -> Parsed:
    """A whole drop, plain or gzip by its first bytes, whatever its key says.

    unpacked_limit: bytes that a gzip may unpack to. Bytes never raise: what is wrong with them is in the answer.
    """
    refused = wrong_name(key)
    if refused is not None:
        return failed(refused)
    try:
        packed = data.startswith(GZIP)
        chunks = unpack(data, limit=unpacked_limit, chunk=CHUNK) if packed else chunks_of(data)
        first = next(chunks, b"")
        layout = read_header(first[: HEADER_LIMIT + 1])
        blocks = whole_lines(itertools.chain([first[layout.body :]], chunks))
        parsed = _gathered(blocks, layout, count_lines(first[: layout.body]), text_ids=text_ids)
    except UnreadableError as error:
        return failed(str(error))
    if parsed.rows_read and parsed.rows_read == parsed.rows_rejected:
        return replace(parsed, failure=every_row_rejected(parsed.reasons))
    return parsed


def parse_split(read: Callable[[int, int], bytes], start: int, end: int, size: int, *, text_ids: bool) -> Parsed:
    """The rows of an uncompressed drop of `size` bytes whose first byte lies in [start, end).

    read(a, b): bytes a to b of the drop, 8 MiB at most each time. Each split looks up the header, and the verdict on it
    is the same for all; that every row is rejected is for the caller to say, who sees all splits.
    Raises VanishedError if `read` does not give what it was asked for.
    """
    head = read(0, min(size, HEADER_LIMIT + 1))
    try:
        layout = read_header(head)
    except UnreadableError as error:
        return failed(str(error))
    before = max(0, min(end, layout.body) - start)
    header_lines = _line_beginnings(head, start, start + before)
    blocks = whole_lines(chunks_of_range(read, max(start, layout.body), end, size))
    return _gathered(blocks, layout, header_lines, text_ids=text_ids)


def wrong_name(key: str) -> str | None:
    """The failure of a drop whose key ends neither in .csv nor in .csv.gz, in whatever case; None for the others."""
    if key.lower().endswith((".csv", ".csv.gz")):
        return None
    return f"the name ends neither in .csv nor in .csv.gz: {key[-100:]!r}"


def splittable(head: bytes) -> bool:
    """Whether a drop that begins with `head` may be parsed in byte ranges. A gzip may not."""
    return not head.startswith(GZIP)


def bucket_of(ticker: str, buckets: int) -> int:
    """The CRC-32 of its UTF-8 modulo `buckets`: the same in every process and for ever."""
    return zlib.crc32(ticker.encode()) % buckets


def by_bucket(ticks: Ticks, buckets: int) -> dict[int, Ticks]:
    """The rows of each bucket that has some, in their order, each with only its own ids."""
    homes = np.array([bucket_of(ticker, buckets) for ticker in ticks.ids], np.int64)
    place = np.zeros(len(homes), np.int32)
    order = np.argsort(homes[ticks.code], kind="stable") if len(ticks) else np.empty(0, np.int64)
    bounds = np.concatenate([[0], np.cumsum(np.bincount(homes[ticks.code], minlength=buckets))])
    found = {}
    for bucket in np.flatnonzero(np.diff(bounds)).tolist():
        rows = order[bounds[bucket] : bounds[bucket + 1]]
        own = np.flatnonzero(homes == bucket)
        place[own] = np.arange(len(own))
        ids = [ticks.ids[ticker] for ticker in own.tolist()]
        found[bucket] = Ticks(ids, place[ticks.code[rows]], ticks.date[rows], ticks.price[rows], ticks.volume[rows])
    return found


def _line_beginnings(head: bytes, start: int, end: int) -> int:
    """How many lines of `head` begin in [start, end)."""
    if start == 0:
        return count_lines(head[:end])
    return head.count(b"\n", start - 1, end - 1) if end > start else 0


def _gathered(blocks: Iterable[bytes], layout: Layout, header_lines: int, *, text_ids: bool) -> Parsed:
    gathering, lines = Gathering(layout, text_ids), header_lines
    for block in blocks:
        lines += gathering.add(block, lines + 1)
    rows = gathering.ticks()
    ticks = last_rows(rows)
    days = (iso_of(int(ticks.date.min())), iso_of(int(ticks.date.max()))) if len(ticks) else (None, None)
    return Parsed(
        ticks=ticks,
        rejects=gathering.rejects,
        lines=lines,
        rows_read=gathering.read,
        rows_loaded=len(ticks),
        rows_duplicate=len(rows) - len(ticks),
        rows_rejected=gathering.reasons.total(),
        reasons=dict(gathering.reasons),
        ignored=layout.ignored,
        first_date=days[0],
        last_date=days[1],
        content=of_ticks(rows).sum,
        failure=None,
    )


def failed(reason: str) -> Parsed:
    """A drop, or a split of one, of which nothing can be read: the reason and no rows."""
    return Parsed(Ticks.empty(), Rejects.empty(), 0, 0, 0, 0, 0, {}, [], None, None, 0, reason)


def every_row_rejected(reasons: dict[str, int]) -> str:
    """The failure of a drop that has rows and loads none of them, from its counts per reason."""
    counts = ", ".join(f"{reason} {count:,}" for reason, count in Counter(reasons).most_common())
    return f"every row was rejected, {sum(reasons.values()):,} in all: {counts}"
