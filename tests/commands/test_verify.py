"""`stocketl verify` finds whatever is not as the files make it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from loaded_home import LoadedHome

from streaming.commands import oracle
from streaming.commands.verify import Difference, show, verify
from streaming.ledger import tickers as placement
from streaming.packets import Ticks
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FIRST = "date,id,price,trade_volume\n2024-01-02,7,100,10\n2024-01-03,7,110,\n2024-01-02,BRK.B,50,5\n"
LATE = "date,id,price,trade_volume\n2024-01-01,7,80,1\n2024-01-03,7,121,\nnonsense,7,1,1\n"


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    made.load("a/first.csv", FIRST)
    made.load("late.csv", LATE)
    made.load("bad.csv", "no header at all\n")
    yield made
    made.close()


def test_tables_that_follow_from_the_files_are_equal(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """Late and corrected prices, an unknown volume, a rejected row and a failed drop: nothing differs."""
    report = verify(home.settings)
    assert (report.first, report.count, report.gaps, report.drops, report.cells) == ([], 0, [], 2, 4 + 2 + 3 + 2)
    assert show(report)
    assert capsys.readouterr().out.startswith("equal: 11 cells of 2 drops compared in ")


@pytest.mark.parametrize(
    ("statement", "difference"),
    [
        (
            "UPDATE prices SET stk_007 = 121.00000000000001 WHERE date = '2024-01-03'",
            Difference("prices", "2024-01-03", "007", "121.0", "121.00000000000001"),
        ),
        (
            "UPDATE returns SET stk_007 = 'NaN' WHERE date = '2024-01-01'",
            Difference("returns", "2024-01-01", "007", "-", "nan"),
        ),
        (
            "UPDATE returns SET stk_007 = NULL WHERE date = '2024-01-02'",
            Difference("returns", "2024-01-02", "007", "0.25", "-"),
        ),
        (
            "UPDATE volume SET stk_007 = 0 WHERE date = '2024-01-03'",
            Difference("volume", "2024-01-03", "007", "-", "0"),
        ),
        ("INSERT INTO prices (date) VALUES ('1969-12-31')", Difference("prices", "1969-12-31", "", "-", "a row")),
        (
            "ALTER TABLE volume ADD COLUMN stk_9 bigint; UPDATE volume SET stk_9 = 1",
            Difference("volume", "-", "stk_9", "-", "a column"),
        ),
        (
            "UPDATE stocketl.latest SET price = 51 WHERE id = 'BRK.B'",
            Difference("stocketl.latest", "-", "BRK.B", "2024-01-02 50.0 - 5", "2024-01-02 51.0 - 5"),
        ),
        (
            "DELETE FROM stocketl.latest WHERE id = '007'",
            Difference("stocketl.latest", "-", "007", f"2024-01-03 121.0 {121.0 / 100.0 - 1!r} -", "-"),
        ),
    ],
)
def test_one_wrong_cell_row_or_column_is_one_difference(
    home: LoadedHome, statement: str, difference: Difference
) -> None:
    """Whatever a person changes in the tables is named with what it should be."""
    home.change(statement)
    report = verify(home.settings)
    assert (report.first, report.count) == ([difference], 1)
    assert not show(report)


def test_a_lost_column_and_a_lost_row_take_their_cells_along(home: LoadedHome) -> None:
    """A missing column or row is named, and each of its cells too."""
    home.change("ALTER TABLE prices DROP COLUMN \"stk_BRK.B\" CASCADE; DELETE FROM volume WHERE date = '2024-01-02'")
    assert verify(home.settings).first == [
        Difference("prices", "-", "stk_BRK.B", "a column", "-"),
        Difference("prices", "2024-01-02", "BRK.B", "50.0", "-"),
        Difference("volume", "2024-01-02", "", "a row", "-"),
        Difference("volume", "2024-01-02", "007", "10", "-"),
        Difference("volume", "2024-01-02", "BRK.B", "5", "-"),
    ]


def test_a_ticker_that_is_not_listed_or_has_no_price_is_named(home: LoadedHome) -> None:
    """`stocketl.tickers` and the files name the same tickers."""
    home.change("UPDATE stocketl.tickers SET id = '8' WHERE id = '007'")
    report = verify(home.settings)
    assert report.first[:2] == [
        Difference("stocketl.tickers", "-", "8", "-", "listed"),
        Difference("stocketl.tickers", "-", "007", "3 dates", "-"),
    ]


def test_a_file_that_is_gone_changed_or_half_loaded_is_said(home: LoadedHome, tmp_path: Path) -> None:
    """What cannot be recomputed is named, drop by drop, and the answer is not `equal`."""
    success = tmp_path / "home" / "success"
    (success / "a" / "first.csv").unlink()
    (success / "late.csv").write_text(LATE.replace("121", "12x"))
    home.load("cut.csv", "date,id,price,volume\n2024-02-01,9,1,\n")
    home.load("open.csv", "date,id,price,volume\n2024-02-02,9,1,\n")
    home.change("UPDATE stocketl.drops SET status = 'failed', reason = 'vanished' WHERE key = 'cut.csv'")
    home.change("UPDATE stocketl.drops SET status = 'loading' WHERE key = 'open.csv'")
    report = verify(home.settings)
    assert [gap.split(": expected")[0] for gap in report.gaps] == [
        "drop 1 ('a/first.csv'): its file is gone; looked for 'a/first.csv' in success",
        "drop 2 ('late.csv'): its file no longer reads as it did",
        "drop 4 ('cut.csv') failed after 1 of its rows were loaded: vanished",
        "drop 5 ('open.csv') is loaded only in part: it ends in a later batch; verify again then",
    ]
    assert not show(report)


def test_differences_that_follow_from_a_file_that_is_gone_are_summed_up(
    home: LoadedHome, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line says which file to put back; a cell that no lost file explains is listed beside it."""
    rows = "".join(f"2025-01-{day:02},{ticker},1,1\n" for day in range(1, 29) for ticker in range(50))
    home.load("lost.csv", "date,id,price,volume\n" + rows)
    (tmp_path / "home" / "success" / "lost.csv").unlink()
    home.change("UPDATE volume SET stk_007 = 11 WHERE date = '2024-01-02'")
    report = verify(home.settings)
    assert report.first == [Difference("volume", "2024-01-02", "007", "10", "11")]
    assert report.count == 1
    assert report.follow > 3 * 28 * 49
    assert not show(report)
    told = capsys.readouterr().out.splitlines()
    assert told[0].startswith("not recomputed: drop 4 ('lost.csv'): its file is gone")
    assert told[1].startswith(f"{report.follow:,} differences may follow from what was not recomputed")
    assert len(told) == 6


