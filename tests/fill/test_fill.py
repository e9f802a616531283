"""The past of corrections and counts, worked out from a lake on disk, on a real PostgreSQL and without Spark."""

from __future__ import annotations

import contextlib
import threading
from typing import TYPE_CHECKING, Any

import pyarrow.compute as pc
import pytest
from drops_oracle import history
from ledger_drops import load
from ledger_rows import Run, fact, query, record
from loaded_home import LoadedHome

import streaming.settings
from streaming.database.transactions import Transactions
from streaming.errors import StockETLError
from streaming.fill import past
from streaming.fill.fill import fill
from streaming.lake.rows import DUPLICATES, REJECTS, SCHEMAS, TICKS, encoded
from streaming.lake.tables import Lake
from streaming.ledger import correction_runs, writer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from streaming.settings import Settings

NO_SPARK: Any = None
_ALL = """
    SELECT to_jsonb(d) - 'loaded_at', coalesce(c.rows, '[]'), c.others FROM stocketl.drops d
    LEFT JOIN (SELECT seq, jsonb_agg(to_jsonb(c) - 'at' ORDER BY id, date) AS rows,
                      count(*) FILTER (WHERE at <> d.loaded_at) AS others
                 FROM stocketl.corrections c JOIN stocketl.drops d USING (seq) GROUP BY seq) c USING (seq)
    ORDER BY d.seq
"""
_FORGET = """
    DELETE FROM stocketl.correction_cells WHERE seq = ANY(%(seqs)s);
    DELETE FROM stocketl.correction_runs WHERE seq = ANY(%(seqs)s);
    UPDATE stocketl.drops SET cells_new = NULL, cells_changed = NULL, cells_same = NULL, returns_rewritten = NULL,
           tickers_new = NULL, corrections = NULL WHERE seq = ANY(%(seqs)s)
"""

_AS_MADE = """
    UPDATE stocketl.date_facts SET drops = 0, first_seq = 0, last_seq = 0, late_cells = 0, restated_cells = 0,
           counted = false, first_load = NULL, last_load = NULL
"""


@pytest.fixture
def run(database: str) -> Iterator[Run]:
    """Runs a function in a transaction on a database with an empty ledger."""
    with contextlib.closing(Transactions(database, threading.Event())) as transactions:
        transactions.run(writer.create)
        yield transactions.run


@pytest.fixture
def settings(database: str, tmp_path: Path) -> Settings:
    return streaming.settings.load(environment=False, home=str(tmp_path / "home"), database=database)


def bring(settings: Settings, folder: Path, batches: list[pa.Table]) -> None:
    """Appends what each batch has loaded to the lake."""
    assert settings.lake is not None
    lake = Lake(NO_SPARK, settings.lake, "abc")
    for number, rows in enumerate(batches):
        file = folder / f"{number}.parquet"
        file.write_bytes(encoded(rows.cast(SCHEMAS[TICKS])))
        lake.append(number, {TICKS: [str(file)], REJECTS: [], DUPLICATES: []})


def one_batch_a_drop(seed: int) -> tuple[list[Any], list[int]]:
    packets = history(seed)
    return packets, [at for at in range(1, len(packets)) if packets[at][0] != packets[at - 1][0]]


