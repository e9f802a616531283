"""`stocketl receipts`: what became of a drop."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from loaded_home import LoadedHome

from streaming.commands.receipts import UnknownKeyError, last, of_key, show_drops, show_last
from streaming.settings import load
from streaming.ticks.expected import expected

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def home(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoadedHome]:
    monkeypatch.setenv("COLUMNS", "70")
    made = LoadedHome(load(environment=False, home=str(tmp_path), database=database))
    made.load(
        "day/one.csv", "date,id,price,volume,venue\n2024-01-02,7,100,10,X\n2024-02-30,7,[red]1,1,Y\n2024-01-02,8,,1,Z\n"
    )
    made.load("day/one.csv", "nothing of use\n")
    yield made
    made.close()


def test_a_key_shows_every_drop_of_it(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """Counts, reason, ignored columns and the first rejects with line, text and reason; foreign text is only text."""
    drops = of_key(home.settings, "day/one.csv")
    assert [(d["seq"], d["fate"], d["rows_read"], d["moved_to"]) for d in drops] == [
        (1, "success", 3, f"{home.settings.success}/day/one.csv"),
        (2, "failed", 0, f"{home.settings.failed}/day/one.csv"),
    ]
    assert (drops[0]["ignored"], drops[0]["reasons"]) == (["venue"], {"bad-date": 1, "missing-price": 1})
    assert drops[0]["rejects"] == [
        {"line": 3, "text": "2024-02-30,7,[red]1,1,Y", "reason": "bad-date", "expected": expected("bad-date")},
        {"line": 4, "text": "2024-01-02,8,,1,Z", "reason": "missing-price", "expected": expected("missing-price")},
    ]
    show_drops(drops)
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "rows 3 read = 1 loaded + 0 duplicate + 2 rejected" in lines
    assert "ignored columns venue" in lines
    assert "rejected for bad-date: 1, missing-price: 1" in lines
    assert "3 bad-date 2024-02-30,7,[red]1,1,Y" in lines
    assert "fate success" in lines
    assert any(line.startswith("fate failed: ") for line in lines)
    assert "what to do Correct the header line (date,id,price,trade_volume). Or: give it a profile" in " ".join(lines)
    assert "expected a price, got an empty field" in lines
    ends = [line.partition(" ")[0] for line in lines if re.fullmatch(r"\w+ \S+ \S+ UTC in batch \d", line)]
    assert ends == ["loaded", "failed"]


def test_a_name_that_is_not_utf8_is_found_as_the_shell_gives_it(home: LoadedHome) -> None:
    """Bytes of a command line that are no text come as surrogates; the ledger has them escaped."""
    home.load(r"caf\xE9.csv", "nothing of use\n")
    assert [drop["key"] for drop in of_key(home.settings, "caf\udce9.csv")] == [r"caf\xE9.csv"]


def test_an_unknown_key_suggests_what_looks_alike(home: LoadedHome) -> None:
    """A slip of the finger or a name without its folder."""
    with pytest.raises(UnknownKeyError, match=r"^no drop has the key 'day/ome.csv'; did you mean day/one.csv\?"):
        of_key(home.settings, "day/ome.csv")
    with pytest.raises(UnknownKeyError, match=r"did you mean day/one.csv\?"):
        of_key(home.settings, "one.csv")
    with pytest.raises(UnknownKeyError, match="`stocketl receipts` lists the last ones"):
        of_key(home.settings, "xyz")


def test_without_a_key_the_last_drops_come_newest_first(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """One row a drop, the reason of a failed one beside it."""
    drops = last(home.settings)
    assert [(drop["seq"], drop["fate"]) for drop in drops] == [(2, "failed"), (1, "success")]
    show_last(drops)
    out = capsys.readouterr().out
    assert out.index("failed") < out.index("success")
    show_last([])
    assert capsys.readouterr().out == "no drop has been loaded yet\n"


def test_a_file_that_is_dropped_twice_is_told(home: LoadedHome, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever its name; that nothing changed is said only where it is so."""
    rows = "date,id,price,volume\n2024-03-01,1,5,1\n2024-03-01,2,6,1\n"
    home.load("a.csv", rows)
    home.load("b.csv", rows)
    home.load("c.csv", rows.replace("5", "7"))
    home.load("d.csv", rows)
    home.load("empty.csv", "date,id,price,volume\n")
    home.load("empty too.csv", "date,id,price,volume\n")
    told = {}
    for key in ("a.csv", "b.csv", "c.csv", "d.csv", "empty too.csv"):
        show_drops(of_key(home.settings, key))
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        told[key] = [line for line in lines if line.startswith("content ")]
    assert told == {
        "a.csv": [],
        "b.csv": ["content same content as drop 3, nothing changed"],
        "c.csv": [],
        "d.csv": ["content same content as drop 4"],
        "empty too.csv": [],
    }


def test_what_a_drop_did_to_the_cells_is_told(
    home: LoadedHome, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """New, changed and the same add up to what was loaded; returns that changed and new tickers stand beside it."""
    head = "date,id,price,volume\n"
    home.load("first.csv", head + "2024-03-01,1,5,1\n2024-03-04,1,6,1\n")
    home.load("fixed.csv", head + "2024-03-01,1,4,1\n2024-03-04,1,6,1\n2024-03-04,2,7,1\n")
    home.load("part.csv", head + "2024-03-04,2,7,\n")
    home.load("older.csv", head + "2024-03-05,2,8,1\n")
    home.change("UPDATE stocketl.drops SET cells_new = NULL WHERE key = 'older.csv'")
    monkeypatch.setenv("COLUMNS", "200")
    told = []
    for key in ("first.csv", "fixed.csv", "part.csv", "older.csv"):
        show_drops(of_key(home.settings, key))
        lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
        told += [line for line in lines if line.startswith("cells ")]
    assert told == [
        "cells 2 new, 0 changed, 0 same; 0 returns rewritten, 1 new ticker",
        "cells 1 new, 1 changed, 1 same; 1 return rewritten, 1 new ticker",
        "cells 0 new, 0 changed, 1 same; 0 returns rewritten: nothing changed",
        "cells not known: the drop is older than these counts, see `stocketl fill`",
    ]


def test_conflicts_and_volumes_that_are_none_are_shown_with_their_lines(
    home: LoadedHome, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing falls together in silence, and a price whose volume nobody can read is still there."""
    home.load("two.csv", "date,id,price,volume\n2024-01-02,7,1.5,10\n2024-01-02,7,1.6,n/a\n2024-01-03,7,2,5K\n")
    show_drops(of_key(home.settings, "two.csv"))
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "volumes 2 volumes that cannot be read, kept as unknown: line 3, 4" in " ".join(lines)
    assert "1 row that differs from a later one of the same date and ticker" in " ".join(lines)
    assert "2 and 3 2024-01-02 007 1.5 (volume 10) 1.6 (volume unknown)" in " ".join(lines)
