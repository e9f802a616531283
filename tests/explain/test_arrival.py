"""When the lake has a batch, and how long one waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from streaming.explain.arrival import NotInLakeError, is_in_lake, wait_for_batch
from streaming.settings import load

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.settings import Settings


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    made = load(environment=False, home=str(tmp_path))
    for folder in ("commits", "lake-outbox"):
        (tmp_path / "checkpoint" / folder).mkdir(parents=True)
    (tmp_path / "checkpoint" / "stocketl.json").write_text("{}")
    return made


def test_a_batch_is_in_the_lake_once_spark_has_it_and_the_outbox_has_not(settings: Settings, tmp_path: Path) -> None:
    """Before Spark has committed it, it may not be in the outbox yet; an older batch that waits holds it up."""
    commits, outbox = tmp_path / "checkpoint" / "commits", tmp_path / "checkpoint" / "lake-outbox"
    (commits / "6").touch()
    (commits / ".6.crc").touch()
    assert [is_in_lake(settings.checkpoint, batch) for batch in (5, 6, 7)] == [True, True, False]
    (outbox / "6.json").touch()
    (outbox / "6-ticks.parquet").touch()
    assert [is_in_lake(settings.checkpoint, batch) for batch in (5, 6)] == [True, False]
    (outbox / "5.json").touch()
    assert not is_in_lake(settings.checkpoint, 6)


def test_without_a_checkpoint_nothing_holds_a_batch_up(tmp_path: Path) -> None:
    """Another check tells whether rows are lacking."""
    assert is_in_lake(str(tmp_path / "none"), 3)


def test_a_wait_is_told_once_and_ends_with_the_limit(settings: Settings) -> None:
    """The message says where the rows are."""
    told: list[str] = []
    times = iter(range(100))
    with pytest.raises(NotInLakeError, match="does not have batch 3 yet, after a wait of 5 s: its rows are kept in"):
        wait_for_batch(settings, 3, 5, tell=told.append, clock=lambda: float(next(times)), pause=lambda _: None)
    assert told == ["waiting up to 5 s until the lake has batch 3"]


def test_a_wait_ends_as_soon_as_the_batch_is_there(settings: Settings, tmp_path: Path) -> None:
    """It looks again after each pause."""
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            (tmp_path / "checkpoint" / "commits" / "3").touch()

    wait_for_batch(settings, 3, 60, tell=print, clock=lambda: 0.0, pause=pause)
    assert len(pauses) == 3
