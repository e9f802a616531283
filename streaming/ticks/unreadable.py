"""The error of a drop that cannot be used at all."""

from __future__ import annotations

from streaming.errors import StockETLError


class UnreadableError(StockETLError):
    """A drop that fails as a whole; the message is the drop's reason."""
