"""An offset as Spark logs it: read from checkpoints of any age, and written back byte for byte."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from streaming.checkpoint.offset import EMPTY_OFFSET, Offset, Span, batch_digest
from streaming.storage.place import Version

LOGGED = (
    '{"seq": 7, "drops": ['
    '[6, "a.csv", "9-3-4", null, 3, "2024-01-02T03:04:05.000006+00:00", 0, 3, true], '
    '[7, "\\u00e4/b.csv", "e", "v", 20, "2024-01-02T00:00:00.000000+00:00", 8, 16, false]], '
    '"lying": {"00f1": 6, "00a2": 7, "0001": 2}}'
)


def test_what_was_logged_is_written_back_byte_for_byte() -> None:
    """Spark compares offsets by their text, so a restart must not spell the same offset in another way."""
    assert json.dumps(Offset.from_json(json.loads(LOGGED)).to_json()) == LOGGED
    assert json.dumps(EMPTY_OFFSET.to_json()) == '{"seq": 0, "drops": [], "lying": {}}'


def test_an_offset_is_its_seq_its_spans_and_what_lies_in_the_prefix() -> None:
    """Two that were read from the same text are equal, and nothing can be added to one."""
    found = Offset.from_json(json.loads(LOGGED))
    assert found == Offset(
        7,
        (
            Span(6, Version("a.csv", "9-3-4", None, 3, datetime(2024, 1, 2, 3, 4, 5, 6, UTC)), 0, 3, whole=True),
            Span(7, Version("ä/b.csv", "e", "v", 20, datetime(2024, 1, 2, tzinfo=UTC)), 8, 16, whole=False),
        ),
        {"00f1": 6, "00a2": 7, "0001": 2},
    )
    assert found.open
    assert not EMPTY_OFFSET.open
    with pytest.raises(AttributeError):
        found.seq = 8  # type: ignore[misc]


def test_the_digest_is_that_of_the_logged_list_of_drops() -> None:
    """The ledger holds digests that older versions have made of the list as it stands in the log."""
    drops = json.loads(LOGGED)["drops"]
    wanted = hashlib.sha256(json.dumps(drops).encode()).hexdigest()
    assert batch_digest(Offset.from_json(json.loads(LOGGED)).drops) == wanted


@pytest.mark.parametrize("fields", [{}, {"seq": 1, "drops": [[1]], "lying": {}}, {"seq": 1, "drops": 3, "lying": {}}])
def test_something_else_is_no_offset(fields: dict[str, Any]) -> None:
    """A damaged log is named by who reads it, and never taken for an offset without drops."""
    with pytest.raises((ValueError, KeyError, TypeError)):
        Offset.from_json(fields)
