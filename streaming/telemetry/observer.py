"""What `Publish` tells its observers: a batch begins, it broke off, or it is done, with what came of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from datetime import datetime

    from streaming.descriptors import Descriptors
    from streaming.ledger.drops import Body
    from streaming.packets import Fact


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction has done.

    cells: how many it wrote; ended: the receipts of the drops that end in the batch; alike: new tickers, each with
    another one that differs only in case.
    """

    cells: int
    ended: list[Body]
    alike: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Published:
    """One batch, once its rows can be seen and wait for the lake.

    written: None if the batch was in the database already; seconds: by the name of the step; visible: since when its
    rows can be seen; held: what each Java that worked on the state has open.
    """

    batch_id: int
    facts: list[Fact]
    written: Written | None
    seconds: dict[str, float]
    visible: datetime
    held: list[Descriptors]


class Observer:
    """Does nothing with what it is told, unless a subclass does. Its methods raise nothing and take no time."""

    def begins(self, batch_id: int) -> None:
        """A batch is worked on from here on."""

    def breaks_off(self) -> None:
        """It has failed. The supervisor tells why."""

    def published(self, batch: Published) -> None:
        """It is done."""
