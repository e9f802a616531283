"""Where the columns of a drop stand."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Layout:
    """What the header of a drop has announced.

    columns: positions of date, ticker, price and volume, None for what is not in the rows; names: of all columns;
    body: offset in bytes of the first line after the header; top: lines before it; ignored: names of the other
    columns, bounded in number and length; second_key: those of them that may tell rows of one (date, ticker) apart;
    where: positions of columns, and the texts that they must have; wide: position → ticker, a column for each.
    """

    columns: tuple[int | None, int | None, int | None, int | None]
    names: tuple[str, ...]
    body: int
    top: int
    ignored: list[str]
    delimiter: str = ","
    second_key: tuple[str, ...] = ()
    where: tuple[tuple[int, frozenset[str]], ...] = ()
    wide: dict[int, str] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """Fields of each row."""
        return len(self.names)
