"""The rows of a whole drop with the line of each, duplicates included: where a value stands in its file."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from streaming.ticks.gathering import Gathering
from streaming.ticks.header import HEADER_LIMIT, read_header
from streaming.ticks.how import How, is_parquet
from streaming.ticks.lines import count_lines
from streaming.ticks.parquet import gathered
from streaming.ticks.parse import body_of, chunks_of_drop

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from streaming.packets import Int64, Rejects, Ticks
    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules


@dataclass(frozen=True, slots=True)
class Located:
    """What a whole drop holds.

    lines: int64 [n], 1 is the first line of the file; rows [n]: all good rows in the order of the lines; rejects: the
    others, as `Parsed` has them; keep_first: of the rows of one (date, id) the first one counts, not the last.
    """

    lines: Int64
    rows: Ticks
    rejects: Rejects
    keep_first: bool


def located(data: bytes, key: str, how: How, *, ticker: str | None = None) -> Located:
    """Every row, or those of one ticker, perhaps among others, and the rejects that may name it.

    Raises UnreadableError if the file cannot be used.
    """
    rules = how.rules(key)
    if is_parquet(data, how.profile):
        gathering, _ = gathered(pa.BufferReader(data), 0, len(data), rules, limit=how.unpacked_limit)
    else:
        chunks = chunks_of_drop(data, how)
        first = next(chunks, b"")
        layout = read_header(first[: HEADER_LIMIT + 1], rules)
        gathering, lines = Gathering(layout, rules), count_lines(first[: layout.body])
        text = None if ticker is None else _text_of(ticker, layout, rules)
        blocks = body_of(itertools.chain([first], chunks), layout)
        if text is not None:
            return _of_lines(text, blocks, lines, gathering)
        for block in blocks:
            lines += gathering.add(block, lines + 1)
    return Located(gathering.lines(), gathering.ticks(), gathering.rejects, rules.keep_first)


def _text_of(ticker: str, layout: Layout, rules: Rules) -> bytes | None:
    """What each line with this ticker holds; None if that cannot be told, as of a number: 007 may be written 7."""
    from_column = not layout.wide and rules.fixed_ticker is None
    written = rules.text_ids or not ticker.isdigit()
    plain = rules.encoding == "utf-8" and '"' not in ticker
    return ticker.encode() if from_column and written and plain else None


def _of_lines(text: bytes, blocks: Iterable[bytes], before: int, gathering: Gathering) -> Located:
    """The rows of the lines that hold this text, all parsed at once: for each by itself it takes 0.2 ms."""
    parts, numbers, number = list[bytes](), list[int](), before + 1
    for block in blocks:
        counted = 0
        for begin, end in _runs(text, block):
            number += block.count(b"\n", counted, begin)
            parts.append(block[begin:end])
            numbers.extend(range(number, number + count_lines(parts[-1])))
            counted = begin
        number += count_lines(block[counted:])
    gathering.add(b"".join(part if part.endswith(b"\n") else part + b"\n" for part in parts), 1)
    line = np.array(numbers, np.int64)
    rejects = gathering.rejects
    rejects.line[:] = line[np.array(rejects.line, np.int64) - 1].tolist()
    return Located(line[gathering.lines() - 1], gathering.ticks(), rejects, gathering.rules.keep_first)


def _runs(text: bytes, block: bytes) -> Iterator[tuple[int, int]]:
    """Where lines with this text begin and end, neighbours together."""
    begin, end = 0, 0
    at = block.find(text)
    while at >= 0:
        start = block.rfind(b"\n", 0, at) + 1
        if start != end:
            if end > begin:
                yield begin, end
            begin = start
        end = block.find(b"\n", at) + 1 or len(block)
        at = block.find(text, end)
    if end > begin:
        yield begin, end
