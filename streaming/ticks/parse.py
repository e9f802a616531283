"""Bytes of one CSV drop → ticks, rejects and counts: the CSV contract, with no Spark, no storage and no SQL.

A drop is parsed whole (`parse`) or, uncompressed and large, in byte ranges (`parse_split`); both give the same rows.
"""

from __future__ import annotations

import itertools
import re
import zlib
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from streaming.fingerprint import of_ticks
from streaming.packets import Rejects, Ticks
from streaming.ticks.apart import telling, texts_of
from streaming.ticks.dedup import Deduped, last_rows
from streaming.ticks.expected import expected
from streaming.ticks.fields import iso_of
from streaming.ticks.gathering import Gathering
from streaming.ticks.header import HEADER_LIMIT, TEXT_WINDOW, read_header
from streaming.ticks.how import How, is_parquet, wrong_name
from streaming.ticks.lines import CHUNK, chunks_of, chunks_of_range, count_lines, whole_lines
from streaming.ticks.parquet import gathered, texts_of_rows
from streaming.ticks.ranges import DropFile
from streaming.ticks.told import conflicts_told, second_key_failure, unreadable_told
from streaming.ticks.unpack import as_utf8, is_packed, unpacked
from streaming.ticks.unreadable import UnreadableError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from streaming.packets import Int64, Note
    from streaming.ticks.apart import Texts
    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules

