"""The room that rewritten rows take, on a real server."""

from __future__ import annotations

import contextlib
import datetime as dt
import threading
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg2
import pytest

from streaming.database.transactions import Transactions
from streaming.ledger import writer
from streaming.ledger.tickers import Place, place_tickers
from streaming.packets import Changes
from streaming.publish import upkeep, wide
from streaming.publish.upkeep import Upkeep
from streaming.publish.widening import Widening

if TYPE_CHECKING:
    from collections.abc import Iterator

DATES = 50
IDS = [f"T{number:03}" for number in range(600)]  # one row a page


class World:
    """The job's own writes to an empty database."""

    def __init__(self, transactions: Transactions) -> None:
        self.transactions = transactions
        self.widening, self.upkeep = Widening(transactions, 0), Upkeep(transactions)

    def load(self, ids: list[str]) -> None:
        first = dt.date(2024, 1, 1).toordinal() - dt.date(1970, 1, 1).toordinal()
        cells = len(ids) * DATES
        code = np.repeat(np.arange(len(ids), dtype=np.int32), DATES)
        days = np.tile(np.arange(first, first + DATES, dtype=np.int32), len(ids))
        values = np.ones(cells), np.ones(cells), np.ones(cells, np.int64)
        changes = Changes(ids, code, days, *values, np.full(cells, 7, np.uint8))

        def write(cur: Any, planned: dict[str, Place]) -> int:
            return wide.write(cur, changes, place_tickers(cur, ids, planned), self.upkeep.rewritten)

        self.widening.run(ids, write)
        self.upkeep.vacuum()

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        def ask(cur: Any) -> list[tuple[Any, ...]]:
            cur.execute(statement)
            return cur.fetchall()

        return self.transactions.run(ask)

    def pages(self) -> int:
        return self.query("SELECT pg_relation_size('prices') / 8192")[0][0]


@pytest.fixture
def world(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setattr(upkeep, "REWRITTEN_ROWS", DATES)
    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        world = World(transactions)
        world.load(IDS)
        yield world


def test_small_drops_over_many_dates_do_not_swell_a_table(world: World) -> None:
    """Each rewrites every row, a page each; the next ones take the pages that the last ones have left."""
    assert world.pages() == DATES
    for ticker in IDS[:20]:
        world.load([ticker])
    assert world.pages() <= 4 * DATES  # 21 * DATES without


def test_a_table_that_somebody_locks_is_left_for_another_time(database: str, world: World) -> None:
    """A vacuum or an index being made there holds up no batch."""
    with contextlib.closing(psycopg2.connect(database)) as holder, holder.cursor() as cur:
        cur.execute("LOCK TABLE prices IN SHARE UPDATE EXCLUSIVE MODE")
        for ticker in IDS[:3]:
            world.load([ticker])
        assert world.pages() == 4 * DATES
        holder.rollback()
    for ticker in IDS[:10]:
        world.load([ticker])
    assert world.pages() <= 6 * DATES


def test_a_large_table_waits_for_a_tenth_of_its_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where rewritten rows lie all over a table, a vacuum reads it whole."""
    monkeypatch.setattr(upkeep, "REWRITTEN_SHARE", 2.5)
    world.load(IDS[:1])  # the first vacuum: nobody knows yet how many rows there are
    world.load(IDS[:1])
    world.load(IDS[:1])
    assert world.upkeep.rewritten['"public"."prices"'] == 2 * DATES
    world.load(IDS[:1])
    assert world.upkeep.rewritten['"public"."prices"'] == 0


def test_a_connection_that_is_lost_meanwhile_costs_nothing(database: str, world: World) -> None:
    """The next transaction opens another one."""
    pid = world.query("SELECT pg_backend_pid()")[0][0]
    with contextlib.closing(psycopg2.connect(database)) as person, person.cursor() as cur:
        cur.execute("SELECT pg_terminate_backend(%s, 60000)", (pid,))
    world.upkeep.rewritten["prices"] = DATES
    world.upkeep.vacuum()
    world.load(IDS[:1])
    assert world.query("SELECT pg_backend_pid()")[0][0] != pid


@pytest.mark.parametrize(("before", "after"), [("RESET (fillfactor)", 70), ("SET (fillfactor = 90)", 90)])
def test_tables_of_an_older_version_get_the_fill_factor_but_not_against_a_persons_will(
    world: World, before: str, after: int
) -> None:
    """New tables have it; one that has none gets it with its first upkeep; another figure stays."""
    asked = "SELECT reloptions FROM pg_class WHERE relname = 'prices'"
    assert world.query(asked) == [(["fillfactor=70"],)]
    world.transactions.run(lambda cur: cur.execute(f"ALTER TABLE prices {before}"))
    world.load(IDS[:1])
    assert world.query(asked) == [([f"fillfactor={after}"],)]
