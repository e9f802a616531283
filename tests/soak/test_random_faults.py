"""Random faults of processes, database, network, disk and producers: after them everything is right.

`SEED=17 make soak ARGS="-k faults"` runs one seed alone. A seed gives the same drops and faults in the same order,
though not at the same moments.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from fault_kinds import at_once, lasting
from reckoning import assert_all_right, converged
from soak_form import form
from world import World

from streaming.database import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.soak

SEEDS = [int(os.environ["SEED"])] if "SEED" in os.environ else list(range(form(short=5, long=20)))
STEPS = 36
CONVERGE_SECONDS = 1800.0  # generous: on two quiet cores a minute, on busy ones ten
PROGRESS_SECONDS = 120.0
LONGEST_HOLD = 6  # steps
DROPS = ["good"] * 6 + ["twice", "packed", "huge", "strange", "half_written", "unfinished"]
TOUCHES = ["overwritten_in_place", "replaced", "deleted", "renamed"]


@pytest.fixture(scope="module")
def server() -> Iterator[Path]:
    """The data of a PostgreSQL that the faults may stop."""
    # not under pytest's folder, whose mode a second test run beside this one would change
    folder = Path(tempfile.mkdtemp(prefix="stocketl-soak-"))
    try:
        yield folder / "postgres"
    finally:
        embedded.stop(folder / "postgres")
        shutil.rmtree(folder)


@pytest.mark.parametrize("seed", SEEDS)
def test_after_random_faults_every_file_has_one_fate_and_all_is_right(seed: int, tmp_path: Path, server: Path) -> None:
    """Healed, the job converges by itself: tables, ledger, receipts, lake and folders are those of the oracle."""
    with World(tmp_path, server, seed) as world:
        try:
            for step in _schedule(world, random.Random(seed)):  # noqa: S311 (repeatable)
                _take(world, step)
                world.tend()
            world.heal()
            world.told("healed")
            world.producer.good()
            began = time.monotonic()
            world.wait_for("everything in its place", lambda: _is_converged(world), CONVERGE_SECONDS)
            world.told(f"converged after {time.monotonic() - began:.1f} s")
            drops = assert_all_right(world.home, world.database, world.producer.sent)
            world.told(f"{drops} drops are right; lines that no person should see: {world.noise()}")
        except BaseException:
            print(f"SEED={seed}, alone: SEED={seed} make soak ARGS='-k faults'", *world.events, sep="\n")  # noqa: T201
            raise


def _schedule(world: World, chance: random.Random) -> list[str]:
    """Steps: what is dropped, what fails at once, what begins to fail and when it ends, how long to wait."""
    now, long = sorted(at_once(world)), sorted(lasting(world))
    poison_at = chance.randrange(4 * STEPS)
    steps: list[list[str]] = [[] for _ in range(STEPS + LONGEST_HOLD)]
    for number in range(STEPS):
        dice = chance.random()
        if number == poison_at:
            steps[number].append("drop poison")
        elif dice < 0.45:
            steps[number].append(f"drop {chance.choice(DROPS)}")
        elif dice < 0.55:
            steps[number].append(f"drop {chance.choice(TOUCHES)}")
        elif dice < 0.70:
            steps[number].append(f"now {chance.choice(now)}")
        elif dice < 0.82:
            kind = chance.choice(long)
            steps[number].append(f"begin {kind}")
            steps[number + chance.randrange(1, LONGEST_HOLD)].insert(0, f"end {kind}")
        else:
            steps[number] += ["drop good", f"wait {chance.choice([0.3, 1, 3, 8])}"]
    first = [f"drop {kind}" for kind in ("good", "good", "twice")]
    if chance.random() < 0.8:
        first.append("wait 1")
    return first + [step for some in steps for step in some]


def _take(world: World, step: str) -> None:
    verb, _, what = step.partition(" ")
    if verb == "end":
        world.end(what)
    elif verb == "wait":
        _wait_for_a_receipt(world, float(what))
    elif verb == "drop":
        done = getattr(world.producer, what)()
        world.told(f"{step}{'' if done is not False else ': nothing to touch'}")
    elif verb == "now":
        done = at_once(world)[what](world)
        world.told(f"{what}{'' if done is not False else ': not there'}")
    elif what not in world.held:
        ending = lasting(world)[what](world)
        world.told(f"begin of {what}{'' if ending else ': not there'}")
        if ending is not None:
            world.held[what] = ending


def _wait_for_a_receipt(world: World, seconds: float) -> None:
    """Long enough for a job that is just starting; so many seconds at most while a fault lasts that may hold it up."""
    folder = world.home / "receipts"
    before = len(list(folder.glob("*.json")))
    end = time.monotonic() + (seconds if world.held else PROGRESS_SECONDS)
    while len(list(folder.glob("*.json"))) <= before and time.monotonic() < end:
        world.tend()
        time.sleep(0.05)


def _is_converged(world: World) -> bool:
    try:
        return converged(world.home, world.database)
    except psycopg2.Error:  # the ledger is not made yet
        return False