_TIME = re.compile(rb"[0-9][T ][0-9]{4}")


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a drop, or a split of one, holds.

    ticks: one row per (date, id): the last row's price, the last known volume, in the order of the last rows; of a
    split all rows, since only all splits together know which is the last.
    rejects: line 1 is the first line of the bytes given, the text at most 1,000 characters; the first 32 Mi characters
    of them are kept (`gathering.REJECTS_ROOM`), all are counted. lines: lines that belong to the bytes given.
    rows_read = rows_loaded + rows_duplicate + rows_rejected; blank lines, the header and rows_passed_over, which a
    profile does not want, are no rows. conflicts: those duplicates that differ from what replaced them.
    reasons: rows per reason of `fields.REASONS`. first_date, last_date: of the ticks, ISO.
    content: the sum of the fingerprint of all valid rows, duplicates included: the same however a drop is cut.
    volume_unreadable: rows whose volume is none, and counts as unknown. notes: the first of these lines, and of the
    conflicts. second_key: the column that may tell rows of one (date, id) apart, if nobody says which one counts.
    replaced: the duplicates themselves, each with its line.
    failure: why the drop fails as a whole, or None. With a failure there are no ticks, and no counts and rejects either
    unless it is that every row is rejected.
    """

    ticks: Ticks
    rejects: Rejects
    lines: int = 0
    rows_read: int = 0
    rows_loaded: int = 0
    rows_duplicate: int = 0
    rows_rejected: int = 0
    rows_passed_over: int = 0
    conflicts: int = 0
    volume_unreadable: int = 0
    reasons: dict[str, int] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    first_date: str | None = None
    last_date: str | None = None
    content: int = 0
    second_key: str | None = None
    replaced: tuple[Int64, Ticks] | None = None
    failure: str | None = None


def parse(data: bytes, key: str, how: How) -> Parsed:
    """A whole drop, plain or packed by its first bytes, whatever its key says.

    Bytes never raise: what is wrong with them is in the answer.
    """
    refused = wrong_name(key, how.profile)
    if refused is not None:
        return failed(refused)
    try:
        rules = how.rules(key)
        limit = how.unpacked_limit
        if is_parquet(data, how.profile):
            source = pa.BufferReader(data)
            gathering, rows = gathered(source, 0, len(data), rules, limit=limit)
            texts = texts_of_rows(source, gathering.layout, limit)
            return _unless_every_row_is_bad(finished(gathering, rows, texts), how)
        chunks = chunks_of_drop(data, how)
        first = next(chunks, b"")
        layout = read_header(first[: HEADER_LIMIT + 1], rules)
        top = count_lines(first[: layout.body])
        again = texts_of(lambda: body_of(chunks_of_drop(data, how), layout), layout, top, rules)
        parsed = _gathered(body_of(itertools.chain([first], chunks), layout), layout, top, rules, again)
    except UnreadableError as error:
        return failed(str(error))
    return _unless_every_row_is_bad(parsed, how)


def chunks_of_drop(data: bytes, how: How) -> Iterator[bytes]:
    """The text of a drop that is no Parquet, unpacked, in pieces. Raises UnreadableError."""
    chunks = unpacked(data, limit=how.unpacked_limit, chunk=CHUNK) if is_packed(data) else chunks_of(data)
    return as_utf8(chunks, how.profile)


def body_of(chunks: Iterator[bytes], layout: Layout) -> Iterable[bytes]:
    """What follows the header, in whole lines."""
    return whole_lines(itertools.chain([next(chunks, b"")[layout.body :]], chunks))


def _unless_every_row_is_bad(parsed: Parsed, how: How) -> Parsed:
    if parsed.rows_read and parsed.rows_read == parsed.rows_rejected:
        return replace(parsed, failure=every_row_rejected(parsed.reasons, before=how.before))
    return parsed


def parse_split(  # noqa: PLR0917 - a range of a file, as everywhere
    read: Callable[[int, int], bytes], start: int, end: int, size: int, key: str, how: How
) -> Parsed:
    """The rows of an uncompressed drop of `size` bytes whose first byte lies in [start, end).

    read(a, b): bytes a to b of the drop, 8 MiB at most each time. Each split looks up the header, and the verdict on it
    is the same for all; that every row is rejected is for the caller to say, who sees all splits.
    Raises VanishedError if `read` does not give what it was asked for.
    """
    head = read(0, min(size, HEADER_LIMIT + 1))
    try:
        rules = how.rules(key)
        if is_parquet(head, how.profile):
            source, limit = pa.PythonFile(DropFile(read, size), mode="r"), how.unpacked_limit
            gathering, rows = gathered(source, start, end, rules, limit=limit)
            if _second_key(gathering) is not None:
                first = gathered(source, 0, size, rules, limit=limit, most=1)
                finished(*first, texts_of_rows(source, gathering.layout, limit))
            return finished(gathering, rows)
        layout = read_header(head, rules)
        _refuse_second_key(head, layout, rules)
    except UnreadableError as error:
        return failed(str(error))
    before = max(0, min(end, layout.body) - start)
    header_lines = _line_beginnings(head, start, start + before)
    blocks = whole_lines(chunks_of_range(read, max(start, layout.body), end, size))
    return _gathered(blocks, layout, header_lines, rules)


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


def _gathered(
    blocks: Iterable[bytes], layout: Layout, header_lines: int, rules: Rules, texts: Texts | None = None
) -> Parsed:
    gathering, lines = Gathering(layout, rules), header_lines
    for block in blocks:
        lines += gathering.add(block, lines + 1)
    return finished(gathering, lines, texts)


def finished(gathering: Gathering, lines: int, texts: Texts | None = None) -> Parsed:
    """What was gathered of a split of a drop or, if it gives the texts of its second keys, of a whole one.

    Raises UnreadableError if the rows of a whole drop have a second key.
    """
    rows, rules, whole = gathering.ticks(), gathering.rules, texts is not None
    found = last_rows(rows, first=rules.keep_first)
    told = conflicts_told(rows, found, gathering) if found.conflict.any() else []
    second_key = _second_key(gathering)
    if texts is not None and told and second_key is not None:
        if not gathering.timed:
            second_key = telling(rows, found, gathering.lines(), gathering.layout, texts)
        if second_key is not None:
            raise UnreadableError(second_key_failure(second_key, told, int(found.conflict.sum())))
    ticks = found.ticks if whole else rows
    days = (iso_of(int(ticks.date.min())), iso_of(int(ticks.date.max()))) if len(ticks) else (None, None)
    return Parsed(
        ticks=ticks,
        rejects=gathering.rejects,
        lines=lines,
        rows_read=gathering.read,
        rows_loaded=len(ticks),
        rows_duplicate=len(rows) - len(ticks),
        rows_rejected=gathering.reasons.total(),
        rows_passed_over=gathering.passed_over,
        conflicts=int(found.conflict.sum()) if whole else 0,
        volume_unreadable=gathering.unreadable,
        reasons=dict(gathering.reasons),
        notes=[*unreadable_told(gathering), *told],
        ignored=gathering.layout.ignored,
        first_date=days[0],
        last_date=days[1],
        content=of_ticks(rows).sum,
        second_key=second_key,
        replaced=_replaced(rows, found, gathering) if whole and len(found.replaced) else None,
    )


def _replaced(rows: Ticks, found: Deduped, gathering: Gathering) -> tuple[Int64, Ticks]:
    at = found.replaced
    ticks = Ticks(rows.ids, rows.code[at], rows.date[at], rows.price[at], rows.volume[at])
    return gathering.lines()[at], ticks


def _second_key(gathering: Gathering) -> str | None:
    if gathering.rules.decides or gathering.rules.before:
        return None
    date = gathering.layout.columns[0]
    timed = (gathering.layout.names[date],) if gathering.timed and date is not None else ()
    return next(iter((*gathering.layout.second_key, *timed)), None)


def _refuse_second_key(head: bytes, layout: Layout, rules: Rules) -> None:
    """By the first MiB, which each split has read: all of them give one verdict. Raises UnreadableError."""
    if rules.decides or rules.before:
        return
    end = len(head) if len(head) <= HEADER_LIMIT else head.rfind(b"\n") + 1
    body = head[layout.body : end]
    # quickly: most files have no times, and a look at every row of the head costs as much as a part of the split
    if layout.second_key or b":" in body or rules.profile is not None or _TIME.search(body, 0, TEXT_WINDOW):
        _gathered([body], layout, layout.top, rules, texts_of(lambda: [body], layout, layout.top, rules))


def failed(reason: str) -> Parsed:
    """A drop, or a split of one, of which nothing can be read: the reason and no rows."""
    return Parsed(Ticks.empty(), Rejects.empty(), failure=reason)


def every_row_rejected(reasons: dict[str, int], *, before: bool = False) -> str:
    """The failure of a drop that has rows and loads none of them, from its counts per reason."""
    most = Counter(reasons).most_common()
    counts = ", ".join(f"{reason} {count:,}" for reason, count in most)
    told = "" if before else f"; {most[0][0]}: {expected(most[0][0])}"
    return f"every row was rejected, {sum(reasons.values()):,} in all: {counts}{told}"
