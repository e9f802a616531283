"""The blocks of one drop, or of one split of it → all its good rows, its rejects, and what is told of its rows."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from streaming.packets import UNKNOWN_VOLUME, Int64, Rejects, Ticks
from streaming.ticks import by_column
from streaming.ticks.by_column import Columns, line_starts
from streaming.ticks.by_line import PASSED_OVER, Tick, judge, judge_wide
from streaming.ticks.by_value import BAD
from streaming.ticks.fields import BLANKS, UNREADABLE, shown

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.packets import Int32
    from streaming.ticks.layout import Layout
    from streaming.ticks.rules import Rules

REJECTS_ROOM = 32 << 20
"""Characters of rejects that one parse keeps, 200 added for each: about 150,000 short lines. The others are counted."""
SHOWN_UNREADABLE = 20
"""Lines with an unreadable volume that one parse keeps; the others are counted."""


@dataclass(slots=True)
class Gathering:
    """What the blocks add up to. passed_over: rows that the profile does not want; timed: a tick has a time of day."""

    layout: Layout
    rules: Rules
    read: int = 0
    passed_over: int = 0
    timed: bool = False
    unreadable: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    rejects: Rejects = field(default_factory=Rejects.empty)
    unreadable_lines: list[tuple[int, str]] = field(default_factory=list)
    _room: int = REJECTS_ROOM
    _codes: dict[str, int] = field(default_factory=dict)
    _known: dict[str, int] = field(default_factory=dict)
    _columns: list[tuple[int, Columns]] = field(default_factory=list)

    def add(self, raw: bytes, first_line: int) -> int:
        """Takes a block of whole lines, of which the first is line number `first_line`; says how many there are."""
        block = as_utf8_block(raw, self.rules.encoding)
        starts = line_starts(block)
        if self.layout.wide:
            return self._add_wide(block, starts, first_line)
        certain = by_column.certain(block, starts, self.layout, self.rules, self.code_of)
        doubtful = np.ones(len(starts) - 1, np.bool_)
        doubtful[certain.rows.line] = False
        doubtful[certain.passed_over] = False
        self.passed_over += len(certain.passed_over)
        self.timed = self.timed or certain.timed
        late: list[tuple[int, Tick]] = []
        for index in np.flatnonzero(doubtful).tolist():
            line = block[starts[index] : starts[index + 1]].removesuffix(b"\n")
            fate = judge(line, self.layout, self.rules)
            if fate == PASSED_OVER:
                self.passed_over += 1
            elif isinstance(fate, str):
                self._reject(first_line + index, line, fate)
            elif fate is not None:
                self.timed = self.timed or fate.timed
                late.append((index, fate))
        columns = certain.rows.merged(self._rows(late)) if late else certain.rows
        self._count_unreadable(columns, block, starts, first_line)
        self.read += len(columns.line)
        self._columns.append((first_line, columns))
        return len(starts) - 1

    def _add_wide(self, block: bytes, starts: Int32, first_line: int) -> int:
        """Of each line a tick for each of its cells that is not empty."""
        late: list[tuple[int, Tick]] = []
        for index in range(len(starts) - 1):
            line = block[starts[index] : starts[index + 1]].removesuffix(b"\n")
            for fate in judge_wide(line, self.layout, self.rules):
                if isinstance(fate, str):
                    self._reject(first_line + index, line, fate)
                else:
                    self.timed = self.timed or fate.timed
                    late.append((index, fate))
        columns = self._rows(late)
        self.read += len(columns.line)
        self._columns.append((first_line, columns))
        return len(starts) - 1

    def add_columns(self, columns: Columns, texts: Callable[[int], str]) -> None:
        """Takes rows that were read elsewhere. texts: of a row by its place, as a person sees it."""
        self.read += len(columns.line)
        found = np.flatnonzero(columns.volume == UNREADABLE)
        self.unreadable += len(found)
        for row in found[: SHOWN_UNREADABLE - len(self.unreadable_lines)].tolist():
            self.unreadable_lines.append((int(columns.line[row]), shown(texts(row).encode(errors="replace"))))
        if len(found):
            columns.volume = np.where(columns.volume == UNREADABLE, UNKNOWN_VOLUME, columns.volume)
        self._columns.append((0, columns))

    def ticks(self) -> Ticks:
        """All good rows in the order of the lines."""
        if not self._columns:
            return Ticks.empty()
        parts = [(c.code, c.date, c.price, c.volume) for _, c in self._columns]
        if len(parts) == 1:
            return Ticks(list(self._codes), *parts[0])
        return Ticks(list(self._codes), *map(np.concatenate, zip(*parts, strict=True)))

    def lines(self) -> Int64:
        """The line of each of `ticks`."""
        return np.concatenate([np.empty(0, np.int64), *(first + columns.line for first, columns in self._columns)])

    def reject(self, number: int, text: str, reason: str) -> None:
        """Counts a row that is no tick, and keeps it while there is room."""
        self.read += 1
        self.reasons[reason] += 1
        if self._room > 0:
            self._room -= len(text) + 200
            self.rejects.line.append(number)
            self.rejects.text.append(text)
            self.rejects.reason.append(reason)

    def code(self, ticker: str) -> int:
        """The number of a ticker among those of this drop."""
        return self._codes.setdefault(ticker, len(self._codes))

    def code_of(self, text: str) -> int:
        """The same of a text as it is written, `BAD` if it is no ticker. A file names the same ones in each block."""
        code = self._known.get(text)
        if code is None:
            ticker = self.rules.ticker(text.strip(BLANKS))
            code = self._known[text] = BAD if ticker is None else self.code(ticker)
        return code

    def codes_of(self, texts: list[str]) -> list[int]:
        """The same of many."""
        try:
            return [self._known[text] for text in texts]
        except KeyError:  # a new one; most blocks have none
            return [self.code_of(text) for text in texts]

    def _reject(self, number: int, line: bytes, reason: str) -> None:
        self.reject(number, shown(line.removesuffix(b"\r")) if self._room > 0 else "", reason)

    def _count_unreadable(self, columns: Columns, block: bytes, starts: Int32, first_line: int) -> None:
        found = np.flatnonzero(columns.volume == UNREADABLE)
        if not len(found):
            return
        self.unreadable += len(found)
        for index in columns.line[found[: SHOWN_UNREADABLE - len(self.unreadable_lines)]].tolist():
            line = block[starts[index] : starts[index + 1]].rstrip(b"\r\n")
            self.unreadable_lines.append((first_line + index, shown(line)))
        columns.volume = np.where(columns.volume == UNREADABLE, UNKNOWN_VOLUME, columns.volume)

    def _rows(self, late: list[tuple[int, Tick]]) -> Columns:
        return Columns(
            np.array([index for index, _ in late], np.int64),
            np.array([self.code(tick.ticker) for _, tick in late], np.int32),
            np.array([tick.day for _, tick in late], np.int32),
            np.array([tick.price for _, tick in late], np.float64),
            np.array([tick.volume for _, tick in late], np.int64),
        )


def as_utf8_block(block: bytes, encoding: str) -> bytes:
    """The same lines as UTF-8; bytes that are no letters of the encoding stay as they are, which UTF-8 refuses."""
    if encoding == "utf-8" or block.isascii():
        return block
    return block.decode(encoding, "surrogateescape").encode("utf-8", "surrogateescape")
