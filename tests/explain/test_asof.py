"""`stocketl asof`: the tables at any moment of a load, to the bit; other moments get a clear answer."""

from __future__ import annotations

import contextlib
import datetime as dt
import random
import threading
import time
from typing import TYPE_CHECKING

import psycopg2
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from extent import extent
from loaded_home import LoadedHome
from random_drops import random_drops
from test_known import plain
from typer.testing import CliRunner

from streaming.cli import app
from streaming.errors import SettingsError, StockETLError
from streaming.explain import asof_screen
from streaming.explain.arrival import NotInLakeError
from streaming.explain.asof import AsOf, Wanted, as_of, facts_of
from streaming.explain.moment import NoSuchMomentError, days_named
from streaming.frames.names import UnknownTickerError
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from history_oracle import Tables

    from streaming.settings import Settings

_EPOCH = dt.date(1970, 1, 1)
FIRST = "date,id,price,trade_volume\n2024-01-02,7,100,10\n2024-01-03,7,110,\n2024-01-02,BRK.B,50,5\n"
LATE = "date,id,price,trade_volume\n2024-01-01,7,80,1\n2024-01-03,7,121,\nnonsense,7,1,1\n"


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database), lake=True)
    yield made
    made.close()


def snapshot(settings: Settings, *, seen: bool = False) -> tuple[str, Tables]:
    """The moment by the clock of the server, and every cell of the tables as one transaction sees them.

    seen: the moment is the time of the newest batch that it sees. A batch has its time just before its COMMIT.
    """
    found: Tables = {}
    with contextlib.closing(psycopg2.connect(settings.database)) as connection, connection.cursor() as cur:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cur.execute("SELECT clock_timestamp(), max(committed_at) FROM stocketl.batches")
        ((clock, newest),) = cur.fetchall()
        now = newest if seen else clock
        cur.execute("SELECT id FROM stocketl.tickers")
        for (ticker,) in cur.fetchall():
            cur.execute("SELECT date, price, return, volume FROM stocketl.series(%s)", (ticker,))
            found |= {((day - _EPOCH).days, ticker): cell for day, *cell in map(tuple, cur.fetchall())}
    return now.isoformat(), {key: tuple(cell) for key, cell in found.items()}


def at(settings: Settings, when: str, wanted: Wanted | None = None) -> AsOf:
    return as_of(settings, when, wanted or Wanted(), wait=0.0, tell=print)


@pytest.mark.thorough
def test_the_tables_as_of_each_moment_are_those_of_then(home: LoadedHome) -> None:
    """By the time and by the seq, all tickers and one of them, the returns included."""
    moments = []
    for key, content in random_drops(seed=1, count=extent(10, 50)):
        seq = home.load(key, content)
        moments.append((seq, *snapshot(home.settings)))
    for seq, when, tables in moments:
        found = at(home.settings, when)
        assert plain(found.known) == tables
        assert found.notes == []
        if seq % 10 == 0:
            assert plain(at(home.settings, f"seq {seq}").known) == tables
            one = at(home.settings, when, Wanted(["7"], 19_730, 19_733))  # 2024-01-08 to -11
            own = {key: cell for key, cell in tables.items() if key[1] == "007" and 19_730 <= key[0] <= 19_733}
            assert plain(one.known) == own


def test_moments_of_a_running_load_are_those_that_readers_saw(home: LoadedHome) -> None:
    """Snapshots at random times while another thread loads drop after drop."""
    chance = random.Random(7)  # noqa: S311 (a seed, not a secret)
    home.load("first.csv", FIRST)

    def load_all() -> None:
        for key, content in random_drops(seed=7, count=25):
            home.load(key, content)

    moments = []
    loader = threading.Thread(target=load_all)
    loader.start()
    while loader.is_alive():
        moments.append(snapshot(home.settings, seen=True))
        time.sleep(chance.uniform(0.0, 0.2))
    loader.join()
    assert len({when for when, _ in moments}) > 5
    for when, tables in chance.sample(moments, min(len(moments), 15)):
        assert plain(at(home.settings, when).known) == tables


