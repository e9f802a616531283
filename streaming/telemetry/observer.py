"""What `Publish` tells those who watch it: that a batch begins, that it broke off, and what it has come to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from datetime import datetime

    from streaming.descriptors import Descriptors
    from streaming.ledger.drops import Body
    from streaming.packets import Fact


@dataclass(frozen=True, slots=True)
class Written:
    """What a transaction has done. cells: their number; ended: the receipts of the drops that end in the batch."""

    cells: int
    ended: list[Body]


@dataclass(frozen=True, slots=True)
class Published:
    """One batch, once its rows can be seen and wait for the lake.

    written: None if the batch was in the database already; seconds: by the name of what they were spent on;
    visible: since when its rows can be seen; held: what each Java has open in which a part of the state was worked on.
    """

    batch_id: int
    facts: list[Fact]
    written: Written | None
    seconds: dict[str, float]
    visible: datetime
    held: list[Descriptors]


class Observer(Protocol):
    """Raises nothing, and takes no time."""

    def begins(self, batch_id: int) -> None:
        """A batch is worked on from here on."""

    def breaks_off(self) -> None:
        """It has failed; why is told elsewhere."""

    def published(self, batch: Published) -> None:
        """It is done."""
