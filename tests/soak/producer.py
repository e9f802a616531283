"""Files as careful and careless producers drop them, and how often each content may end in success or failed."""

from __future__ import annotations

import contextlib
import datetime as dt
import gzip
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from job_process import drop

if TYPE_CHECKING:
    from pathlib import Path
    from random import Random

HEADER = "date,id,price,trade_volume\n"
POISON = "poison.csv"
_FIRST_DAY = dt.date(2020, 1, 1)
_TICKERS = ["1", "02", "BRK.B", "NA", "x y", "prices", "é"]


@dataclass
class Sent:
    """How often these bytes may end as a drop of their own."""

    least: int
    most: int


class Producer:
    """Drops into `folder`, and counts in `sent` what may become of each content.

    A file that was touched again may have been taken before, or not.
    """

    def __init__(self, folder: Path, chance: Random) -> None:
        self._folder = folder
        self._chance = chance
        self._number = 0
        self.sent: dict[bytes, Sent] = {}
        self._last: tuple[str, bytes] | None = None

    def good(self) -> None:
        """A few dates, some of them late, some given before, with a row or two that are rejected."""
        self._drop(self._name(), self._rows(self._chance.randrange(1, 30)))

    def twice(self) -> None:
        """The same bytes under two names."""
        content = self._rows(5)
        self._drop(self._name(), content)
        self._drop(f"again {self._name()}", content)

    def packed(self) -> None:
        """A gzip, whole or cut off."""
        content = gzip.compress(self._rows(40), mtime=0)
        self._drop(f"{self._name()}.gz", content[: len(content) - self._chance.choice([0, 9])])

    def huge(self) -> None:
        """Far above the batch limit: loaded in parts by several batches."""
        self._drop(self._name(), self._rows(1_500))

    def strange(self) -> None:
        """Empty, no header, no text, no good row, only a header, in another encoding."""
        kinds = [b"", b"2024-01-02,A,1,1\n", b"\0\1\2", HEADER.encode() + b"nonsense\n", HEADER.encode()]
        kinds.append(self._rows(3).decode().encode("utf-16"))
        self._drop(self._name(), self._chance.choice(kinds))

    def poison(self) -> None:
        """Its parser dies of it (the job is told so by STOCKETL_FAULT)."""
        self._drop(POISON, self._rows(3))

    def half_written(self) -> None:
        """Under its last name from the beginning, in two writes: the half may be taken for the whole, then both are."""
        content = self._rows(8)
        half = content[: len(content) // 2]
        path = self._folder / self._name()
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb", buffering=0) as file:
            file.write(half)
            time.sleep(self._chance.choice([0.0, 0.3]))
            file.write(content[len(half) :])
        self._count(half, 0, 1)
        self._count(content, 1, 1)

    def unfinished(self) -> None:
        """A producer that died: the name says that it is no drop yet."""
        self._drop(f"{self._name()}.part", self._rows(2), counted=False)

    def overwritten_in_place(self) -> None:
        """`cp new.csv a.csv` over the last file: the same inode."""
        if (last := self._take_last()) is None:
            return
        content = self._rows(9)
        (self._folder / last).write_bytes(content)
        self._count(content, 1, 1)

    def replaced(self) -> None:
        """Another file is renamed over the last one."""
        if (last := self._take_last()) is not None:
            self._drop(last, self._rows(9))

    def deleted(self) -> None:
        """The last file is gone again, before it was taken or after."""
        if (last := self._take_last()) is not None:
            (self._folder / last).unlink(missing_ok=True)

    def renamed(self) -> None:
        """The last file gets another name: one drop, or two if it was taken before."""
        if self._last is None:
            return
        name, content = self._last
        with contextlib.suppress(FileNotFoundError):
            (self._folder / name).rename(self._folder / self._name())
        self._last = None
        self.sent[content].most += 1

    def _take_last(self) -> str | None:
        """The name of the last file, of whose bytes nobody knows from now on whether they were seen."""
        if self._last is None:
            return None
        (name, content), self._last = self._last, None
        self.sent[content].least -= 1
        return name

    def _drop(self, name: str, content: bytes, *, counted: bool = True) -> None:
        drop(self._folder, name, content)
        if counted:
            self._count(content, 1, 1)
            self._last = name, content

    def _count(self, content: bytes, least: int, most: int) -> None:
        known = self.sent.setdefault(content, Sent(0, 0))
        known.least, known.most = known.least + least, known.most + most

    def _name(self) -> str:
        number = self._next()
        return self._chance.choice(["", "sub dir/", "tägl%20/"]) + f"drop-{number:03}.csv"

    def _next(self) -> int:
        self._number += 1
        return self._number

    def _rows(self, count: int) -> bytes:
        chance = self._chance
        mark = self._next()
        lines = [f"{_FIRST_DAY - dt.timedelta(1)},mark,{mark},{mark}"]
        for _ in range(count):
            day = _FIRST_DAY + dt.timedelta(chance.randrange(400))
            volume = chance.choice(["", "0", "12.000", str(chance.randrange(10**12))])
            price = chance.choice([f"{chance.uniform(1, 500):.4f}", f"{chance.uniform(1, 500):.2e}"])
            lines.append(f"{day},{chance.choice(_TICKERS)},{price},{volume}")
        if chance.random() < 0.3:
            lines.insert(chance.randrange(len(lines)), f"{_FIRST_DAY},1,-1,{mark}")
        return (HEADER + "\n".join(lines) + "\n").encode()