def test_a_drop_that_is_not_moved_yet_is_read_where_it_lies(home: LoadedHome, tmp_path: Path) -> None:
    """Between the commit and the move the bytes that were admitted count, even if the file has changed since."""
    home.load("late.csv", "date,id,price,volume\n2024-01-04,7,200,\n", move=False)
    (tmp_path / "home" / "input" / "late.csv").write_text("date,id,price,volume\n2024-01-04,7,999,\n")
    report = verify(home.settings)
    assert (report.good, report.drops) == (True, 3)


def test_every_column_group_is_compared(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Tickers of `prices_2` are recomputed like those of `prices`."""
    monkeypatch.setattr(placement, "TICKERS_PER_TABLE", 2)
    home = LoadedHome(load(environment=False, home=str(tmp_path), database=database))
    rows = "".join(f"2024-01-0{day},{ticker},{day * ticker},1\n" for day in (1, 2) for ticker in (1, 2, 3, 4, 5))
    home.load("wide.csv", "date,id,price,volume\n" + rows)
    assert verify(home.settings).good
    home.change("UPDATE returns_3 SET stk_005 = 2 WHERE date = '2024-01-02'")
    assert verify(home.settings).first == [Difference("returns_3", "2024-01-02", "005", "1.0", "2.0")]
    home.close()


def test_dates_before_1970_keep_their_order() -> None:
    """Returns follow the calendar across the day that Unix counts from."""
    days = np.array([1, -1, 0], np.int32)
    ticks = Ticks(["x"], np.zeros(3, np.int32), days, np.array([4.0, 1.0, 2.0]), np.array([-1, 7, -1], np.int64))
    cells = oracle.cells([ticks])
    assert cells.date.tolist() == [-1, 0, 1]
    assert cells.price.tolist() == [1.0, 2.0, 4.0]
    assert cells.returns[1:].tolist() == [1.0, 1.0]
    assert cells.volume.tolist() == [7, -1, -1]