def test_a_moment_in_the_future_or_before_the_first_drop_gets_a_clear_answer(home: LoadedHome) -> None:
    """The message says what there is."""
    with pytest.raises(NoSuchMomentError, match="no drop has been loaded yet"):
        at(home.settings, "2024-01-02T00:00Z")
    home.load("first.csv", FIRST)
    with pytest.raises(NoSuchMomentError, match=r"nothing was known at 2001-01-01 00:00:00 UTC: the first batch was"):
        at(home.settings, "2001-01-01 00:00:00 UTC")
    with pytest.raises(NoSuchMomentError, match=r"2999-01-01 00:00:00 UTC is in the future: it is 20"):
        at(home.settings, "2999-01-01T01:00+01:00")
    with pytest.raises(NoSuchMomentError, match="there is no drop 2 yet: the drops are 1 to 1"):
        at(home.settings, "seq 2")
    with pytest.raises(NoSuchMomentError, match="there is no drop 0: the drops are 1 to 1"):
        at(home.settings, "seq 0")
    with pytest.raises(NoSuchMomentError, match="expected a day that is not after --to 2024-01-01, got 2024-01-02"):
        days_named("2024-01-02", "2024-01-01")
    with pytest.raises(NoSuchMomentError, match="expected a day from 1800-01-01 to 2199-12-31 such as"):
        days_named("1700-01-01", None)
    with pytest.raises(NoSuchMomentError, match="a day alone could mean its begin or its end"):
        at(home.settings, "2024-01-02")
    with pytest.raises(NoSuchMomentError, match="expected a time such as"):
        at(home.settings, "yesterday")


def test_a_lake_without_all_rows_is_refused(home: LoadedHome) -> None:
    """If a job ran without a lake for a while, nobody is shown tables that never were."""
    home.load("first.csv", FIRST)
    home.lake = None
    home.load("late.csv", LATE)
    assert len(at(home.settings, "seq 1").known) == 3
    with pytest.raises(NotInLakeError, match=r"not have all rows of drop 2: expected 2, found 0"):
        at(home.settings, "seq 2")
    with pytest.raises(SettingsError, match="there is no lake"):
        at(home.settings.model_copy(update={"lake": None}), "seq 1")


def test_a_ticker_that_is_not_there_is_named_with_similar_ones(home: LoadedHome) -> None:
    """A ticker may be written in other letters if it alone fits."""
    home.load("first.csv", FIRST)
    assert at(home.settings, "seq 1", Wanted(["brk.b"])).known.ids == ["BRK.B"]
    with pytest.raises(UnknownTickerError, match=r"no ticker 'BRKB'; the nearest are BRK\.B"):
        at(home.settings, "seq 1", Wanted(["BRKB"]))


def test_files_hold_every_cell_to_the_bit(home: LoadedHome, tmp_path: Path) -> None:
    """Parquet and CSV, and nothing else."""
    for key, content in random_drops(seed=2, count=8):
        home.load(key, content)
    found = at(home.settings, "seq 8")
    expected = found.known.to_table()
    for name in ("x.parquet", "x.csv"):
        assert asof_screen.write(found, str(tmp_path / name)).startswith(f"{len(found.known)} cells as of seq 8: ")
    assert pq.read_table(tmp_path / "x.parquet").equals(expected)
    options = pyarrow.csv.ConvertOptions(column_types=expected.schema, strings_can_be_null=False)
    assert pyarrow.csv.read_csv(tmp_path / "x.csv", convert_options=options).equals(expected)
    assert sorted(path.name for path in tmp_path.glob("*x*")) == ["x.csv", "x.parquet"]
    with pytest.raises(StockETLError, match=r"expected a name that ends in \.parquet or \.csv"):
        asof_screen.refuse_other_files("x.xlsx")
    with pytest.raises(StockETLError, match="cannot be written: No such file"):
        asof_screen.write(found, str(tmp_path / "no" / "x.csv"))


def test_the_command_prints_the_last_cells(home: LoadedHome, monkeypatch: pytest.MonkeyPatch) -> None:
    """What it is, how much of it, and the cells; as JSON the same facts."""
    home.load("first.csv", FIRST)
    home.load("late.csv", LATE)
    monkeypatch.setenv("STOCKETL_DATABASE", home.settings.database or "")
    said = CliRunner().invoke(app, ["asof", "seq", "1", "--ticker", "7", "--home", str(home.settings.home)])
    first, size, _, *cells = said.output.splitlines()
    assert first.startswith("as of seq 1: up to drop 1, batch 1, committed 20")
    assert size == "2 cells: 1 ticker, 2 dates, 2024-01-02 to 2024-01-03"
    assert [line.split() for line in cells] == [
        ["2024-01-02", "007", "100", "10"],
        ["2024-01-03", "007", "110", "0.100000"],
    ]
    facts = facts_of(at(home.settings, "seq 2", Wanted(["7"], None, 19_723)))
    assert (facts["seq"], facts["batch_id"], facts["cells"]) == (
        2,
        2,
        [{"date": dt.date(2024, 1, 1), "id": "007", "price": 80.0, "return": None, "volume": 1}],
    )
