"""What all workloads share: a folder for all that comes and goes, the databases, sizes, figures."""

from __future__ import annotations

import contextlib
import itertools
import shutil
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from databases import Databases

    from bench.figures import Figures
    from bench.memory import Usage


@dataclass(frozen=True)
class Sizes:
    """How much each workload takes: dates of history, drops, files, bytes, seconds, tickers.

    heat: drops before the first turn. rounds, turn: how often the systems take turns, and the drops of a turn.
    """

    few: int = 200
    many: int = 10_000
    bulk_dates: int = 10_000
    long_dates: int = 50_000
    rows_dates: int | None = None
    dense_dates: int = 1_000
    dense_times: int = 50
    drops: int = 30
    warm_up: int = 10
    heat: int = 20
    rounds: int = 5
    turn: int = 6
    checkpoint_drops: int = 30
    many_dates: int = 1_000
    more_dates: int = 5_000
    most_dates: int = 10_000
    batches: int = 10_000
    young: int = 100
    swarm: int = 10_000
    backlog: int = 2 << 30
    big: int = 1 << 30
    read_dates: int = 1_000
    idle: float = 60.0

    def quick(self) -> Sizes:
        """The sizes of the short run: fewer drops, before the measured ones and of these."""
        return replace(self, warm_up=4, heat=10, turn=4)

    def scaled(self, by: float) -> Sizes:
        """A fraction of all data, to try the bench itself; its figures are not the table's."""
        names = (
            "many", "bulk_dates", "long_dates", "dense_dates", "drops", "warm_up", "heat", "rounds", "turn",
            "checkpoint_drops", "many_dates", "more_dates", "most_dates", "batches", "young", "swarm", "backlog", "big",
            "read_dates",
        )  # fmt: skip
        least = {"many": 801, "drops": 3, "warm_up": 2, "heat": 2, "rounds": 2, "turn": 2, "checkpoint_drops": 3}
        return replace(self, **{n: max(least.get(n, 10), int(getattr(self, n) * by)) for n in names}, idle=60 * by)


@dataclass
class Room:
    """A folder and databases of one workload."""

    folder: Path
    create: Callable[[], str]


@dataclass
class Bench:
    """folder: where everything lies; say: tells how far it is; stages: (workload, batches' mean seconds by stage).

    pathway: the Python of its environment; against: the installed `stocketl` of another commit. None: without them.
    notes: what could not be measured, and why.
    """

    folder: Path
    databases: Databases
    sizes: Sizes
    figures: Figures
    repeats: int
    quick: bool
    say: Callable[[str], None]
    pathway: Path | None = None
    against: Path | None = None
    notes: list[str] = field(default_factory=list)
    seed: int = 20_240_102
    stages: dict[str, dict[str, float]] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def add_peak(self, name: str, peak: Usage) -> None:
        """Adds the peak of a process tree, `<name>.peak`, and what of it is Python and Java."""
        self.figures.add(f"{name}.peak", peak.bytes)
        self.figures.add(f"{name}.peak.python", peak.python)
        self.figures.add(f"{name}.peak.java", peak.java)

    @contextlib.contextmanager
    def room(self, name: str) -> Iterator[Room]:
        """A fresh folder and any number of fresh databases; all gone at the end. After an error the logs are kept."""
        folder = self.folder / name
        made: list[str] = []

        def create() -> str:
            made.append(f"bench_{next(self._numbers)}")
            return self.databases.create(made[-1])

        with contextlib.suppress(FileNotFoundError):
            shutil.rmtree(folder)  # of a run that was killed
        folder.mkdir(parents=True)
        try:
            yield Room(folder, create)
        except BaseException:
            kept = folder.with_name(f"failed-{name}")
            _keep_logs(folder, kept)
            self.say(f"what the processes of {name} wrote is in {kept}")
            raise
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            for database in made:
                _drop(self.databases.uri("postgres"), database)


def _keep_logs(folder: Path, to: Path) -> None:
    """Copies what processes have written to their terminals and logs; what was kept of a run before goes."""
    shutil.rmtree(to, ignore_errors=True)
    for path in folder.rglob("*"):
        if path.suffix in {".out", ".log"} and path.is_file():
            kept = to / path.relative_to(folder)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)


def _drop(server: str, database: str) -> None:
    with contextlib.closing(psycopg2.connect(server)) as connection:
        connection.autocommit = True
        with connection.cursor() as cur:
            cur.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))
