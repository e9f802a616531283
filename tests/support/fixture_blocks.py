"""The two ways in which a block of lines is read, for tests whose files are small."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streaming.ticks import by_column as blocks

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="module", params=[0, blocks.SMALL_BLOCK], ids=["by columns", "by lines"])
def both_ways(request: pytest.FixtureRequest) -> Iterator[None]:
    """Runs each test twice: Arrow first however small the file, and line by line."""
    usual = blocks.SMALL_BLOCK
    blocks.SMALL_BLOCK = request.param
    yield
    blocks.SMALL_BLOCK = usual