@pytest.mark.parametrize("rows_at_once", [1, 200, 1_000_000])
def test_the_past_is_filled_as_if_it_had_been_kept(
    run: Run, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    """All drops or a gap among them, in stretches of any size; a row is as old as its drop."""
    monkeypatch.setattr(past, "_ROWS_AT_ONCE", rows_at_once)
    monkeypatch.setattr(correction_runs, "SHORTEST", 2)
    bring(settings, tmp_path, load(run, *one_batch_a_drop(5)))
    expected = [row[:2] for row in query(run, _ALL)]
    for gap in (range(1, 31), range(8, 14)):
        run(lambda cur, gap=gap: cur.execute(_FORGET, {"seqs": list(gap)}))
        assert [row[:2] for row in query(run, _ALL)] != expected
        lines: list[str] = []
        fill(settings, lines.append)
        assert [row[:2] for row in query(run, _ALL)] == expected
        assert lines[:2] == [f"{name}: {len(gap)} drops missing" for name in ("counts of drops", "corrections")]
    assert {others for seq, (*_, others) in enumerate(query(run, _ALL), 1) if seq in gap} <= {0, None}
    lines = []
    fill(settings, lines.append)
    assert lines == [f"{name}: nothing is missing" for name in ("counts of drops", "corrections", "dates")]


def test_what_drops_did_on_each_date_is_filled_as_if_it_had_been_counted(database: str, tmp_path: Path) -> None:
    """Dates that were made from the tables; one with a later drop than the lake has is left for the next time."""
    settings = streaming.settings.load(environment=False, home=str(tmp_path / "home"), database=database)
    home = LoadedHome(settings, lake=True)
    for number, days in enumerate(([4, 5, 6], [5], [8], [6, 7, 5], [6])):
        rows = "".join(f"2024-03-{day:02d},{ticker},{number + 1},9\n" for day in days for ticker in ("A", "B"))
        home.load(f"{number}.csv", f"date,id,price,trade_volume\n{rows}2024-03-04,A,{number // 2 + 1},\n")
    counted = "SELECT date, tickers, drops, first_seq, last_seq, late_cells, restated_cells, counted"
    expected = home.ask(f"{counted} FROM stocketl.date_facts ORDER BY date")
    assert [(row[2], row[5], row[6]) for row in expected] == [(5, 0, 2), (3, 0, 4), (3, 0, 4), (1, 2, 0), (1, 0, 0)]
    home.change(_AS_MADE)
    home.change("UPDATE stocketl.date_facts SET last_seq = 6 WHERE date = '2024-03-08'")
    fill(settings, lambda _line: None)
    assert home.ask(f"{counted} FROM stocketl.date_facts ORDER BY date")[:4] == expected[:4]
    assert home.ask("SELECT date::text FROM stocketl.date_facts WHERE NOT counted") == [("2024-03-08",)]
    assert home.ask("SELECT count(*) FROM stocketl.date_facts WHERE first_load <= last_load") == [(4,)]
    home.close()


def test_a_table_that_is_switched_off_is_not_filled(run: Run, settings: Settings, tmp_path: Path) -> None:
    """The counts are, since they are always kept."""
    bring(settings, tmp_path, load(run, *one_batch_a_drop(6)))
    run(lambda cur: cur.execute(_FORGET, {"seqs": [2, 3]}))
    fill(settings.model_copy(update={"explain": ()}), lambda _line: None)
    unknown = "SELECT count(*) FILTER (WHERE cells_new IS NULL), count(*) FILTER (WHERE corrections IS NULL)"
    assert query(run, f"{unknown} FROM stocketl.drops") == [(0, 2)]


def test_a_lake_that_does_not_reach_back_is_told_and_nothing_is_written(
    run: Run, settings: Settings, tmp_path: Path
) -> None:
    """The message names the first drop that lacks rows, and the way out; so it does without a lake."""
    batches = load(run, *one_batch_a_drop(7))
    bring(settings, tmp_path, [batches[0], batches[2].slice(1), *batches[3:]])
    run(lambda cur: cur.execute(_FORGET, {"seqs": list(range(1, 31))}))
    rows = batches[1].num_rows
    message = rf"does not reach back.*of 2 drops.*drop 2 \('2.csv'\): expected {rows}, got 0.*stocketl rebuild"
    with pytest.raises(StockETLError, match=message):
        fill(settings, lambda _line: None)
    with pytest.raises(StockETLError, match="there is no lake to fill from"):
        fill(settings.model_copy(update={"lake": None}), lambda _line: None)
    assert query(run, "SELECT count(*) FROM stocketl.drops WHERE cells_new IS NULL") == [(30,)]


def test_a_lake_of_another_past_is_refused(run: Run, settings: Settings, tmp_path: Path) -> None:
    """What it says of drops that are counted must be what was counted."""
    batches = load(run, [(1, [(1, "A", 1.0, 5)]), (2, [(1, "A", 2.0, 5)]), (3, [(1, "A", 2.0, 5)])], [1, 2])
    column = batches[1].schema.get_field_index("price")
    batches[1] = batches[1].set_column(column, "price", pc.divide(batches[1]["price"], 2.0))
    bring(settings, tmp_path, batches)
    run(lambda cur: cur.execute(_FORGET, {"seqs": [3]}))
    with pytest.raises(StockETLError, match="another past than the ledger: drop 2 did"):
        fill(settings, lambda _line: None)
    assert query(run, "SELECT count(*) FROM stocketl.drops WHERE cells_new IS NULL") == [(1,)]


def test_an_open_drop_and_drops_without_rows_are_no_gap(run: Run, settings: Settings, tmp_path: Path) -> None:
    """What failed has done nothing; what still goes on is counted by the job."""
    bring(settings, tmp_path, load(run, [(1, [(1, "A", 1.0, 5)])], []))
    record(run, 1, [fact(2, rejected=1), fact(3, loaded=7, whole=False, last=False)])
    run(lambda cur: cur.execute(_FORGET, {"seqs": [1, 2]}))
    fill(settings, lambda _line: None)
    assert query(run, "SELECT seq, cells_new, corrections FROM stocketl.drops ORDER BY seq") == [
        (1, 1, 0),
        (2, 0, 0),
        (3, 7, None),
    ]


def test_a_database_of_an_older_version_is_told(run: Run, settings: Settings) -> None:
    """The job brings it forward, not this command."""
    run(lambda cur: cur.execute("DROP VIEW stocketl.corrections"))
    with pytest.raises(StockETLError, match="older than the tables that are to be filled: start"):
        fill(settings, lambda _line: None)
