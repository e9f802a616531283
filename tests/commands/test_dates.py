"""`stocketl dates` on homes whose drops were loaded by the job's own parts."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import pytest
from loaded_home import LoadedHome

from streaming.commands.dates import dates, missing, show, show_missing
from streaming.commands.status import status
from streaming.errors import StockETLError
from streaming.screen import as_json
from streaming.settings import load

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HEADER = "date,id,price,trade_volume\n"
NAMES = ["A", "B", "C", "D", "E", "F", "G", "H"]


def file(day: int, names: list[str]) -> str:
    return HEADER + "".join(f"2024-07-{day:02d},{name},{10 + day},5\n" for name in names)


@pytest.fixture
def home(database: str, tmp_path: Path) -> Iterator[LoadedHome]:
    """Early July of 2024, with the 2nd half-delivered, the 3rd short, no file for the 8th, and rows of a holiday."""
    made = LoadedHome(load(environment=False, home=str(tmp_path / "home"), database=database))
    given = {1: NAMES, 2: NAMES[:4], 3: NAMES[:7], 4: NAMES, 5: NAMES, 9: NAMES}
    for day, names in given.items():
        made.load(f"{day}.csv", file(day, names))
    yield made
    made.close()


def states(facts: Any) -> dict[str, tuple[str, int]]:
    return {str(row["date"]): (row["state"], row["missing"]) for row in facts["dates"]}


SESSIONS = "INSERT INTO stocketl.sessions SELECT date '2024-07-01' + d, 'XNYS' FROM unnest('{0,1,2,4,7,8,9}'::int[]) d"


def test_each_date_that_is_not_as_it_should_be_is_named(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """A half-delivered day, a short one, a holiday with rows, a session without a file, and no other."""
    assert states(dates(home.settings, every=False)) == {
        "2024-07-01": ("complete", 0),
        "2024-07-02": ("partial", 4),
        "2024-07-03": ("short", 1),
        "2024-07-04": ("complete", 0),
        "2024-07-05": ("complete", 0),
        "2024-07-09": ("complete", 0),
    }
    home.change(SESSIONS)
    found = dates(home.settings, every=True)
    assert states(found) == {
        "2024-07-01": ("complete", 0),
        "2024-07-02": ("partial", 4),
        "2024-07-03": ("short", 1),
        "2024-07-04": ("no-session", 0),
        "2024-07-05": ("complete", 0),
        "2024-07-08": ("no-data", 8),
        "2024-07-09": ("complete", 0),
    }
    assert missing(home.settings, "2024-07-04")["missing"] == []
    assert missing(home.settings, "2024-07-08")["missing"] == NAMES
    show(found)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == "7 dates: 3 complete, 1 no-data, 1 no-session, 1 partial, 1 short"
    assert '"first_load": "20' in as_json(found)


def test_the_missing_tickers_of_a_date_are_named(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """One a line; a date without anything missing says so; what is no date is refused."""
    assert missing(home.settings, "2024-07-02") == {
        "date": dt.date(2024, 7, 2),
        "state": "partial",
        "missing": ["E", "F", "G", "H"],
    }
    show_missing(missing(home.settings, "2024-07-03"))
    show_missing(missing(home.settings, "2024-07-01"))
    assert capsys.readouterr().out == "H\nno ticker that was expected on 2024-07-01 is missing\n"
    show_missing(missing(home.settings, "2024-07-21"))
    assert capsys.readouterr().out == "2024-07-21 is no session: no price is expected on it\n"
    with pytest.raises(StockETLError, match="expected a date such as 2024-03-04, got '2024-7-2'"):
        missing(home.settings, "2024-7-2")


def test_the_view_of_all_missing_tickers_says_the_same_as_the_question_for_one_date(home: LoadedHome) -> None:
    """Also of a ticker that has ended, and of one that comes back."""
    for day in range(10, 20):
        home.load(f"{day}.csv", file(day, NAMES[1:] if day != 12 else NAMES[2:]))
    home.load("20.csv", file(20, [*NAMES[1:], "Z"]))
    by_view: dict[str, list[str]] = {}
    rows = home.ask("SELECT date, id FROM stocketl.missing_tickers ORDER BY date, id")
    for date, ticker in rows:
        by_view.setdefault(str(date), []).append(ticker)
    days = [str(date) for (date,) in home.ask("SELECT date FROM stocketl.date_facts ORDER BY date")]
    for day in days:
        assert missing(home.settings, day)["missing"] == by_view.get(day, []), day
    assert by_view == {"2024-07-02": ["E", "F", "G", "H"], "2024-07-03": ["H"], "2024-07-12": ["B"]}


def test_a_late_and_a_restated_cell_are_counted_at_their_date(home: LoadedHome) -> None:
    """A second file completes the second of July and corrects a price of it."""
    home.load("late.csv", HEADER + "2024-07-02,E,12,5\n2024-07-02,A,99,5\n2024-07-02,B,12,5\n")
    row = next(row for row in dates(home.settings, every=True)["dates"] if str(row["date"]) == "2024-07-02")
    counted = ("tickers", "expected", "missing", "drops", "late_cells", "restated_cells")
    assert [row[name] for name in counted] == [5, 8, 3, 2, 1, 1]


def test_a_date_that_is_overdue_needs_a_look(home: LoadedHome) -> None:
    """`stocketl status` names it, with the command that says what is missing."""
    home.change("INSERT INTO stocketl.overdue_dates VALUES ('2024-07-02', '2024-07-02 22:30+00')")
    facts = status(home.settings)
    said = "2024-07-02 is not complete, and was to be by 2024-07-02 22:30:00 UTC: stocketl dates --missing 2024-07-02"
    assert said in facts["look_at"]
    assert facts["exit_code"] == 3


def test_a_table_that_the_job_does_not_keep_is_told(home: LoadedHome) -> None:
    """Not an empty answer, which could be taken for the truth."""
    home.change("DELETE FROM stocketl.explained")
    with pytest.raises(StockETLError, match=r"the job does not keep stocketl\.dates: start it with dates in --explain"):
        dates(home.settings, every=False)
    home.change("DROP TABLE stocketl.explained")
    with pytest.raises(StockETLError, match=r"the database has no stocketl\.dates yet"):
        dates(home.settings, every=False)
