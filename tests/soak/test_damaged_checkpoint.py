"""Each kind of file of a checkpoint, damaged in each way: the next start is right, or refuses and says the way out."""

from __future__ import annotations

import random
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import inputs
import pytest
from damages import DAMAGES
from job_process import drop, kill_at, noise, run_once, try_once
from soak_form import form
from tables import assert_same, expected, stored

if TYPE_CHECKING:
    from collections.abc import Callable

    from databases import Databases
    from tables import Tables

pytestmark = pytest.mark.soak

HEADER = b"date,id,price,trade_volume\n"
SMALL = [HEADER + f"2024-01-{day:02d},A,{day},1\n2024-01-{day:02d},B,{day},\nbad\n".encode() for day in range(1, 14)]
MANY = inputs.many_tickers(300, days=800, drops=1, seed=5)[0]
OPTIONS = ("--max-batch-bytes", str(len(MANY) // 2 + 1_000))
_LINES = 8
_PERHAPS = ("lake-outbox/12", "state/0/1/SSTs")

# the newest file of each kind, and an older one where there are several
KINDS = [
    "metadata",
    "stocketl.json",
    "open-batch.json",
    "offsets/13",
    "offsets/12",
    "offsets/3",
    "offsets/.13.crc",
    "commits/12",
    "commits/3",
    "commits/.12.crc",
    "state/0/_metadata/v2/*",
    "state/0/_metadata/v2/.*.crc",
    "state/0/_stateSchema/default/*",
    "state/0/_stateSchema/default/.*.crc",
    "state/0/1/14_*.changelog",
    "state/0/1/13_*.changelog",
    "state/0/1/12_*.changelog",
    "state/0/1/.12_*.changelog.crc",
    "state/0/1/3_*.changelog",
    "state/0/1/*.zip",
    "state/0/1/.*.zip.crc",
    "state/0/1/SSTs/*",
    "lake-outbox/13.json",
    "lake-outbox/13-*.parquet",
    "lake-outbox/12.json",
    "lake-outbox/12-*.parquet",
    "handover/*",
]


CASES = [(kind, damage) for kind in KINDS for damage in DAMAGES]
CHOSEN = form(long=CASES, short=random.Random(12).sample(CASES, 8))  # noqa: S311 (the same ones each time)


@dataclass(frozen=True)
class Prepared:
    """A home whose last batch, half of a drop, is published and not committed; tables: what all drops make."""

    home: Path
    databases: Databases
    tables: Tables


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Prepared:
    """One batch a drop; the last committed one may still wait for the lake."""
    home = tmp_path_factory.mktemp("damaged") / "home"
    database = databases.create("damaged_before")
    for number, content in enumerate(SMALL[:-1]):
        drop(home / "input", f"{number}.csv", content, number)
    run_once(home, database, "--max-batch-bytes", "90")
    drop(home / "input", "last.csv", SMALL[-1], 20)
    kill_at("moving", home.parent / "moving", home, database)
    drop(home / "input", "many.csv", MANY, 21)
    for number in range(2):  # the second start counts the first one
        kill_at("laked", home.parent / f"laked-{number}", home, database, *OPTIONS)
    return Prepared(home, databases, expected([*SMALL, MANY]))


@pytest.mark.parametrize(("kind", "damage"), CHOSEN, ids=[f"{kind}-{damage.__name__}" for kind, damage in CHOSEN])
def test_a_start_on_a_damaged_checkpoint_is_right_or_says_the_way_out(
    kind: str, damage: Callable[[Path], None], prepared: Prepared, tmp_path: Path
) -> None:
    """Tables that equal the oracle's, or exit code 1, a few plain lines, the file's name and what to do."""
    home = Path(shutil.copytree(prepared.home, tmp_path / "home"))
    database = prepared.databases.copy("damaged_before", "damaged")
    found = sorted((home / "checkpoint").glob(kind))
    if not found:  # what depends on how far threads had come when they were killed
        assert kind.startswith(_PERHAPS)
        return
    damage(found[-1])
    code, output = try_once(home, database, *OPTIONS)
    assert not noise(output)
    if code == 0:
        assert_same(stored(database), prepared.tables)
    else:
        assert code == 1
        assert "checkpoint" in output
        assert "stocketl rebuild" in output
        assert len([line for line in output.splitlines() if line.strip()]) <= _LINES
